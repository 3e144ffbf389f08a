/* The engine's inside: what engine.c (the VM's side), loop.c (the thread), portals.c and channel.c (its descriptors) share.
   For these four only. A member is the VM's or the thread's, or it is under the mutex. */
#ifndef BX_LOOP_H
#define BX_LOOP_H

#include <pthread.h>
#include <stdint.h>

#include "bell.h"
#include "engine.h"
#include "watch.h"

typedef struct bx_channel bx_channel;

typedef enum bx_flight_state {
  BX_READY,  /* made, not launched: the VM's */
  BX_OUT,    /* launched: the thread's */
  BX_LANDED, /* done: the VM's */
} bx_flight_state;

enum { BX_CANCEL = 1, BX_ABANDON = 2 };

struct bx_flight {
  bx_engine *engine; /* NULL: that was closed meanwhile */
  bx_fleet *fleet;
  bx_http http;
  bx_transfer transfer;
  bx_flight *next, *prev; /* in the inbox, a fleet's waiting, or the finished */
  bx_flight *next_wish;
  unsigned number, serial; /* the ticket */
  double launched, seconds;
  /* under the mutex */
  unsigned char state;  /* bx_flight_state */
  unsigned char wish;   /* 0, BX_CANCEL, BX_ABANDON */
  unsigned char wished; /* it is in the list of wishes */
  unsigned char by_ticket;
  unsigned char finished; /* it is in the list of the finished */
  /* the thread's */
  unsigned char seen;    /* it was taken from the inbox */
  bx_channel *channel;   /* who waits for it */
  unsigned char flying;  /* libcurl has it */
  unsigned char waiting; /* it is in its fleet's list */
  unsigned char fresh;   /* a kept connection was found unfit */
  unsigned char starved; /* there was no memory to watch a descriptor of it */
};

typedef struct bx_slot {
  bx_flight *flight; /* NULL: free */
  unsigned next_free;
} bx_slot;

struct bx_engine {
  pid_t pid;
  /* the VM's */
  int open, started;
  pthread_t thread;
  char address[40];
  int path; /* what the address leads to */
  /* under the mutex */
  pthread_mutex_t mutex;
  bx_flight *inbox_first, *inbox_last;
  bx_flight *wishes;
  bx_fleet *closed; /* whose connections are to be ended */
  bx_flight *finished_first, *finished_last;
  bx_slot *slots; /* by a flight's number; 0 is none */
  unsigned slot_count, free_slot, serial;
  int listener;         /* -1: none yet */
  unsigned char asleep; /* the thread looks at nothing until `wake` rings */
  unsigned char stop;
  /* both */
  bx_bell wake;
  bx_bell done;
  /* the thread's */
  CURLM *multi; /* NULL: not made yet */
  bx_watches watches;
  double timer;      /* when libcurl wants to be called, on the monotonic clock; negative: not at all */
  double resume;     /* when to listen again after descriptors ran out; negative: listening */
  double patience;   /* no flight that waits has its deadline before; negative: none waits that has one */
  bx_fleet *waiting; /* fleets in which a flight waits */
  bx_channel *channels;
  int listening;
  int starved; /* some flight is */
  int ending;  /* nothing is sent any more */
  int broken;  /* so is the multi handle */
  long most_kept;
};

/* --- loop.c --- */

/* The thread. */
void *bx_loop_run(void *engine);

/* Ends a flight that is out; it may be gone afterwards. The thread's. */
void bx_loop_cancel(bx_engine *e, bx_flight *f);

/* --- engine.c --- */

/* The flight with that ticket, or NULL; and takes it off the list of the finished. Under the mutex. */
bx_flight *bx_engine_find(bx_engine *e, const char ticket[BX_TICKET]);

/* Takes it off the list of the finished, if it is there. Under the mutex. */
void bx_engine_unfinish(bx_engine *e, bx_flight *f);

/* Takes it off the list of wishes, if it is there. Under the mutex. */
void bx_engine_unwish(bx_engine *e, bx_flight *f);

/* Gives its number back. Under the mutex. */
void bx_engine_forget(bx_engine *e, bx_flight *f);

/* Frees it with all that it holds. By whoever has it. */
void bx_flight_free(bx_flight *f);

/* --- portals.c: the connections of libcurl --- */

/* A multi handle that tells the engine of its descriptors, or NULL when memory ran out; and the options of an easy handle
   in it that do. */
CURLM *bx_portals_new(bx_engine *e);
CURLcode bx_portals_set_flight(bx_engine *e, bx_flight *f);

/* Whether a request may go out on this connection: bx_http's question. */
int bx_portals_is_fit(void *engine, int here_port);

/* What came on a descriptor of libcurl's. */
void bx_portals_news(bx_engine *e, int fd, int events);

/* Ends the kept connections on which this fleet's flights were the last. */
void bx_portals_leave(bx_engine *e, const bx_fleet *fleet);

/* --- channel.c: connections that wait for flights --- */

/* Makes the listening socket and writes its address. The descriptor, or -1 and *problem. In the VM's thread. */
int bx_channel_listen(char *address, size_t room, int *path, const char **problem);

/* Begins to listen there, in the engine's thread. */
void bx_channel_start(bx_engine *e, int listener);

/* What came on a descriptor, if it is the listener or a channel. */
void bx_channel_news(bx_engine *e, int fd);

/* Goes on listening when it is time after descriptors ran out. */
void bx_channel_resume(bx_engine *e);

/* Tells it that its flight has landed. */
void bx_channel_answer(bx_engine *e, bx_channel *c);

void bx_channel_close(bx_engine *e, bx_channel *c);

#endif
