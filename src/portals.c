/* The descriptors of libcurl in the engine: which it waits for, and which of the kept connections may still be used.

   Between two requests on a connection libcurl takes its descriptor out of the set and puts it in again: two system calls
   for each request. Here it stays in, which saves them and shows at once when the portal ends the connection, or says
   something on it unasked, which must never be taken for the answer to the next request. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"

static bx_flight *flight_of(CURL *easy) {
  char *flight = NULL;
  if (easy != NULL) curl_easy_getinfo(easy, CURLINFO_PRIVATE, &flight);
  return (bx_flight *)flight;
}

static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *there) {
  bx_engine *e = user;
  bx_watch *w;
  int type = there->socktype, fd;
  (void)purpose;
#ifdef SOCK_CLOEXEC
  type |= SOCK_CLOEXEC;
#endif
  if ((fd = socket(there->family, type, there->protocol)) < 0) return CURL_SOCKET_BAD;
  if ((w = bx_watches_of(&e->watches, fd)) == NULL) {
    close(fd);
    return CURL_SOCKET_BAD;
  }
  bx_watches_set_busy(&e->watches, fd);
  memset(w, 0, sizeof *w);
  w->is = BX_PORTAL;
  return fd;
}

/* Out of the set first: a forked child that holds the connection, too, would keep it in there. */
static int on_close(void *user, curl_socket_t fd) {
  bx_engine *e = user;
  bx_watch *w = bx_watches_of(&e->watches, fd);
  if (w != NULL) {
    bx_watches_set_busy(&e->watches, fd);
    bx_watches_set(&e->watches, fd, 0);
    w->is = BX_NOTHING;
  }
  return close(fd);
}

/* Ends a kept connection: libcurl finds that when it wants to use it, and closes it then. */
static void end(bx_engine *e, int fd) {
  bx_watches_set(&e->watches, fd, 0);
  shutdown(fd, SHUT_RDWR);
}

/* libcurl wants nothing of it at this time: the request is over. */
static void rest(bx_engine *e, int fd, CURL *easy, const bx_flight *f) {
  bx_watch *w = bx_watches_of(&e->watches, fd);
  long version = 0, port = 0;
  curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
  curl_easy_getinfo(easy, CURLINFO_LOCAL_PORT, &port);
  w->http2 = version == CURL_HTTP_VERSION_2_0;
  w->port = (int)port;
  w->fleet = f->fleet;
  bx_watches_set_idle(&e->watches, fd);
  if (__atomic_load_n(&f->fleet->closed, __ATOMIC_RELAXED)) end(e, fd);
}

/* Whether the request, or a part of it, has gone out: one of the two is counted, see http.c. */
static int has_sent(const bx_flight *f) { return f->http.requests > 0 || f->transfer.sent > 0; }

/* libcurl lets go of it. A connection that was never used (7.88, at least) is closed before this is told, and not by
   on_close: the number may be another thread's descriptor by now. So no system call with it. */
static void let_go(bx_engine *e, int fd, CURL *easy) {
  bx_watch *w = bx_watches_of(&e->watches, fd);
  const bx_flight *f = flight_of(easy);
  if (w->is == BX_HELPER) {
    bx_watches_set(&e->watches, fd, 0);
    w->is = BX_NOTHING;
  } else if (w->is == BX_PORTAL && f != NULL && has_sent(f) && w->registered == BX_READ) {
    rest(e, fd, easy, f);
  } else if (w->is == BX_PORTAL) {
    w->is = BX_ADRIFT;
  }
}

static int on_watch(CURL *easy, curl_socket_t fd, int what, void *user, void *own) {
  bx_engine *e = user;
  bx_watch *w = bx_watches_of(&e->watches, fd);
  bx_flight *f;
  (void)own;
  if (what == CURL_POLL_REMOVE) {
    if (w != NULL) let_go(e, fd, easy);
    return 0;
  }
  if (w != NULL) {
    if (w->is == BX_NOTHING || w->is == BX_ADRIFT) {
      w->is = w->is == BX_ADRIFT ? BX_PORTAL : BX_HELPER;
      w->registered = 0;
    }
    bx_watches_set_busy(&e->watches, fd);
    if (bx_watches_set(&e->watches, fd, (what & CURL_POLL_IN ? BX_READ : 0) | (what & CURL_POLL_OUT ? BX_WRITE : 0)) ==
        0)
      return 0;
  }
  /* Nobody would hear of its end: it has to be ended here. */
  if ((f = flight_of(easy)) != NULL) f->starved = e->starved = 1;
  return 0;
}

static int on_timer(CURLM *multi, long milliseconds, void *user) {
  bx_engine *e = user;
  (void)multi;
  e->timer = milliseconds < 0 ? -1 : milliseconds == 0 ? 0 : bx_http_now() + (double)milliseconds / 1000;
  return 0;
}

CURLM *bx_portals_new(bx_engine *e) {
  CURLM *multi = curl_multi_init();
  CURLMcode code = CURLM_OK;
  if (multi == NULL) return NULL;
#define SET(option, value) \
  if (code == CURLM_OK) code = curl_multi_setopt(multi, option, value)
  SET(CURLMOPT_SOCKETFUNCTION, on_watch);
  SET(CURLMOPT_SOCKETDATA, e);
  SET(CURLMOPT_TIMERFUNCTION, on_timer);
  SET(CURLMOPT_TIMERDATA, e);
  SET(CURLMOPT_MAXCONNECTS, e->most_kept);
  /* One request at a time on each connection, with HTTP/2 as well: else the end of one connection would leave the
     outcome of many calls unknown, and a portal that ends one after so many requests refuses those that are on their
     way to it. */
  SET(CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
#undef SET
  if (code == CURLM_OK) return multi;
  curl_multi_cleanup(multi);
  return NULL;
}

CURLcode bx_portals_set_flight(bx_engine *e, bx_flight *f) {
  CURLcode code = CURLE_OK;
#define SET(option, value) \
  if (code == CURLE_OK) code = curl_easy_setopt(f->http.easy, option, value)
  SET(CURLOPT_PRIVATE, f);
  SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
  SET(CURLOPT_OPENSOCKETDATA, e);
  SET(CURLOPT_CLOSESOCKETFUNCTION, on_close);
  SET(CURLOPT_CLOSESOCKETDATA, e);
#undef SET
  return code;
}

static int is_readable(int fd) {
  struct pollfd p;
  p.fd = fd;
  p.events = POLLIN;
  p.revents = 0;
  return poll(&p, 1, 0) > 0;
}

/* libcurl looks itself whether a kept connection has ended, but some versions (7.87 to 8.0) not whether something can be
   read from it; and the set's news may be as old as all that came with them. On HTTP/2 what was not asked for is taken for
   nothing, and the portal may well say something. */
int bx_portals_is_fit(void *engine, int here_port) {
  bx_engine *e = engine;
  int fd;
  for (fd = e->watches.idle; fd >= 0; fd = e->watches.of[fd].next)
    if (e->watches.of[fd].port == here_port) return e->watches.of[fd].http2 || !is_readable(fd);
  return 1;
}

void bx_portals_news(bx_engine *e, int fd, int events) {
  bx_watch *w = &e->watches.of[fd];
  char byte;
  ssize_t got;
  int count;
  if (w->registered == 0) return; /* older news made an end of it */
  if (w->is == BX_ADRIFT) {
    bx_watches_set(&e->watches, fd, 0);
    return;
  }
  if (!w->idle) {
    int what = (events & BX_READ ? CURL_CSELECT_IN : 0) | (events & BX_WRITE ? CURL_CSELECT_OUT : 0);
    if (curl_multi_socket_action(e->multi, fd, what, &count) != CURLM_OK) e->broken = 1;
    return;
  }
  got = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (w->http2 && got > 0)
    bx_watches_set(&e->watches, fd, 0); /* libcurl reads it before it uses the connection */
  else
    end(e, fd);
}

void bx_portals_leave(bx_engine *e, const bx_fleet *fleet) {
  int fd;
  for (fd = e->watches.idle; fd >= 0; fd = e->watches.of[fd].next)
    if (e->watches.of[fd].fleet == fleet) end(e, fd);
}
