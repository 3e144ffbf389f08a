/* One HTTP exchange over libcurl. Promises: http and https only, certificates verified, no redirect followed, no body
   sent twice, answers capped, connections kept, and a forked child never uses its parent's.
   Knows no Lua and no Bitrix24 beyond "POST". Nothing here throws; no callback leaves C. */
#ifndef BX_HTTP_H
#define BX_HTTP_H

#include <curl/curl.h>
#include <stddef.h>
#include <sys/types.h>

#include "buffer.h"
#include "outcome.h"

/* What does not change from one request of a client to the next. Texts belong to the owner of this struct. */
typedef struct bx_http_settings {
  char *user_agent;
  char *ca_file;              /* NULL: libcurl's own */
  char *proxy;                /* NULL: from the environment, as libcurl does; "": none */
  struct curl_slist *headers; /* of each request, "Name: value" */
  size_t max_response;        /* bytes, after decompression */
  double timeout;             /* seconds an attempt */
  double connect_timeout;     /* seconds until the connection is established, TLS included */
  int verify;
} bx_http_settings;

/* Points of time in an attempt, in seconds from its start; 0: not reached, or not needed on a kept connection. */
enum { BX_DNS, BX_CONNECT, BX_TLS, BX_FIRST_BYTE, BX_TOTAL, BX_POINTS };

/* One request and, after it was sent, its answer. Before sending, everything but the request is zero. */
typedef struct bx_transfer {
  bx_buffer url;              /* ends with a NUL, which counts in length */
  bx_buffer body;             /* what is posted; stays, so that the transfer can be sent again */
  struct curl_slist *headers; /* of this request in place of the settings'; NULL: those */
  /* the answer */
  bx_buffer answer;
  char *redirect; /* where a 3xx points to, absolute, or NULL */
  char *problem;  /* libcurl's text about a failure, or NULL. It may name hosts and paths: redact it. */
  CURLcode result;
  size_t max_answer; /* bytes */
  long status;       /* 0: no answer */
  size_t sent;       /* bytes of the body that may have gone out */
  double started;    /* on the monotonic clock */
  double seconds[BX_POINTS];
  double limit; /* seconds that the attempt was allowed: the timeout, or what was left until the deadline */
  unsigned done : 1;
  unsigned connected : 1;     /* the connection was established, TLS included */
  unsigned too_large : 1;     /* the answer passed max_response */
  unsigned out_of_memory : 1; /* not the portal's doing: nothing can be said about the call */
  unsigned at_deadline : 1;   /* the time limit was the caller's deadline, not settings->timeout */
} bx_transfer;

/* A kept libcurl handle with its connections. All zero is valid: it is opened at first use. */
typedef struct bx_http {
  CURL *easy;
  CURLU *url;        /* the last address, parsed; libcurl would parse and print it anew for each request */
  bx_buffer asked;   /* its text */
  unsigned requests; /* how often libcurl was about to send, in this transfer */
  pid_t pid;         /* the process that opened it: after a fork its connections belong to the parent */
  char problem[CURL_ERROR_SIZE];
} bx_http;

/* curl_global_init, once in the process, never undone. 0, or -1 when libcurl refuses. */
int bx_http_global_init(void);

/* Seconds on a clock that never jumps. */
double bx_http_now(void);

/* Sends the transfer and waits for the end: t->done, and either t->result == CURLE_OK with status and answer,
   or another result with problem. What an earlier attempt left in `t` is dropped first.
   deadline: seconds left for the caller; negative: no deadline; 0: nothing is sent, the deadline has passed.
   libcurl repeats a request by itself when a kept connection dies under it; here it is kept from
   that, so that a portal never sees one call twice. */
void bx_http_perform(bx_http *http, const bx_http_settings *settings, bx_transfer *t, double deadline);

/* Says what a done transfer with result != CURLE_OK means. */
bx_outcome bx_http_failure(const bx_http_settings *settings, const bx_transfer *t);

/* Closes the connections and frees the handle; in another process than the one that opened it the handle is
   abandoned instead, because closing it would disturb that process's connections. Usable again afterwards. */
void bx_http_close(bx_http *http);

/* Frees what the answer takes, or all that the transfer holds. */
void bx_transfer_drop_answer(bx_transfer *t);
void bx_transfer_free(bx_transfer *t);

#endif
