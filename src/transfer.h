/* One request and its answer: what it holds, and what its failure means. Who sends it: http.h, engine.h.
   Knows no Lua and does no I/O. Nothing here throws. */
#ifndef BX_TRANSFER_H
#define BX_TRANSFER_H

#include <curl/curl.h>
#include <stddef.h>

#include "buffer.h"
#include "outcome.h"
#include "request_id.h"

/* What does not change from one request of a client to the next. Texts belong to the owner of this struct. */
typedef struct bx_http_settings {
  char *user_agent;
  char *ca_file;              /* NULL: libcurl's own */
  char *proxy;                /* NULL: from the environment, as libcurl does; "": none */
  struct curl_slist *headers; /* of each request, "Name: value" */
  size_t max_response;        /* bytes, after decompression */
  unsigned max_connections;   /* of this client on the engine's path: how many requests are under way at once */
  double timeout;             /* seconds an attempt */
  double connect_timeout;     /* seconds until the connection is established, TLS included */
  int verify;
} bx_http_settings;

#define BX_ID_LINE "Accept: application/json\r\nX-Request-ID: "

/* Points of time in an attempt, in seconds from its start; 0: not reached, or not needed on a kept connection. */
enum { BX_DNS, BX_CONNECT, BX_TLS, BX_FIRST_BYTE, BX_TOTAL, BX_POINTS };

/* One request and, after it was sent, its answer. Before sending, everything but the request is zero. */
typedef struct bx_transfer {
  bx_buffer url;              /* ends with a NUL, which counts in length */
  bx_buffer body;             /* what is posted; stays, so that the transfer can be sent again */
  struct curl_slist *headers; /* of this request in place of the settings'; NULL: those */
  char id[BX_REQUEST_ID + 1]; /* sent as X-Request-ID, the same in each attempt; "": none */
  struct curl_slist id_line;  /* that header and Accept in front of the others, while it is under way */
  char id_text[sizeof BX_ID_LINE + BX_REQUEST_ID];
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
  unsigned cancelled : 1;     /* the caller gave it up */
} bx_transfer;

/* Says what a done transfer with result != CURLE_OK means. */
bx_outcome bx_transfer_failure(const bx_http_settings *settings, const bx_transfer *t);

/* Keeps a copy of libcurl's text, or of ours in its place; without memory the transfer is marked out_of_memory. */
void bx_transfer_problem(bx_transfer *t, const char *text);

/* Ends a transfer of which nothing was sent in this attempt: done, with this result and text. What an earlier attempt
   left is dropped. */
void bx_transfer_refuse(bx_transfer *t, CURLcode result, const char *text);

/* Frees what the answer takes, or all that the transfer holds. */
void bx_transfer_drop_answer(bx_transfer *t);
void bx_transfer_free(bx_transfer *t);

#endif
