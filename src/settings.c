/* A client's settings: see settings.h. */
#include "settings.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "version.h"

const char bx_settings_no_memory[] = "not enough memory";

static const char a_webhook[] = "the address of an inbound webhook expected, like "
                                "https://acme.bitrix24.com/rest/<user>/<code>/, without a method's name";

static int add_header(bx_settings *settings, const char *line) {
  struct curl_slist *longer = curl_slist_append(settings->http.headers, line);
  if (longer == NULL) return -1;
  settings->http.headers = longer;
  return 0;
}

int bx_settings_init(bx_settings *settings) {
  static const char agent[] = "bitrix-lua/" BX_VERSION;
  /* "Expect:" switches off the wait for "100 Continue" that libcurl asks for before large bodies. */
  static const char *const lines[] = {"Content-Type: application/json", "Accept: application/json", "Expect:"};
  size_t i;
  memset(settings, 0, sizeof *settings);
  settings->http.timeout = 70;
  settings->http.connect_timeout = 5;
  settings->http.max_response = (size_t)64 << 20;
  settings->http.max_connections = 256;
  settings->http.verify = 1;
  for (i = 0; i < sizeof lines / sizeof *lines; i++)
    if (add_header(settings, lines[i]) != 0) return -1;
  settings->http.user_agent = bx_strndup(agent, sizeof agent - 1);
  return settings->http.user_agent != NULL ? 0 : -1;
}

enum { LONGEST_VALUE = 8192 };

static void set_text(char **place, char *text) {
  bx_free(*place);
  *place = text;
}

static int is_loopback(const char *host) {
  struct in_addr address;
  if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0) return 1;
  return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

/* The last part of ".../rest/<digits>/<code>[/]" or ".../rest/api/<digits>/<code>[/]", or NULL. */
static const char *find_code(const char *path, size_t *length) {
  const char *p = NULL, *next, *code;
  for (next = path; (next = strstr(next, "/rest/")) != NULL; next++) p = next;
  if (p == NULL) return NULL;
  p += 6;
  if (strncmp(p, "api/", 4) == 0) p += 4;
  code = p + strspn(p, "0123456789");
  if (code == p || *code != '/') return NULL;
  code++;
  *length = strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~");
  if (*length == 0) return NULL;
  p = code + *length;
  return *p == '\0' || strcmp(p, "/") == 0 ? code : NULL;
}

/* What of the parsed address a webhook may have; sets `place`, adds the code to the secrets. */
static const char *take_webhook(bx_settings *settings, CURLU *url, int insecure_http) {
  static const CURLUPart refused[] = {CURLUPART_USER, CURLUPART_QUERY, CURLUPART_FRAGMENT};
  char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL, *extra = NULL;
  const char *problem = a_webhook, *code;
  size_t length = 0, i;
  bx_buffer place = {NULL, 0, 0};
  for (i = 0; i < sizeof refused / sizeof *refused && extra == NULL; i++)
    if (curl_url_get(url, refused[i], &extra, 0) == CURLUE_OUT_OF_MEMORY) problem = bx_settings_no_memory;
  if (extra != NULL || problem == bx_settings_no_memory) goto out;
  problem = bx_settings_no_memory;
  if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
      curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
      curl_url_get(url, CURLUPART_PATH, &path, 0) != CURLUE_OK)
    goto out;
  if (curl_url_get(url, CURLUPART_PORT, &port, 0) == CURLUE_OUT_OF_MEMORY) goto out;
  problem = a_webhook;
  if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0) goto out;
  if ((code = find_code(path, &length)) == NULL) goto out;
  problem = "https expected; plain http is for this machine's own addresses, or with insecure_http = true";
  if (strcmp(scheme, "http") == 0 && !insecure_http && !is_loopback(host)) goto out;
  problem = bx_settings_no_memory;
  if (bx_secrets_add(&settings->secrets, code, length) != 0) goto out;
  if (bx_buffer_puts(&place, scheme) != 0 || bx_buffer_puts(&place, "://") != 0 || bx_buffer_puts(&place, host) != 0)
    goto out;
  if (port != NULL && (bx_buffer_puts(&place, ":") != 0 || bx_buffer_puts(&place, port) != 0)) goto out;
  set_text(&settings->place, bx_strndup(place.data, place.length));
  if (settings->place == NULL) goto out;
  /* In the clear only within this machine: not to a proxy of the environment either. */
  if (strcmp(scheme, "http") == 0 && !insecure_http && settings->http.proxy == NULL) {
    settings->http.proxy = bx_strndup("", 0);
    if (settings->http.proxy == NULL) goto out;
  }
  problem = NULL;
out:
  curl_free(scheme);
  curl_free(host);
  curl_free(port);
  curl_free(path);
  curl_free(extra);
  bx_buffer_free(&place);
  return problem;
}

const char *bx_settings_webhook(bx_settings *settings, const char *text, size_t length, int insecure_http) {
  bx_buffer base = {NULL, 0, 0};
  const char *problem = bx_settings_no_memory;
  CURLU *url;
  CURLUcode parsed;
  while (length > 0 && memchr(" \t\r\n", *text, 4) != NULL) text++, length--;
  while (length > 0 && memchr(" \t\r\n", text[length - 1], 4) != NULL) length--;
  if (!bx_settings_printable(text, length) || memchr(text, ' ', length) != NULL) return a_webhook;
  if (bx_buffer_append(&base, text, length) != 0 || (text[length - 1] != '/' && bx_buffer_puts(&base, "/") != 0) ||
      bx_buffer_append(&base, "", 1) != 0) {
    bx_buffer_free(&base);
    return problem;
  }
  set_text(&settings->base, base.data);
  if ((url = curl_url()) == NULL) return problem;
  parsed = curl_url_set(url, CURLUPART_URL, settings->base, 0);
  if (parsed != CURLUE_OUT_OF_MEMORY)
    problem = parsed == CURLUE_OK ? take_webhook(settings, url, insecure_http) : a_webhook;
  curl_url_cleanup(url);
  return problem;
}

/* libcurl calls a login that it has no memory to copy a bad one; there are no others. */
static int ran_out(CURLUcode code) {
#if LIBCURL_VERSION_NUM >= 0x075100
  if (code == CURLUE_BAD_LOGIN) return 1;
#endif
  return code == CURLUE_OUT_OF_MEMORY;
}

/* What of the parsed proxy's address counts: a scheme that libcurl can speak to it, and the password as a secret. */
static const char *take_proxy(bx_settings *settings, CURLU *url, const char *expected) {
  static const char *const schemes[] = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"};
  static const unsigned spellings[] = {0, CURLU_URLDECODE};
  const char *problem = expected;
  char *scheme = NULL;
  size_t i;
  if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK) return bx_settings_no_memory;
  for (i = 0; i < sizeof schemes / sizeof *schemes; i++)
    if (strcmp(scheme, schemes[i]) == 0) problem = NULL;
  curl_free(scheme);
  for (i = 0; problem == NULL && i < 2; i++) {
    char *password = NULL;
    CURLUcode code = curl_url_get(url, CURLUPART_PASSWORD, &password, spellings[i]);
    if (code == CURLUE_OUT_OF_MEMORY) problem = bx_settings_no_memory;
    if (code == CURLUE_OK && *password != '\0' && bx_secrets_add(&settings->secrets, password, strlen(password)) != 0)
      problem = bx_settings_no_memory;
    curl_free(password);
  }
  return problem;
}

const char *bx_settings_proxy(bx_settings *settings, const char *text, size_t length) {
  static const char a_proxy[] = "a proxy's address expected, like http://proxy.local:3128";
  const char *problem = bx_settings_no_memory;
  CURLU *url;
  CURLUcode parsed;
  if (length > 0 && (!bx_settings_printable(text, length) || memchr(text, ' ', length) != NULL)) return a_proxy;
  set_text(&settings->http.proxy, bx_strndup(text, length));
  if (settings->http.proxy == NULL) return bx_settings_no_memory;
  if (length == 0) return NULL;
  if ((url = curl_url()) == NULL) return bx_settings_no_memory;
  parsed = curl_url_set(url, CURLUPART_URL, settings->http.proxy,
                        strstr(settings->http.proxy, "://") != NULL ? CURLU_NON_SUPPORT_SCHEME : CURLU_DEFAULT_SCHEME);
  if (!ran_out(parsed)) problem = parsed == CURLUE_OK ? take_proxy(settings, url, a_proxy) : a_proxy;
  curl_url_cleanup(url);
  return problem;
}

const char *bx_settings_header(bx_settings *settings, const char *name, size_t name_length, const char *value,
                               size_t value_length) {
  static const char *const ours[] = {"Content-Type", "Content-Length",  "Transfer-Encoding", "Expect",    "Host",
                                     "Accept",       "Accept-Encoding", "Connection",        "User-Agent"};
  static const char token[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~";
  bx_buffer line = {NULL, 0, 0};
  int added = -1;
  size_t i;
  if (name_length == 0 || strspn(name, token) != name_length) return "a header's name expected";
  if (!bx_settings_printable(value, value_length) || value_length > LONGEST_VALUE)
    return "a header's value expected: printable, not empty, 8192 bytes at most";
  for (i = 0; i < sizeof ours / sizeof *ours; i++)
    if (strcasecmp(name, ours[i]) == 0)
      return i + 1 == sizeof ours / sizeof *ours ? "the option 'user_agent' sets User-Agent"
                                                 : "a header that the client does not set itself expected";
  if (bx_buffer_append(&line, name, name_length) == 0 && bx_buffer_puts(&line, ": ") == 0 &&
      bx_buffer_append(&line, value, value_length) == 0 && bx_buffer_append(&line, "", 1) == 0)
    added = add_header(settings, line.data);
  bx_buffer_free(&line);
  return added == 0 ? NULL : bx_settings_no_memory;
}

int bx_settings_printable(const char *text, size_t length) {
  size_t i;
  for (i = 0; i < length; i++)
    if ((unsigned char)text[i] < ' ' || text[i] == 127) return 0;
  return length > 0;
}

void bx_settings_free(bx_settings *settings) {
  curl_slist_free_all(settings->http.headers);
  settings->http.headers = NULL;
  set_text(&settings->http.user_agent, NULL);
  set_text(&settings->http.ca_file, NULL);
  set_text(&settings->http.proxy, NULL);
  set_text(&settings->base, NULL);
  set_text(&settings->place, NULL);
  bx_secrets_free(&settings->secrets);
}
