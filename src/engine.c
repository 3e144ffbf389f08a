/* Many transfers at once, the VM's side: see engine.h. */
#include "engine.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "loop.h"

static const char no_memory[] = "not enough memory";

/* ---- an engine ---- */

bx_engine *bx_engine_new(void) {
  bx_engine *e = bx_realloc(NULL, sizeof *e);
  if (e == NULL) return NULL;
  memset(e, 0, sizeof *e);
  if (pthread_mutex_init(&e->mutex, NULL) != 0) {
    bx_free(e);
    return NULL;
  }
  e->pid = getpid();
  e->path = e->listener = e->watches.epoll = -1;
  e->wake.ear = e->wake.hand = e->done.ear = e->done.hand = -1;
  e->timer = e->resume = e->patience = -1;
  e->watches.idle = -1;
  return e;
}

int bx_engine_is_own(const bx_engine *e) { return e->pid == getpid(); }

static void close_descriptors(bx_engine *e) {
  bx_bell_close(&e->wake);
  bx_bell_close(&e->done);
  if (e->path >= 0) close(e->path);
  if (e->listener >= 0) close(e->listener);
  e->path = e->listener = -1;
}

/* Takes the descriptors that it needs; true when it has them. */
static int open_engine(bx_engine *e, const char **problem) {
  bx_watch *w;
  if (e->open) return 1;
  *problem = "the engine cannot start: no descriptors left";
  if (bx_bell_open(&e->wake) == 0 && bx_bell_open(&e->done) == 0 && bx_watches_open(&e->watches) == 0) {
    *problem = no_memory;
    if ((w = bx_watches_of(&e->watches, e->wake.ear)) != NULL) {
      w->is = BX_WAKE;
      e->open = bx_watches_set(&e->watches, e->wake.ear, BX_READ | BX_RING) == 0;
    }
  }
  if (e->open) return 1;
  bx_watches_close(&e->watches);
  close_descriptors(e);
  return 0;
}

static int start_thread(bx_engine *e, const char **problem) {
  sigset_t all, before;
  if (e->started) return 1;
  if (!open_engine(e, problem)) return 0;
  /* Signals are the program's: none is handled here. */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  e->started = pthread_create(&e->thread, NULL, bx_loop_run, e) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  *problem = "the engine cannot start: no more threads";
  return e->started;
}

/* Wakes the thread if it sleeps. Under the mutex. */
static void wake(bx_engine *e) {
  if (!e->asleep) return;
  e->asleep = 0;
  bx_bell_ring(&e->wake);
}

void bx_engine_close(bx_engine *e) {
  unsigned i;
  if (e->started) {
    pthread_mutex_lock(&e->mutex);
    e->stop = 1;
    wake(e);
    pthread_mutex_unlock(&e->mutex);
    pthread_join(e->thread, NULL);
  } else {
    bx_watches_close(&e->watches);
  }
  close_descriptors(e);
  for (i = 1; i < e->slot_count; i++)
    if (e->slots[i].flight != NULL) e->slots[i].flight->engine = NULL;
  bx_free(e->slots);
  pthread_mutex_destroy(&e->mutex);
  bx_free(e);
}

void bx_engine_forsake(bx_engine *e) {
  bx_watches_forsake(&e->watches);
  close_descriptors(e);
}

/* ---- numbers ---- */

/* Gives the flight a number. False when memory ran out. Under the mutex. */
static int remember(bx_engine *e, bx_flight *f) {
  unsigned i = e->free_slot, count;
  if (i == 0) {
    bx_slot *more;
    count = e->slot_count > 0 ? 2 * e->slot_count : 16;
    if ((more = bx_realloc(e->slots, sizeof *more * count)) == NULL) return 0;
    memset(more + e->slot_count, 0, sizeof *more * (count - e->slot_count));
    for (i = count - 1; i > 0 && i >= e->slot_count; i--) {
      more[i].next_free = e->free_slot;
      e->free_slot = i;
    }
    e->slots = more;
    e->slot_count = count;
    i = e->free_slot;
  }
  e->free_slot = e->slots[i].next_free;
  e->slots[i].flight = f;
  f->number = i;
  f->serial = ++e->serial;
  return 1;
}

void bx_engine_forget(bx_engine *e, bx_flight *f) {
  bx_engine_unfinish(e, f);
  e->slots[f->number].flight = NULL;
  e->slots[f->number].next_free = e->free_slot;
  e->free_slot = f->number;
}

bx_flight *bx_engine_find(bx_engine *e, const char ticket[BX_TICKET]) {
  uint32_t parts[2];
  bx_flight *f;
  memcpy(parts, ticket, sizeof parts);
  if (parts[0] == 0 || parts[0] >= e->slot_count) return NULL;
  f = e->slots[parts[0]].flight;
  if (f == NULL || f->serial != parts[1] || f->state == BX_READY) return NULL;
  bx_engine_unfinish(e, f);
  return f;
}

void bx_flight_ticket(const bx_flight *f, char ticket[BX_TICKET]) {
  uint32_t parts[2];
  parts[0] = f->number;
  parts[1] = f->serial;
  memcpy(ticket, parts, sizeof parts);
}

unsigned bx_flight_number(const bx_flight *f) { return f->number; }

/* ---- flights ---- */

void bx_flight_free(bx_flight *f) {
  bx_http_close(&f->http);
  bx_transfer_free(&f->transfer);
  bx_free(f);
}

void bx_fleet_empty(bx_fleet *fleet) {
  while (fleet->spare != NULL) {
    bx_flight *f = fleet->spare;
    fleet->spare = f->next;
    bx_flight_free(f);
  }
  fleet->spares = 0;
}

int bx_fleet_close(bx_fleet *fleet, bx_engine *e) {
  if (fleet->closed) return 0;
  __atomic_store_n(&fleet->closed, 1, __ATOMIC_RELAXED);
  bx_fleet_empty(fleet);
  if (e == NULL || !e->started || fleet->home != e) return 0;
  pthread_mutex_lock(&e->mutex);
  fleet->next_closed = e->closed;
  e->closed = fleet;
  wake(e);
  pthread_mutex_unlock(&e->mutex);
  return 1;
}

enum { MOST_SPARES = 64 };

static void put_away(bx_flight *f) {
  bx_fleet *fleet = f->fleet;
  memset(&f->transfer, 0, sizeof f->transfer);
  if (fleet->closed || fleet->spares >= MOST_SPARES) {
    bx_flight_free(f);
    return;
  }
  f->next = fleet->spare;
  fleet->spare = f;
  fleet->spares++;
}

bx_flight *bx_flight_new(bx_engine *e, bx_fleet *fleet, bx_transfer *t, const char **problem) {
  bx_flight *f = fleet->spare;
  int remembered;
  if (!start_thread(e, problem)) return NULL;
  if (fleet->home != e) {
    fleet->home = e;
    fleet->flying = 0;
    fleet->waiting_first = fleet->waiting_last = NULL;
    fleet->next_waiting = fleet->prev_waiting = NULL;
  }
  *problem = no_memory;
  if (f != NULL) {
    fleet->spare = f->next;
    fleet->spares--;
  } else {
    if ((f = bx_realloc(NULL, sizeof *f)) == NULL) return NULL;
    memset(f, 0, sizeof *f);
    f->fleet = fleet;
  }
  f->engine = e;
  pthread_mutex_lock(&e->mutex);
  f->state = BX_READY;
  remembered = remember(e, f);
  pthread_mutex_unlock(&e->mutex);
  if (!remembered) {
    put_away(f);
    return NULL;
  }
  f->transfer = *t;
  f->wish = f->wished = f->finished = 0;
  f->channel = NULL;
  f->seen = f->flying = f->waiting = f->fresh = f->starved = 0;
  /* What an earlier attempt left is the flight's now; the view has the request alone. */
  t->answer.data = t->redirect = t->problem = NULL;
  t->answer.length = t->answer.capacity = 0;
  t->done = 0;
  return f;
}

void bx_flight_launch(bx_flight *f, double seconds, int by_ticket) {
  bx_engine *e = f->engine;
  f->launched = bx_http_now();
  f->seconds = seconds;
  f->by_ticket = by_ticket != 0;
  f->next = f->prev = NULL;
  pthread_mutex_lock(&e->mutex);
  f->state = BX_OUT;
  if (e->inbox_last != NULL)
    e->inbox_last->next = f;
  else
    e->inbox_first = f;
  e->inbox_last = f;
  if (!by_ticket) wake(e);
  pthread_mutex_unlock(&e->mutex);
}

int bx_flight_is_out(bx_flight *f) {
  bx_engine *e = f->engine;
  int out;
  if (e == NULL) return 0;
  pthread_mutex_lock(&e->mutex);
  out = f->state == BX_OUT;
  pthread_mutex_unlock(&e->mutex);
  return out;
}

int bx_flight_is_lost(const bx_flight *f) { return f->engine != NULL && !bx_engine_is_own(f->engine); }

/* Makes the engine know nothing of a flight that is not out. */
static void detach(bx_flight *f) {
  bx_engine *e = f->engine;
  if (e == NULL) return;
  pthread_mutex_lock(&e->mutex);
  bx_engine_forget(e, f);
  pthread_mutex_unlock(&e->mutex);
  f->engine = NULL;
}

void bx_flight_take(bx_flight *f, bx_transfer *t) {
  detach(f);
  *t = f->transfer;
  put_away(f);
}

/* Asks the thread for something; false when the flight is not out. */
static int wish(bx_flight *f, int what) {
  bx_engine *e = f->engine;
  int out;
  if (e == NULL) return 0;
  pthread_mutex_lock(&e->mutex);
  out = f->state == BX_OUT;
  if (out && f->wish < what) {
    f->wish = (unsigned char)what;
    if (!f->wished) {
      f->wished = 1;
      f->next_wish = e->wishes;
      e->wishes = f;
    }
    wake(e);
  }
  pthread_mutex_unlock(&e->mutex);
  return out;
}

void bx_engine_unwish(bx_engine *e, bx_flight *f) {
  bx_flight **place = &e->wishes;
  if (!f->wished) return;
  while (*place != f) place = &(*place)->next_wish;
  *place = f->next_wish;
  f->wished = 0;
}

void bx_flight_cancel(bx_flight *f) { wish(f, BX_CANCEL); }

void bx_flight_abandon(bx_flight *f) {
  bx_fleet *fleet = f->fleet;
  if (wish(f, BX_ABANDON)) return;
  detach(f);
  bx_transfer_free(&f->transfer);
  put_away(f);
  fleet->release(fleet->owner);
}

/* ---- the finished ---- */

void bx_engine_unfinish(bx_engine *e, bx_flight *f) {
  if (!f->finished) return;
  f->finished = 0;
  if (f->next != NULL)
    f->next->prev = f->prev;
  else
    e->finished_last = f->prev;
  if (f->prev != NULL)
    f->prev->next = f->next;
  else
    e->finished_first = f->next;
  if (e->finished_first == NULL) bx_bell_hush(&e->done);
}

bx_flight *bx_engine_finished(bx_engine *e) {
  bx_flight *f;
  pthread_mutex_lock(&e->mutex);
  f = e->finished_first;
  if (f != NULL) bx_engine_unfinish(e, f);
  pthread_mutex_unlock(&e->mutex);
  return f;
}

int bx_engine_fd(bx_engine *e, const char **problem) { return open_engine(e, problem) ? e->done.ear : -1; }

static int has_finished(bx_engine *e) {
  int found;
  pthread_mutex_lock(&e->mutex);
  found = e->finished_first != NULL;
  pthread_mutex_unlock(&e->mutex);
  return found;
}

int bx_engine_wait(bx_engine *e, double seconds) {
  double left, end = bx_http_now() + seconds;
  struct pollfd p;
  int count;
  if (has_finished(e)) return 1;
  do {
    left = seconds < 0 ? 1e6 : end - bx_http_now();
    p.fd = e->done.ear; /* -1, which is fine, as long as nothing was launched */
    p.events = POLLIN;
    p.revents = 0;
    count = poll(&p, 1, left <= 0 ? 0 : left < 1e6 ? (int)(left * 1000) + 1 : 1000000000);
  } while (count == 0 && (seconds < 0 || bx_http_now() < end));
  return has_finished(e);
}

/* ---- the way to it ---- */

const char *bx_engine_address(bx_engine *e, const char **problem) {
  int listener;
  if (e->address[0] != '\0') return e->address;
  if (!start_thread(e, problem)) return NULL;
  listener = bx_channel_listen(e->address, sizeof e->address, &e->path, problem);
  if (listener < 0) {
    e->address[0] = '\0';
    return NULL;
  }
  pthread_mutex_lock(&e->mutex);
  e->listener = listener;
  wake(e);
  pthread_mutex_unlock(&e->mutex);
  return e->address;
}
