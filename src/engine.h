/* Many transfers at once, on a thread of their own: the VM's side. A transfer that is submitted becomes a flight: it leaves
   at once, and is taken back when it is done. What the thread does is in loop.c.
   Knows no Lua. Nothing here throws. All functions are for the one thread in which the VM runs, and none of them waits,
   but bx_engine_wait, and bx_engine_close for the end of the thread.

   Who owns what: a flight owns all that its transfer points to, and belongs to who has submitted it, until it is taken,
   recalled or abandoned; the engine touches it only while it is out. An abandoned flight is the engine's: it stops it,
   frees it, and gives up the reference to the fleet's owner that came with it. */
#ifndef BX_ENGINE_H
#define BX_ENGINE_H

#include "http.h"

typedef struct bx_engine bx_engine;
typedef struct bx_flight bx_flight;

/* What one client has on the engine. All zero but for the first three is valid. Its owner keeps it and what it points to
   as long as a flight of it is anywhere. */
typedef struct bx_fleet {
  const bx_http_settings *settings; /* never change */
  void *owner;
  void (*release)(void *owner); /* gives up one reference; called in any thread */
  /* the VM's thread */
  bx_flight *spare; /* landed and emptied, with handles that are set up */
  unsigned spares;
  int closed;            /* written by the VM's thread, read by both */
  const bx_engine *home; /* on which it is: after a fork it starts anew on another */
  /* the engine's thread */
  unsigned flying;                              /* under way at once: max_connections at most */
  bx_flight *waiting_first, *waiting_last;      /* for one of these to land */
  struct bx_fleet *next_waiting, *prev_waiting; /* fleets in which one waits */
  struct bx_fleet *next_closed;                 /* under the engine's mutex */
} bx_fleet;

/* Closes and frees the spare handles. */
void bx_fleet_empty(bx_fleet *fleet);

/* For good: no handle and no connection is kept any more. Flights that are out land as ever.
   e: the VM's engine, or NULL when there is none. True when it took a reference to the owner, which it gives up when the
   connections have been ended. */
int bx_fleet_close(bx_fleet *fleet, bx_engine *e);

enum { BX_TICKET = 8 /* bytes */ };

/* A new engine, or NULL when memory ran out. It takes descriptors and starts its thread when it is first used. */
bx_engine *bx_engine_new(void);

/* Whether this process has made the engine. In another one (after a fork) only bx_engine_forsake may be called. */
int bx_engine_is_own(const bx_engine *e);

/* Stops the thread, ends all that is out as cancelled, and frees the engine. Flights that were not taken stay with those
   who have them. Does not wait for a name to be resolved (libcurl 7.87 and later). */
void bx_engine_close(bx_engine *e);

/* In a forked child: closes the descriptors that the engine of the parent left here. Its memory is lost: nobody
   knows in which state the thread, which is not here, left it. */
void bx_engine_forsake(bx_engine *e);

/* Makes a flight of the transfer, which is left with a view of its request that is good for reading. Nothing is sent
   before bx_flight_launch. On failure NULL, the transfer untouched, and in *problem a static text. */
bx_flight *bx_flight_new(bx_engine *e, bx_fleet *fleet, bx_transfer *t, const char **problem);

/* Sends it off; it is out now.
   seconds: left until the deadline, negative: none.
   by_ticket: the caller sends the ticket through a channel (bx_engine_address). The thread sleeps until then: this saves waking
   it twice; and bx_engine_finished does not give it out. A flight that was launched without can still be waited
   for by its ticket. */
void bx_flight_launch(bx_flight *f, double seconds, int by_ticket);

/* What names it on a channel; and a small number that no other flight of the engine has at this time, from 1. */
void bx_flight_ticket(const bx_flight *f, char ticket[BX_TICKET]);
unsigned bx_flight_number(const bx_flight *f);

/* Whether it was launched and has not landed. */
int bx_flight_is_out(bx_flight *f);

/* Whether it is in another process: it was out when this one was forked from it. Nothing else may be called with it then. */
int bx_flight_is_lost(const bx_flight *f);

/* Moves the transfer of a flight that is not out back into `t`, done or never launched. The flight is gone. */
void bx_flight_take(bx_flight *f, bx_transfer *t);

/* Asks for its end: it lands soon, as any other, cancelled unless its answer was quicker. */
void bx_flight_cancel(bx_flight *f);

/* Gives it up, out or not, with all that it holds and one reference to the fleet's owner. */
void bx_flight_abandon(bx_flight *f);

/* The address at which nginx's cosockets reach the engine, "unix:/proc/self/fd/N", valid as long as the engine; or
   NULL, and in *problem why not. One who connects sends a ticket, gets one byte when that flight has landed, and may
   send the next ticket then; one who closes the connection before cancels the flight. A ticket that means nothing ends the
   connection. Only this process can connect. */
const char *bx_engine_address(bx_engine *e, const char **problem);

/* A descriptor that is readable while bx_engine_finished has something to give; -1 and *problem when there is none. */
int bx_engine_fd(bx_engine *e, const char **problem);

/* The next flight that has landed and was not launched by_ticket, nor waited for by ticket, nor taken; or NULL. Each is given
   out once. */
bx_flight *bx_engine_finished(bx_engine *e);

/* Waits until bx_engine_finished has something, or the time is over (negative: for ever), or a signal has come. True
   when there is something. */
int bx_engine_wait(bx_engine *e, double seconds);

#endif
