/* The descriptors that the engine's thread waits for, and what it knows of each. Over epoll, or poll where there is none.
   For that thread only. Nothing here throws. */
#ifndef BX_WATCH_H
#define BX_WATCH_H

#include <stddef.h>

enum { BX_READ = 1, BX_WRITE = 2, BX_RING = 4 /* with BX_READ, of a bell: tell each ring once */ };

/* What a descriptor is. */
typedef enum bx_watched {
  BX_NOTHING,
  BX_WAKE,
  BX_LISTENER,
  BX_CHANNEL,
  BX_HELPER, /* libcurl's own, of its resolver */
  BX_PORTAL, /* a connection to a portal, from its making to its closing */
  BX_ADRIFT /* one that libcurl gave up before a request went out on it: it may be closed, and its number in use elsewhere */
} bx_watched;

typedef struct bx_watch {
  unsigned char is;         /* bx_watched */
  unsigned char registered; /* for what the system watches it: BX_READ, BX_WRITE */
  unsigned char idle;       /* a kept connection on which nothing is under way: it is in the list below */
  unsigned char http2;
  int port;          /* idle: the number of its end here */
  int next, prev;    /* idle: neighbours in the list, or -1 */
  const void *fleet; /* idle: who used it last */
  struct bx_channel *channel;
} bx_watch;

typedef struct bx_watches {
  int epoll;    /* -1: closed */
  bx_watch *of; /* by descriptor */
  int room;
  int idle; /* the last that became idle, or -1 */
} bx_watches;

typedef struct bx_news {
  int fd;
  int events; /* BX_READ, BX_WRITE; an error or the other end's closing is both */
} bx_news;

/* 0, or -1 with errno; it is closed then. */
int bx_watches_open(bx_watches *w);
void bx_watches_close(bx_watches *w);

/* In a forked child: closes its descriptor, and leaves the rest as it is. */
void bx_watches_forsake(bx_watches *w);

/* What is known of a descriptor, or NULL when memory ran out. Valid until the next call with another descriptor. */
bx_watch *bx_watches_of(bx_watches *w, int fd);

/* Has it watched for these events and no others; none: not at all. It must have a bx_watch, whose `registered` may be wrong if
   it is not `events`. 0, or -1 with errno. */
int bx_watches_set(bx_watches *w, int fd, int events);

/* Puts it into the list of idle ones, takes it out (if it is there). */
void bx_watches_set_idle(bx_watches *w, int fd);
void bx_watches_set_busy(bx_watches *w, int fd);

/* Waits for so many milliseconds, -1: for ever. How many news there are. */
int bx_watches_wait(bx_watches *w, bx_news *news, int most, int milliseconds);

#endif
