/* One HTTP exchange over libcurl: see http.h. */
#include "http.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int bx_http_global_init(void) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static int done = 0;
  int ok;
  pthread_mutex_lock(&mutex);
  if (!done) done = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  ok = done;
  pthread_mutex_unlock(&mutex);
  return ok ? 0 : -1;
}

double bx_http_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t on_answer(char *bytes, size_t size, size_t count, void *user) {
  bx_transfer *t = user;
  size_t length = size * count, room = t->max_answer - t->answer.length;
  if (length > room) {
    t->too_large = 1;
    length = room;
  }
  if (bx_buffer_append(&t->answer, bytes, length) != 0) {
    t->out_of_memory = 1;
    return 0;
  }
  /* libcurl's own STARTTRANSFER_TIME is, when a body is sent by a callback, the time of its first byte. */
  if (t->seconds[BX_FIRST_BYTE] == 0) t->seconds[BX_FIRST_BYTE] = bx_http_now() - t->started;
  return t->too_large ? 0 : length;
}

/* How the body is sent. libcurl repeats a request by itself on a new connection when a kept one dies before the answer
   comes, although the portal may have run the call. There are two ways to stop it. */
#if LIBCURL_VERSION_NUM >= 0x075000 && !defined(BX_BODY_BY_CALLBACK)

/* libcurl asks before each request that it is about to send, so also before it sends one again. How much of the first
   went out is not looked at: its counters differ from version to version, and a call that runs twice is worse than
   one whose outcome is unknown. */
static int on_request(void *user, char *there, char *here, int there_port, int here_port) {
  bx_http *http = user;
  (void)there, (void)here, (void)there_port;
  if (http->is_fit != NULL && http->requests == 0 && !http->is_fit(http->owner, here_port)) {
    http->unfit = 1;
    return CURL_PREREQFUNC_ABORT;
  }
  return http->requests++ == 0 ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static CURLcode set_sender(bx_http *http) {
  CURLcode code = curl_easy_setopt(http->easy, CURLOPT_PREREQFUNCTION, on_request);
  return code == CURLE_OK ? curl_easy_setopt(http->easy, CURLOPT_PREREQDATA, http) : code;
}

static CURLcode set_body(bx_http *http, bx_transfer *t) {
  http->requests = 0;
  http->unfit = 0;
  return curl_easy_setopt(http->easy, CURLOPT_POSTFIELDS, t->body.data);
}

static void take_sent(bx_http *http, bx_transfer *t) {
  t->sent = http->requests > 0 ? t->body.length : 0;
  if (t->result == CURLE_ABORTED_BY_CALLBACK) t->result = CURLE_SEND_FAIL_REWIND;
}

#else

/* Before libcurl 7.80: the body comes from a callback, in a packet of its own, and cannot be had a second time. */
static size_t on_send(char *room, size_t size, size_t count, void *user) {
  bx_transfer *t = user;
  size_t length = t->body.length - t->sent;
  if (length > size * count) length = size * count;
  memcpy(room, t->body.data + t->sent, length);
  t->sent += length;
  return length;
}

static int on_rewind(void *user, curl_off_t offset, int origin) {
  const bx_transfer *t = user;
  return t->sent == 0 && offset == 0 && origin == SEEK_SET ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

static CURLcode set_sender(bx_http *http) {
  CURLcode code = curl_easy_setopt(http->easy, CURLOPT_READFUNCTION, on_send);
  return code == CURLE_OK ? curl_easy_setopt(http->easy, CURLOPT_SEEKFUNCTION, on_rewind) : code;
}

static CURLcode set_body(bx_http *http, bx_transfer *t) {
  CURLcode code = curl_easy_setopt(http->easy, CURLOPT_READDATA, t);
  return code == CURLE_OK ? curl_easy_setopt(http->easy, CURLOPT_SEEKDATA, t) : code;
}

static void take_sent(bx_http *http, bx_transfer *t) { (void)http, (void)t; }

#endif

/* With a default CApath, which Debian's libcurl has, each new TLS connection parses the CA bundle anew, 40 ms of
   CPU; without it libcurl keeps the parsed bundle. It may go only where a CA file remains. */
static int has_ca_file(const bx_http_settings *settings) {
  if (settings->ca_file != NULL) return 1;
#if LIBCURL_VERSION_NUM >= 0x074600
  {
    const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);
    return built->age >= CURLVERSION_SEVENTH && built->cainfo != NULL && access(built->cainfo, R_OK) == 0;
  }
#else
  return 0;
#endif
}

/* Rounded up: 0 would be no limit to libcurl. */
static long milliseconds(double seconds) {
  long n = (long)(seconds * 1000);
  return n < seconds * 1000 ? n + 1 : n > 0 ? n : 1;
}

/* What the program starts must not hold the portal's connection. */
static int on_socket(void *user, curl_socket_t fd, curlsocktype purpose) {
  (void)user;
  (void)purpose;
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  return CURL_SOCKOPT_OK;
}

static CURLcode set_options(bx_http *http, const bx_http_settings *settings) {
  CURL *easy = http->easy;
  CURLcode code = CURLE_OK;
#define SET(option, value) \
  if (code == CURLE_OK) code = curl_easy_setopt(easy, option, value)
  SET(CURLOPT_USERAGENT, settings->user_agent);
  SET(CURLOPT_POST, 1L);
  SET(CURLOPT_WRITEFUNCTION, on_answer);
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_SOCKOPTFUNCTION, on_socket);
  SET(CURLOPT_NOPROGRESS, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
  /* Without it a timeout in the resolver waits for the end of getaddrinfo, which knows no timeout. */
  SET(CURLOPT_QUICK_EXIT, 1L);
#endif
  SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_TCP_KEEPALIVE, 1L);
  SET(CURLOPT_MAXCONNECTS, 1L); /* a connection that is not used again is closed by the next one */
  SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  SET(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(settings->connect_timeout));
#if LIBCURL_VERSION_NUM >= 0x075500
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  SET(CURLOPT_SSL_VERIFYPEER, settings->verify ? 1L : 0L);
  SET(CURLOPT_SSL_VERIFYHOST, settings->verify ? 2L : 0L);
  if (settings->ca_file != NULL) SET(CURLOPT_CAINFO, settings->ca_file);
  if (has_ca_file(settings)) SET(CURLOPT_CAPATH, NULL);
  if (settings->proxy != NULL) SET(CURLOPT_PROXY, settings->proxy);
#undef SET
  if (code == CURLE_OK) code = set_sender(http);
  /* A libcurl that was built without zlib refuses this one; answers then come as they are. */
  if (code == CURLE_OK && curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip") == CURLE_OUT_OF_MEMORY)
    code = CURLE_OUT_OF_MEMORY;
  return code;
}

static CURLcode open_handle(bx_http *http, const bx_http_settings *settings) {
  CURLcode code = CURLE_OUT_OF_MEMORY;
  if (http->easy != NULL && http->pid != getpid()) bx_http_close(http);
  if (http->easy != NULL) return CURLE_OK;
  http->pid = getpid();
  http->easy = curl_easy_init();
  if (http->easy != NULL) code = set_options(http, settings);
  if (code != CURLE_OK) bx_http_close(http);
  return code;
}

/* A fifth of what libcurl does for a small request is parsing its address, mostly the same as the last time. */
static CURLcode set_url(bx_http *http, const bx_buffer *url) {
  CURLcode code;
  CURLUcode parsed;
  if (http->asked.length == url->length && memcmp(http->asked.data, url->data, url->length) == 0) return CURLE_OK;
  http->asked.length = 0;
  if (http->url == NULL && (http->url = curl_url()) == NULL) return CURLE_OUT_OF_MEMORY;
  parsed = curl_url_set(http->url, CURLUPART_URL, url->data, 0);
  if (parsed != CURLUE_OK) return parsed == CURLUE_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_URL_MALFORMAT;
  /* The text as well: libcurl would print its own, and say "No URL set" if it has no memory for that. */
  code = curl_easy_setopt(http->easy, CURLOPT_URL, url->data);
  if (code == CURLE_OK) code = curl_easy_setopt(http->easy, CURLOPT_CURLU, http->url);
  if (code == CURLE_OK && bx_buffer_append(&http->asked, url->data, url->length) != 0) code = CURLE_OUT_OF_MEMORY;
  return code;
}

/* Whether the kept connection has something to say although nothing was asked: its end, or what would be taken
   for the answer to the next call. */
static int spoken_unasked(bx_http *http) {
  curl_socket_t kept = CURL_SOCKET_BAD;
  struct pollfd p;
  if (curl_easy_getinfo(http->easy, CURLINFO_ACTIVESOCKET, &kept) != CURLE_OK || kept == CURL_SOCKET_BAD) return 0;
  p.fd = kept;
  p.events = POLLIN;
  p.revents = 0;
  return poll(&p, 1, 0) > 0;
}

static void take_result(bx_http *http, bx_transfer *t) {
  static const struct {
    int point;
    CURLINFO info;
  } points[] = {
      {BX_DNS, CURLINFO_NAMELOOKUP_TIME_T},
      {BX_CONNECT, CURLINFO_CONNECT_TIME_T},
      {BX_TLS, CURLINFO_APPCONNECT_TIME_T},
      {BX_TOTAL, CURLINFO_TOTAL_TIME_T},
  };
  const char *redirect = NULL;
  curl_off_t before_sending = 0;
  size_t i;
  take_sent(http, t);
  curl_easy_getinfo(http->easy, CURLINFO_PRETRANSFER_TIME_T, &before_sending);
  t->connected = before_sending > 0;
  for (i = 0; i < sizeof points / sizeof *points; i++) {
    curl_off_t microseconds = 0;
    curl_easy_getinfo(http->easy, points[i].info, &microseconds);
    t->seconds[points[i].point] = (double)microseconds / 1e6;
  }
  curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &t->status);
  /* The two clocks started a moment apart; and an answer without a body has its first byte at its end. */
  if (t->status != 0 && (t->seconds[BX_FIRST_BYTE] == 0 || t->seconds[BX_FIRST_BYTE] > t->seconds[BX_TOTAL]))
    t->seconds[BX_FIRST_BYTE] = t->seconds[BX_TOTAL];
  /* An interim answer (100, 103) is none. */
  if (t->status < 200) t->status = 0;
  /* libcurl says this of a header line above 100 KB, too. A call that was answered may have run: that must be told. */
  if (t->result == CURLE_OUT_OF_MEMORY && t->status == 0) t->out_of_memory = 1;
  if (t->status / 100 == 3) {
    curl_easy_getinfo(http->easy, CURLINFO_REDIRECT_URL, &redirect);
    if (redirect != NULL && (t->redirect = bx_strndup(redirect, strlen(redirect))) == NULL) t->out_of_memory = 1;
  }
  if (t->result != CURLE_OK) {
    long connect_status = 0;
    curl_easy_getinfo(http->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
    if (t->result == CURLE_RECV_ERROR && t->sent == 0 && t->status == 0 && connect_status / 100 > 2)
      t->result = CURLE_COULDNT_CONNECT; /* the proxy refused the tunnel */
    if (t->result == CURLE_COULDNT_RESOLVE_PROXY && strncmp(http->problem, "Unsupported proxy syntax", 24) == 0)
      strcpy(http->problem, "the proxy's address is not understood"); /* libcurl shows it, with its password */
    if (t->result == CURLE_OUT_OF_MEMORY)
      strcpy(http->problem, "the answer's headers are too large, or memory ran out");
    if (t->cancelled)
      bx_transfer_problem(t, "the call was cancelled before its answer came");
    else if (t->result == CURLE_SEND_FAIL_REWIND)
      bx_transfer_problem(t, "the connection was closed before the answer came");
    else
      bx_transfer_problem(t, http->problem[0] != '\0' ? http->problem : curl_easy_strerror(t->result));
  }
}

/* The headers of this request. Those that are shared are only pointed to. Two headers are one line to libcurl, which
   sends it as it is: each line costs it some thousand instructions. */
static struct curl_slist *headers_of(const bx_http_settings *settings, bx_transfer *t) {
  struct curl_slist *others = t->headers != NULL ? t->headers : settings->headers;
  if (t->id[0] == '\0') return others;
  memcpy(t->id_text, BX_ID_LINE, sizeof BX_ID_LINE - 1);
  memcpy(t->id_text + sizeof BX_ID_LINE - 1, t->id, sizeof t->id);
  t->id_line.data = t->id_text;
  t->id_line.next = others;
  return &t->id_line;
}

int bx_http_begin(bx_http *http, const bx_http_settings *settings, bx_transfer *t, double deadline, int fresh) {
  CURLcode code;
  bx_transfer_drop_answer(t);
  t->at_deadline = deadline >= 0 && deadline < settings->timeout;
  t->limit = t->at_deadline ? deadline : settings->timeout;
  if (t->limit <= 0) {
    bx_transfer_refuse(t, CURLE_OPERATION_TIMEDOUT, "the deadline passed before the request was sent");
    t->at_deadline = 1;
    return 0;
  }
  code = open_handle(http, settings);
#define SET(option, value) \
  if (code == CURLE_OK) code = curl_easy_setopt(http->easy, option, value)
  t->max_answer = settings->max_response;
  http->problem[0] = '\0';
  SET(CURLOPT_FRESH_CONNECT, (long)fresh);
  SET(CURLOPT_HTTPHEADER, headers_of(settings, t));
  if (code == CURLE_OK) code = set_url(http, &t->url);
  if (code == CURLE_OK) code = set_body(http, t);
  SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body.length);
  SET(CURLOPT_TIMEOUT_MS, milliseconds(t->limit));
  SET(CURLOPT_WRITEDATA, t);
  SET(CURLOPT_ERRORBUFFER, http->problem);
#undef SET
  if (code != CURLE_OK) {
    bx_transfer_refuse(t, code, curl_easy_strerror(code));
    return 0;
  }
  t->started = bx_http_now();
  return 1;
}

void bx_http_end(bx_http *http, bx_transfer *t, CURLcode result) {
  t->result = t->cancelled ? CURLE_ABORTED_BY_CALLBACK : result;
  take_result(http, t);
  if (t->cancelled) t->seconds[BX_TOTAL] = bx_http_now() - t->started;
  t->done = 1;
}

void bx_http_perform(bx_http *http, const bx_http_settings *settings, bx_transfer *t, double deadline) {
  if (!bx_http_begin(http, settings, t, deadline, 0)) return;
  if (spoken_unasked(http)) curl_easy_setopt(http->easy, CURLOPT_FRESH_CONNECT, 1L);
  bx_http_end(http, t, curl_easy_perform(http->easy));
}

void bx_http_close(bx_http *http) {
  if (http->easy != NULL && http->pid == getpid()) {
    curl_easy_cleanup(http->easy);
    curl_url_cleanup(http->url);
  }
  bx_buffer_free(&http->asked);
  http->easy = NULL;
  http->url = NULL;
}
