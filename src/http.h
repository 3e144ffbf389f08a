/* One HTTP exchange over libcurl. Promises: http and https only, certificates verified, no redirect followed, no body
   sent twice, answers capped, connections kept, and a forked child never uses its parent's.
   Knows no Lua and no Bitrix24 beyond "POST". Nothing here throws; no callback leaves C. */
#ifndef BX_HTTP_H
#define BX_HTTP_H

#include <sys/types.h>

#include "transfer.h"

/* A kept libcurl handle with its connections. All zero is valid: it is opened at first use. */
typedef struct bx_http {
  CURL *easy;
  CURLU *url;        /* the last address, parsed; libcurl would parse and print it anew for each request */
  bx_buffer asked;   /* its text */
  unsigned requests; /* how often libcurl was about to send, in this transfer */
  pid_t pid;         /* the process that opened it: after a fork its connections belong to the parent */
  /* NULL, or asked right before sending: may this connection, whose end here is at that port, carry the request? Where it
     may not, nothing is sent, and `unfit` is set. */
  int (*is_fit)(void *owner, int here_port);
  void *owner;
  unsigned unfit : 1;
  char problem[CURL_ERROR_SIZE];
} bx_http;

/* curl_global_init, once in the process, never undone. 0, or -1 when libcurl refuses. */
int bx_http_global_init(void);

/* Seconds on a clock that never jumps. */
double bx_http_now(void);

/* Makes the handle ready to send the transfer, for whoever runs it: bx_http_perform, or the engine with libcurl's multi
   interface. What an earlier attempt left in `t` is dropped first.
   deadline: seconds left for the caller; negative: no deadline; 0: nothing is sent, the deadline has passed.
   fresh: not on a kept connection. settings, t and t's request must stay as they are until bx_http_end.
   True when ready; false when the transfer is done already: no time left, no memory.
   libcurl repeats a request by itself when a kept connection dies under it; here it is kept from
   that, so that a portal never sees one call twice. */
int bx_http_begin(bx_http *http, const bx_http_settings *settings, bx_transfer *t, double deadline, int fresh);

/* Takes what came of it: t->done, and either t->result == CURLE_OK with status and answer, or another result with
   problem. `result` is libcurl's; or CURLE_OK with t->cancelled set, when the caller stopped it. */
void bx_http_end(bx_http *http, bx_transfer *t, CURLcode result);

/* Sends the transfer and waits for the end: bx_http_begin, libcurl, bx_http_end. */
void bx_http_perform(bx_http *http, const bx_http_settings *settings, bx_transfer *t, double deadline);

/* Closes the connections and frees the handle; in another process than the one that opened it the handle is
   abandoned instead, because closing it would disturb that process's connections. Usable again afterwards. */
void bx_http_close(bx_http *http);

#endif
