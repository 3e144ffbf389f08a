/* A client's settings: where its portal is, what is secret about that, and the transport's settings.
   Knows no Lua. Nothing here throws. */
#ifndef BX_SETTINGS_H
#define BX_SETTINGS_H

#include "http.h"
#include "redact.h"

typedef struct bx_settings {
  bx_http_settings http;
  char *base;  /* "https://acme.bitrix24.com/rest/1/code/", with OAuth "https://acme.bitrix24.com/rest/" */
  char *place; /* "https://acme.bitrix24.com": what may be shown of it */
  int oauth;   /* calls carry the access token */
  char *token; /* it, or NULL while there is none */
  bx_secrets secrets;
} bx_settings;

extern const char bx_settings_no_memory[];

/* The defaults of the README's table of options. 0, or -1 when memory ran out. */
int bx_settings_init(bx_settings *settings);

/* Takes a webhook's address: white space around it goes, a slash is added at its end. NULL, or what was expected
   instead (a static text that never shows the address), or bx_settings_no_memory. */
const char *bx_settings_webhook(bx_settings *settings, const char *text, size_t length, int insecure_http);

/* Takes where a portal is called with OAuth, https://portal/rest/. As bx_settings_webhook. */
const char *bx_settings_endpoint(bx_settings *settings, const char *text, size_t length, int insecure_http);

/* Takes the new address of a portal that has moved: its scheme, host and port; the path too, when the text has one and the
   settings are OAuth's (what a webhook has there is its secret). https, or http within this machine. As
   bx_settings_webhook; the settings stay as they are when it is refused. */
const char *bx_settings_move(bx_settings *settings, const char *text, size_t length);

/* Takes the access token to send from now on, and knows it as a secret. As bx_settings_webhook. */
const char *bx_settings_token(bx_settings *settings, const char *text, size_t length);

/* NULL when a form with secrets may be sent to the address: https, or http within this machine, and none of its parts a
   secret. As bx_settings_webhook. */
const char *bx_settings_check_form(const char *text, size_t length);

/* Takes a proxy's address, "" for none. As bx_settings_webhook. */
const char *bx_settings_proxy(bx_settings *settings, const char *text, size_t length);

/* Takes one header to send with each request. As bx_settings_webhook. */
const char *bx_settings_header(bx_settings *settings, const char *name, size_t name_length, const char *value,
                               size_t value_length);

/* The same for one request: *headers, NULL at first, becomes a copy of the settings' with the header behind them. The caller
   frees it, also after a failure. */
const char *bx_settings_add_header(const bx_settings *settings, struct curl_slist **headers, const char *name,
                                   size_t name_length, const char *value, size_t value_length);

/* Whether the text can stand in a header: not empty, printable bytes, no NUL, CR, LF. */
int bx_settings_printable(const char *text, size_t length);

void bx_settings_free(bx_settings *settings);

#endif
