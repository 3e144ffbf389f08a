/* The descriptors that the engine's thread waits for: see watch.h. */
#include "watch.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "buffer.h"

#if defined(__linux__) && !defined(BX_NO_EPOLL)

#include <sys/epoll.h>

static int open_epoll(void) { return epoll_create1(EPOLL_CLOEXEC); }

static void close_epoll(int epoll) { close(epoll); }

static int set_epoll(const bx_watches *w, int fd, int before, int events) {
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.events = (events & BX_READ ? EPOLLIN : 0u) | (events & BX_WRITE ? EPOLLOUT : 0u) |
                 (events & BX_RING ? (unsigned)EPOLLET : 0u);
  event.data.fd = fd;
  if (events == 0) return epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, &event);
  if (before != 0 && epoll_ctl(w->epoll, EPOLL_CTL_MOD, fd, &event) == 0) return 0;
  if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) == 0) return 0;
  return errno == EEXIST ? epoll_ctl(w->epoll, EPOLL_CTL_MOD, fd, &event) : -1;
}

int bx_watches_wait(bx_watches *w, bx_news *news, int most, int milliseconds) {
  struct epoll_event events[64];
  int i, count;
  count = epoll_wait(w->epoll, events, most < 64 ? most : 64, milliseconds);
  for (i = 0; i < count; i++) {
    unsigned e = events[i].events;
    news[i].fd = events[i].data.fd;
    news[i].events =
        e & (EPOLLERR | EPOLLHUP) ? BX_READ | BX_WRITE : (e & EPOLLIN ? BX_READ : 0) | (e & EPOLLOUT ? BX_WRITE : 0);
  }
  return count < 0 ? 0 : count;
}

#else

#include <poll.h>

static int open_epoll(void) { return 0; }

static void close_epoll(int epoll) { (void)epoll; }

static int set_epoll(const bx_watches *w, int fd, int before, int events) {
  (void)w, (void)fd, (void)before, (void)events;
  return 0;
}

static void hush(int fd) {
  char rings[64];
  while (read(fd, rings, sizeof rings) > 0) continue;
}

/* Simple rather than quick: the whole table is looked through each time. */
int bx_watches_wait(bx_watches *w, bx_news *news, int most, int milliseconds) {
  int fd, count = 0, found = 0;
  struct pollfd *polled = bx_realloc(NULL, sizeof *polled * (size_t)w->room);
  if (polled == NULL) return 0;
  for (fd = 0; fd < w->room; fd++) {
    if (w->of[fd].registered == 0) continue;
    polled[count].fd = fd;
    polled[count].events =
        (short)((w->of[fd].registered & BX_READ ? POLLIN : 0) | (w->of[fd].registered & BX_WRITE ? POLLOUT : 0));
    polled[count++].revents = 0;
  }
  poll(polled, (nfds_t)count, milliseconds);
  for (fd = 0; fd < count && found < most; fd++) {
    int e = polled[fd].revents;
    if (e == 0) continue;
    if (w->of[polled[fd].fd].registered & BX_RING) hush(polled[fd].fd);
    news[found].fd = polled[fd].fd;
    news[found++].events = e & (POLLERR | POLLHUP | POLLNVAL)
                               ? BX_READ | BX_WRITE
                               : (e & POLLIN ? BX_READ : 0) | (e & POLLOUT ? BX_WRITE : 0);
  }
  bx_free(polled);
  return found;
}

#endif

int bx_watches_open(bx_watches *w) {
  w->of = NULL;
  w->room = 0;
  w->idle = -1;
  w->epoll = open_epoll();
  return w->epoll < 0 ? -1 : 0;
}

void bx_watches_forsake(bx_watches *w) {
  if (w->epoll >= 0) close_epoll(w->epoll);
  w->epoll = -1;
}

void bx_watches_close(bx_watches *w) {
  bx_watches_forsake(w);
  bx_free(w->of);
  w->of = NULL;
  w->room = 0;
}

bx_watch *bx_watches_of(bx_watches *w, int fd) {
  if (fd >= w->room) {
    int room = w->room > 0 ? w->room : 64;
    bx_watch *more;
    while (room <= fd) room *= 2;
    if ((more = bx_realloc(w->of, sizeof *more * (size_t)room)) == NULL) return NULL;
    memset(more + w->room, 0, sizeof *more * (size_t)(room - w->room));
    w->of = more;
    w->room = room;
  }
  return &w->of[fd];
}

int bx_watches_set(bx_watches *w, int fd, int events) {
  bx_watch *of = &w->of[fd];
  int result;
  if (of->registered == events) return 0;
  result = set_epoll(w, fd, of->registered, events);
  if (result == 0 || events == 0) of->registered = (unsigned char)events;
  return result;
}

void bx_watches_set_idle(bx_watches *w, int fd) {
  bx_watch *of = &w->of[fd];
  if (of->idle) return;
  of->idle = 1;
  of->prev = -1;
  of->next = w->idle;
  if (w->idle >= 0) w->of[w->idle].prev = fd;
  w->idle = fd;
}

void bx_watches_set_busy(bx_watches *w, int fd) {
  bx_watch *of = &w->of[fd];
  if (!of->idle) return;
  of->idle = 0;
  if (of->next >= 0) w->of[of->next].prev = of->prev;
  if (of->prev >= 0)
    w->of[of->prev].next = of->next;
  else
    w->idle = of->next;
}
