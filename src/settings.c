/* A client's settings: see settings.h. */
#include "settings.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "version.h"

const char bx_settings_no_memory[] = "not enough memory";

static const char a_webhook[] = "the address of an inbound webhook expected, like "
                                "https://acme.bitrix24.com/rest/<user>/<code>/, without a method's name";

static int add_line(struct curl_slist **headers, const char *line) {
  struct curl_slist *longer = curl_slist_append(*headers, line);
  if (longer == NULL) return -1;
  *headers = longer;
  return 0;
}

int bx_settings_init(bx_settings *settings) {
  static const char agent[] = "bitrix-lua/" BX_VERSION;
  /* "Expect:" switches off the wait for "100 Continue" that libcurl asks for before large bodies. */
  static const char *const lines[] = {"Content-Type: application/json",
                                      "Expect:"}; /* Accept: goes with a request's id */
  size_t i;
  memset(settings, 0, sizeof *settings);
  settings->http.timeout = 70;
  settings->http.connect_timeout = 5;
  settings->http.max_response = (size_t)64 << 20;
  settings->http.max_connections = 256;
  settings->http.verify = 1;
  for (i = 0; i < sizeof lines / sizeof *lines; i++)
    if (add_line(&settings->http.headers, lines[i]) != 0) return -1;
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

/* The path of an OAuth endpoint ends in "/rest/", or "/rest/api/". */
static const char *find_rest(const char *path, size_t *length) {
  static const char *const ends[] = {"/rest/", "/rest/api/"};
  size_t i, n = strlen(path);
  for (i = 0; i < sizeof ends / sizeof *ends; i++) {
    *length = strlen(ends[i]);
    if (n >= *length && strcmp(path + n - *length, ends[i]) == 0) return path + n - *length;
  }
  return NULL;
}

/* Any path will do. */
static const char *find_any(const char *path, size_t *length) {
  *length = strlen(path);
  return path;
}

/* A kind of address that the client is given. */
typedef struct kind {
  const char *expected;
  const char *(*find)(const char *path, size_t *length); /* the part of a path that makes it this kind, or NULL */
  int is_secret;                                         /* that part is one */
} kind;

static const kind webhook_kind = {a_webhook, find_code, 1};
static const kind endpoint_kind = {"the portal's REST address expected, like https://acme.bitrix24.com/rest/",
                                   find_rest, 0};
static const kind form_kind = {"an address expected, like https://oauth.bitrix.info/oauth/token/", find_any, 0};

/* Looks at the parsed address: NULL, or what is wrong. Appends to `place` what may be shown of it. With `settings` adds the
   secret that is in the path to theirs, and keeps plain http from leaving the machine. */
static const char *take_address(bx_settings *settings, CURLU *url, const kind *k, int insecure_http, bx_buffer *place) {
  static const CURLUPart refused[] = {CURLUPART_USER, CURLUPART_QUERY, CURLUPART_FRAGMENT};
  char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL, *extra = NULL;
  const char *problem = k->expected, *found;
  size_t length = 0, i;
  for (i = 0; i < sizeof refused / sizeof *refused && extra == NULL; i++)
    if (curl_url_get(url, refused[i], &extra, 0) == CURLUE_OUT_OF_MEMORY) problem = bx_settings_no_memory;
  if (extra != NULL || problem == bx_settings_no_memory) goto out;
  problem = bx_settings_no_memory;
  if (curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
      curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
      curl_url_get(url, CURLUPART_PATH, &path, 0) != CURLUE_OK)
    goto out;
  if (curl_url_get(url, CURLUPART_PORT, &port, 0) == CURLUE_OUT_OF_MEMORY) goto out;
  problem = k->expected;
  if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0) goto out;
  if ((found = k->find(path, &length)) == NULL) goto out;
  problem = "https expected; plain http is for this machine's own addresses, or with insecure_http = true";
  if (strcmp(scheme, "http") == 0 && !insecure_http && !is_loopback(host)) goto out;
  problem = bx_settings_no_memory;
  if (settings != NULL && k->is_secret && bx_secrets_add(&settings->secrets, found, length) != 0) goto out;
  if (bx_buffer_puts(place, scheme) != 0 || bx_buffer_puts(place, "://") != 0 || bx_buffer_puts(place, host) != 0)
    goto out;
  if (port != NULL && (bx_buffer_puts(place, ":") != 0 || bx_buffer_puts(place, port) != 0)) goto out;
  if (bx_buffer_append(place, "", 1) != 0) goto out;
  /* In the clear only within this machine: not to a proxy of the environment either. */
  if (settings != NULL && strcmp(scheme, "http") == 0 && !insecure_http && settings->http.proxy == NULL) {
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
  return problem;
}

/* Reads an address of the kind into `base`, with a slash at its end, and `place`, both with a NUL behind them. */
static const char *read_address(bx_settings *settings, const char *text, size_t length, const kind *k,
                                int insecure_http, bx_buffer *base, bx_buffer *place) {
  const char *problem = bx_settings_no_memory;
  CURLU *url;
  CURLUcode parsed;
  while (length > 0 && memchr(" \t\r\n", *text, 4) != NULL) text++, length--;
  while (length > 0 && memchr(" \t\r\n", text[length - 1], 4) != NULL) length--;
  if (!bx_settings_printable(text, length) || memchr(text, ' ', length) != NULL) return k->expected;
  if (bx_buffer_append(base, text, length) != 0 || (text[length - 1] != '/' && bx_buffer_puts(base, "/") != 0) ||
      bx_buffer_append(base, "", 1) != 0)
    return problem;
  if ((url = curl_url()) == NULL) return problem;
  parsed = curl_url_set(url, CURLUPART_URL, base->data, 0);
  if (parsed != CURLUE_OUT_OF_MEMORY)
    problem = parsed == CURLUE_OK ? take_address(settings, url, k, insecure_http, place) : k->expected;
  curl_url_cleanup(url);
  return problem;
}

static const char *set_address(bx_settings *settings, const char *text, size_t length, const kind *k,
                               int insecure_http) {
  bx_buffer base = {NULL, 0, 0}, place = {NULL, 0, 0};
  const char *problem = read_address(settings, text, length, k, insecure_http, &base, &place);
  if (problem == NULL) {
    set_text(&settings->base, base.data);
    set_text(&settings->place, place.data);
  } else {
    bx_buffer_free(&base);
    bx_buffer_free(&place);
  }
  return problem;
}

const char *bx_settings_webhook(bx_settings *settings, const char *text, size_t length, int insecure_http) {
  return set_address(settings, text, length, &webhook_kind, insecure_http);
}

const char *bx_settings_endpoint(bx_settings *settings, const char *text, size_t length, int insecure_http) {
  const char *problem = set_address(settings, text, length, &endpoint_kind, insecure_http);
  if (problem == NULL) settings->oauth = 1;
  return problem;
}

/* Where the path begins in "https://host/path"; the end where there is none. */
static size_t path_at(const char *text, size_t length) {
  size_t i = 0, slashes = 0;
  while (i < length && !(text[i] == '/' && ++slashes == 3)) i++;
  return i;
}

const char *bx_settings_move(bx_settings *settings, const char *text, size_t length) {
  const char *own = settings->base + path_at(settings->base, strlen(settings->base)), *problem;
  size_t origin = path_at(text, length);
  bx_buffer whole = {NULL, 0, 0}, base = {NULL, 0, 0}, place = {NULL, 0, 0};
  int has_path = settings->oauth && length - origin > 1;
  if (bx_buffer_append(&whole, text, has_path ? length : origin) != 0 ||
      (!has_path && bx_buffer_puts(&whole, own) != 0)) {
    bx_buffer_free(&whole);
    return bx_settings_no_memory;
  }
  /* Without the settings: what is secret in the path is known, and the engine's thread reads the transport's part. */
  problem = read_address(NULL, whole.data, whole.length, settings->oauth ? &endpoint_kind : &webhook_kind,
                         /* insecure_http */ 0, &base, &place);
  bx_buffer_free(&whole);
  if (problem != NULL) {
    bx_buffer_free(&base);
    bx_buffer_free(&place);
    return problem;
  }
  set_text(&settings->base, base.data);
  set_text(&settings->place, place.data);
  return NULL;
}

const char *bx_settings_token(bx_settings *settings, const char *text, size_t length) {
  char *copy;
  size_t i;
  /* So that it stands in JSON as it is. */
  for (i = 0; i < length; i++)
    if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\') return "an access token expected";
  if (length == 0 || length > LONGEST_VALUE) return "an access token expected";
  if (bx_secrets_add_token(&settings->secrets, text, length) != 0 || (copy = bx_strndup(text, length)) == NULL)
    return bx_settings_no_memory;
  set_text(&settings->token, copy);
  return NULL;
}

const char *bx_settings_check_form(const char *text, size_t length) {
  bx_buffer base = {NULL, 0, 0}, place = {NULL, 0, 0};
  const char *problem = read_address(NULL, text, length, &form_kind, 0, &base, &place);
  bx_buffer_free(&base);
  bx_buffer_free(&place);
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

static const char *add_header(struct curl_slist **headers, const char *name, size_t name_length, const char *value,
                              size_t value_length) {
  static const char *const ours[] = {"Content-Type", "Content-Length", "Transfer-Encoding", "Expect",
                                     "Host",         "Accept",         "Accept-Encoding",   "Connection",
                                     "X-Request-ID", "User-Agent"};
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
    added = add_line(headers, line.data);
  bx_buffer_free(&line);
  return added == 0 ? NULL : bx_settings_no_memory;
}

const char *bx_settings_header(bx_settings *settings, const char *name, size_t name_length, const char *value,
                               size_t value_length) {
  return add_header(&settings->http.headers, name, name_length, value, value_length);
}

const char *bx_settings_add_header(const bx_settings *settings, struct curl_slist **headers, const char *name,
                                   size_t name_length, const char *value, size_t value_length) {
  const struct curl_slist *line;
  if (*headers == NULL)
    for (line = settings->http.headers; line != NULL; line = line->next)
      if (add_line(headers, line->data) != 0) return bx_settings_no_memory;
  return add_header(headers, name, name_length, value, value_length);
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
  set_text(&settings->token, NULL);
  bx_secrets_free(&settings->secrets);
}
