/* Connections that wait for flights: a private unix socket on which a ticket is answered with one byte when its flight has
   landed. Nothing else ever goes through it: the answers are in this process's memory. See engine.h.

   The socket is bound in a directory of its own that nobody else may enter; its file is opened by its path and then
   removed with the directory, so that nothing stays behind whatever the end of the process is, and
   /proc/self/fd leads to it. Where there is no /proc there is no channel. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop.h"

struct bx_channel {
  int fd;
  size_t got; /* bytes of the next ticket */
  char ticket[BX_TICKET];
  bx_flight *flight; /* for which it waits */
  bx_channel *next, *prev;
};

/* ---- listening: the VM's thread ---- */

#ifdef __linux__

enum { BACKLOG = 4096, RETRY_MILLISECONDS = 100 };

/* Binds it to `path`, and opens that, then removes both. Two descriptors, or -1. */
static int bind_to(const char *directory, int *path) {
  struct sockaddr_un name;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ok;
  if (fd < 0) return -1;
  memset(&name, 0, sizeof name);
  name.sun_family = AF_UNIX;
  snprintf(name.sun_path, sizeof name.sun_path, "%s/engine", directory);
  ok = bind(fd, (struct sockaddr *)&name, sizeof name) == 0;
  if (ok) {
    ok = listen(fd, BACKLOG) == 0 && (*path = open(name.sun_path, O_PATH | O_CLOEXEC)) >= 0;
    unlink(name.sun_path);
  }
  if (ok) return fd;
  close(fd);
  return -1;
}

int bx_channel_listen(char *address, size_t room, int *path, const char **problem) {
  const char *places[] = {getenv("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"};
  char directory[80];
  size_t i;
  int fd = -1;
  for (i = 0; fd < 0 && i < sizeof places / sizeof *places; i++) {
    if (places[i] == NULL || strlen(places[i]) > sizeof directory - 20) continue;
    snprintf(directory, sizeof directory, "%s/bitrix-XXXXXX", places[i]);
    if (mkdtemp(directory) == NULL) continue; /* mode 0700 */
    fd = bind_to(directory, path);
    rmdir(directory);
  }
  *problem = "the engine cannot listen: no directory for temporary files, or no descriptors left";
  if (fd < 0) return -1;
  snprintf(address, room, "unix:/proc/self/fd/%d", *path);
  *problem = "the engine cannot listen: no /proc here";
  if (access(address + strlen("unix:"), F_OK) == 0) return fd;
  close(fd);
  close(*path);
  *path = -1;
  return -1;
}

/* Whether it is this process that has connected. */
static int is_own(const bx_engine *e, int fd) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.pid == e->pid;
}

static int accept_next(int listener) { return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK); }

#else

enum { RETRY_MILLISECONDS = 100 };

int bx_channel_listen(char *address, size_t room, int *path, const char **problem) {
  (void)address, (void)room, (void)path;
  *problem = "channels need Linux";
  return -1;
}

static int is_own(const bx_engine *e, int fd) { return (void)e, (void)fd, 0; }

static int accept_next(int listener) { return (void)listener, -1; }

#endif

/* ---- the engine's thread ---- */

void bx_channel_start(bx_engine *e, int listener) {
  bx_watch *w = bx_watches_of(&e->watches, listener);
  if (w != NULL) {
    w->is = BX_LISTENER;
    if (bx_watches_set(&e->watches, listener, BX_READ) == 0) {
      e->listening = 1;
      e->resume = -1;
      return;
    }
  }
  e->listening = 1;
  e->resume = bx_http_now() + RETRY_MILLISECONDS / 1000.0;
}

void bx_channel_resume(bx_engine *e) {
  if (e->resume >= 0 && e->resume <= bx_http_now()) bx_channel_start(e, e->listener);
}

static void open_channel(bx_engine *e, int fd) {
  bx_watch *w = bx_watches_of(&e->watches, fd);
  bx_channel *c = w != NULL && is_own(e, fd) ? bx_realloc(NULL, sizeof *c) : NULL;
  if (c == NULL) {
    close(fd);
    return;
  }
  memset(c, 0, sizeof *c);
  bx_watches_set_busy(&e->watches, fd);
  memset(w, 0, sizeof *w);
  w->is = BX_CHANNEL;
  w->channel = c;
  c->fd = fd;
  c->next = e->channels;
  if (c->next != NULL) c->next->prev = c;
  e->channels = c;
  if (bx_watches_set(&e->watches, fd, BX_READ) != 0) bx_channel_close(e, c);
}

void bx_channel_close(bx_engine *e, bx_channel *c) {
  bx_flight *f = c->flight;
  *(c->prev != NULL ? &c->prev->next : &e->channels) = c->next;
  if (c->next != NULL) c->next->prev = c->prev;
  bx_watches_set(&e->watches, c->fd, 0);
  e->watches.of[c->fd].is = BX_NOTHING;
  close(c->fd);
  bx_free(c);
  if (f == NULL) return;
  f->channel = NULL;
  bx_loop_cancel(e, f);
}

static void accept_all(bx_engine *e, int listener) {
  int fd;
  while ((fd = accept_next(listener)) >= 0) open_channel(e, fd);
  if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ECONNABORTED) return;
  /* No descriptors left. Who waits to be let in would wake the thread again and again. */
  bx_watches_set(&e->watches, listener, 0);
  e->resume = bx_http_now() + RETRY_MILLISECONDS / 1000.0;
}

void bx_channel_answer(bx_engine *e, bx_channel *c) {
  c->flight = NULL;
  if (send(c->fd, ".", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) bx_channel_close(e, c);
}

/* A whole ticket has come. */
static void take_ticket(bx_engine *e, bx_channel *c) {
  bx_flight *f;
  int out = 0;
  c->got = 0;
  pthread_mutex_lock(&e->mutex);
  if ((f = bx_engine_find(e, c->ticket)) != NULL) out = f->state == BX_OUT;
  pthread_mutex_unlock(&e->mutex);
  if (f == NULL) {
    bx_channel_close(e, c);
  } else if (!out) {
    bx_channel_answer(e, c);
  } else if (f->channel != NULL) {
    bx_channel_close(e, c);
  } else {
    f->channel = c;
    c->flight = f;
  }
}

void bx_channel_news(bx_engine *e, int fd) {
  const bx_watch *w = &e->watches.of[fd];
  bx_channel *c = w->channel;
  ssize_t got;
  if (w->is == BX_LISTENER) {
    accept_all(e, fd); /* the table may move */
    return;
  }
  if (w->is != BX_CHANNEL) return;
  got = recv(fd, c->ticket + c->got, sizeof c->ticket - c->got, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (got <= 0 || c->flight != NULL) { /* closed; or it speaks although it is not its turn */
    bx_channel_close(e, c);
    return;
  }
  c->got += (size_t)got;
  if (c->got == sizeof c->ticket) take_ticket(e, c);
}
