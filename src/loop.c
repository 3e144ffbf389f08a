/* The engine's thread: it owns the multi handle, and does nothing but wait for news and pass them on. See engine.h. */
#include "loop.h"

#include <string.h>
#include <unistd.h>

enum { NEWS = 64 };

/* ---- landing ---- */

/* Hands a flight that is done back to the VM; or to nobody, and it is gone. */
static void land(bx_engine *e, bx_flight *f) {
  bx_fleet *fleet = f->fleet;
  bx_channel *channel = f->channel;
  int abandoned;
  f->channel = NULL;
  pthread_mutex_lock(&e->mutex);
  f->state = BX_LANDED;
  bx_engine_unwish(e, f);
  abandoned = f->wish == BX_ABANDON;
  if (abandoned) {
    bx_engine_forget(e, f);
  } else if (channel == NULL && !f->by_ticket) {
    f->finished = 1;
    f->next = NULL;
    f->prev = e->finished_last;
    if (e->finished_last != NULL)
      e->finished_last->next = f;
    else
      bx_bell_ring(&e->done);
    *(e->finished_last != NULL ? &e->finished_last->next : &e->finished_first) = f;
    e->finished_last = f;
  }
  pthread_mutex_unlock(&e->mutex);
  if (abandoned) {
    bx_flight_free(f);
    fleet->release(fleet->owner);
  }
  if (channel != NULL) bx_channel_answer(e, channel);
}

/* ---- waiting for one of the same fleet to land ---- */

static void stop_waiting(bx_engine *e, bx_flight *f) {
  bx_fleet *fleet = f->fleet;
  f->waiting = 0;
  *(f->prev != NULL ? &f->prev->next : &fleet->waiting_first) = f->next;
  *(f->next != NULL ? &f->next->prev : &fleet->waiting_last) = f->prev;
  if (fleet->waiting_first != NULL) return;
  *(fleet->prev_waiting != NULL ? &fleet->prev_waiting->next_waiting : &e->waiting) = fleet->next_waiting;
  if (fleet->next_waiting != NULL) fleet->next_waiting->prev_waiting = fleet->prev_waiting;
}

static void start_waiting(bx_engine *e, bx_flight *f) {
  bx_fleet *fleet = f->fleet;
  double deadline = f->launched + f->seconds;
  if (fleet->waiting_first == NULL) {
    fleet->prev_waiting = NULL;
    fleet->next_waiting = e->waiting;
    if (e->waiting != NULL) e->waiting->prev_waiting = fleet;
    e->waiting = fleet;
  }
  f->waiting = 1;
  f->next = NULL;
  f->prev = fleet->waiting_last;
  *(f->prev != NULL ? &f->prev->next : &fleet->waiting_first) = f;
  fleet->waiting_last = f;
  if (f->seconds >= 0 && (e->patience < 0 || deadline < e->patience)) e->patience = deadline;
}

/* ---- flying ---- */

static int has_multi(bx_engine *e) {
  if (e->multi == NULL) e->multi = bx_portals_new(e);
  return e->multi != NULL;
}

/* Gives the flight to libcurl. False when it is done already. */
static int fly(bx_engine *e, bx_flight *f) {
  double left = f->seconds;
  if (left >= 0 && (left -= bx_http_now() - f->launched) < 0) left = 0;
  f->http.is_fit = f->fresh ? NULL : bx_portals_is_fit;
  f->http.owner = e;
  if (!bx_http_begin(&f->http, f->fleet->settings, &f->transfer, left, f->fresh)) return 0;
  if (has_multi(e) && bx_portals_set_flight(e, f) == CURLE_OK &&
      curl_multi_add_handle(e->multi, f->http.easy) == CURLM_OK) {
    f->flying = 1;
    return 1;
  }
  bx_transfer_refuse(&f->transfer, CURLE_OUT_OF_MEMORY, "not enough memory");
  return 0;
}

/* Sends what waits, as far as the fleet may. */
static void admit(bx_engine *e, bx_fleet *fleet) {
  int more = !e->ending && !e->broken;
  while (more && fleet->waiting_first != NULL && fleet->flying < fleet->settings->max_connections) {
    bx_flight *f = fleet->waiting_first;
    stop_waiting(e, f);
    if (fly(e, f)) {
      fleet->flying++;
      continue;
    }
    more = fleet->waiting_first != NULL; /* else this may be the last that keeps the fleet */
    land(e, f);
  }
}

/* Takes a flight back from libcurl. */
static void stop_flying(bx_engine *e, bx_flight *f, CURLcode result) {
  bx_fleet *fleet = f->fleet;
  curl_multi_remove_handle(e->multi, f->http.easy);
  f->flying = 0;
  if (f->http.unfit && !f->transfer.cancelled && !e->broken) {
    /* Nothing was sent: the connection was spoken on, or ended, since it was last used. */
    f->fresh = 1;
    if (fly(e, f)) return;
  } else {
    bx_http_end(&f->http, &f->transfer, result);
    f->transfer.out_of_memory |= f->starved;
  }
  fleet->flying--;
  admit(e, fleet);
  land(e, f);
}

static void launch(bx_engine *e, bx_flight *f) {
  f->seen = 1;
  if (f->fleet->settings->max_connections > (unsigned long)e->most_kept) {
    e->most_kept = (long)f->fleet->settings->max_connections;
    if (e->multi != NULL) curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, e->most_kept);
  }
  start_waiting(e, f);
  admit(e, f->fleet);
}

void bx_loop_cancel(bx_engine *e, bx_flight *f) {
  if (f->flying) {
    f->transfer.cancelled = 1;
    stop_flying(e, f, CURLE_OK);
    return;
  }
  if (f->waiting) stop_waiting(e, f);
  bx_transfer_refuse(&f->transfer, CURLE_ABORTED_BY_CALLBACK, "the call was cancelled before it was sent");
  f->transfer.cancelled = 1;
  land(e, f);
}

/* ---- what there is to do ---- */

/* Ends the waiting whose deadline is over. */
static void lose_patience(bx_engine *e) {
  double now = bx_http_now();
  bx_fleet *fleet, *next_fleet;
  bx_flight *f, *next;
  if (e->patience < 0 || now < e->patience) return;
  e->patience = -1;
  for (fleet = e->waiting; fleet != NULL; fleet = next_fleet) {
    next_fleet = fleet->next_waiting;
    for (f = fleet->waiting_first; f != NULL; f = next) {
      double deadline = f->launched + f->seconds;
      next = f->next;
      if (f->seconds < 0) continue;
      if (deadline > now) {
        if (e->patience < 0 || deadline < e->patience) e->patience = deadline;
        continue;
      }
      stop_waiting(e, f);
      bx_http_begin(&f->http, fleet->settings, &f->transfer, 0, 0); /* which says what that means */
      land(e, f);
    }
  }
}

/* Takes what the VM has submitted and wished. False when it wants the thread to end. */
static int take_orders(bx_engine *e) {
  bx_flight *f, *next;
  bx_fleet *closed, *next_closed;
  int stop, listener;
  pthread_mutex_lock(&e->mutex);
  e->asleep = 0;
  stop = e->stop;
  listener = e->listener;
  f = e->inbox_first;
  e->inbox_first = e->inbox_last = NULL;
  closed = e->closed;
  e->closed = NULL;
  pthread_mutex_unlock(&e->mutex);
  for (; closed != NULL; closed = next_closed) {
    next_closed = closed->next_closed;
    bx_portals_leave(e, closed);
    closed->release(closed->owner);
  }
  if (stop) return 0;
  if (listener >= 0 && !e->listening) bx_channel_start(e, listener);
  for (; f != NULL; f = next) {
    next = f->next;
    launch(e, f);
  }
  return 1;
}

/* Off the inbox, if it is still there. Under the mutex. */
static void recall(bx_engine *e, bx_flight *f) {
  bx_flight *before = NULL, *at = e->inbox_first;
  while (at != NULL && at != f) {
    before = at;
    at = at->next;
  }
  if (at == NULL) return;
  *(before != NULL ? &before->next : &e->inbox_first) = f->next;
  if (e->inbox_last == f) e->inbox_last = before;
}

/* One by one: what is done for one of them may land another, which the VM may then free. */
static void grant_wishes(bx_engine *e) {
  for (;;) {
    bx_flight *f;
    pthread_mutex_lock(&e->mutex);
    if ((f = e->wishes) != NULL) {
      bx_engine_unwish(e, f);
      if (!f->seen) recall(e, f);
    }
    pthread_mutex_unlock(&e->mutex);
    if (f == NULL) return;
    bx_loop_cancel(e, f);
  }
}

/* Ends those that were starved, or all that fly, for want of memory. */
static void end_flying(bx_engine *e, int all) {
  unsigned i;
  for (i = 1;; i++) {
    bx_flight *f = NULL;
    int more;
    pthread_mutex_lock(&e->mutex); /* the table moves when it grows */
    more = i < e->slot_count;
    if (more && (f = e->slots[i].flight) != NULL && f->state != BX_OUT) f = NULL;
    pthread_mutex_unlock(&e->mutex);
    if (!more) return;
    if (f != NULL && f->flying && (all || f->starved)) stop_flying(e, f, CURLE_OUT_OF_MEMORY);
  }
}

/* A multi handle that ran out of memory has forgotten some descriptor, and divides by zero (7.88) when it sees the
   number again. All that it has ends; then there is another one. */
static void start_over(bx_engine *e) {
  bx_fleet *fleet, *next;
  end_flying(e, 1);
  curl_multi_cleanup(e->multi);
  e->multi = NULL;
  e->timer = -1;
  e->broken = 0;
  for (fleet = e->waiting; fleet != NULL; fleet = next) {
    next = fleet->next_waiting;
    admit(e, fleet);
  }
}

static int is_due(const bx_engine *e) { return e->timer >= 0 && e->timer <= bx_http_now(); }

/* What libcurl has to do by now, and what it has done. */
static void run_libcurl(bx_engine *e) {
  CURLMsg *message;
  int count;
  do {
    if (is_due(e)) {
      e->timer = -1;
      if (curl_multi_socket_action(e->multi, CURL_SOCKET_TIMEOUT, 0, &count) != CURLM_OK) e->broken = 1;
    }
    while (e->multi != NULL && (message = curl_multi_info_read(e->multi, &count)) != NULL) {
      char *flight = NULL;
      if (message->msg != CURLMSG_DONE) continue;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &flight);
      stop_flying(e, (bx_flight *)flight, message->data.result);
    }
    if (e->starved) {
      e->starved = 0;
      end_flying(e, 0);
    }
    if (e->broken) start_over(e);
  } while (is_due(e));
}

/* Milliseconds until there is something to do without news; -1: never. */
static int until_next(bx_engine *e) {
  double next = e->timer, now;
  int i, idle;
  const double others[] = {e->resume, e->patience};
  for (i = 0; i < 2; i++)
    if (others[i] >= 0 && (next < 0 || others[i] < next)) next = others[i];
  /* Who submits now wakes the thread. */
  pthread_mutex_lock(&e->mutex);
  idle =
      e->inbox_first == NULL && e->wishes == NULL && e->closed == NULL && !e->stop && (e->listener < 0 || e->listening);
  e->asleep = idle != 0;
  pthread_mutex_unlock(&e->mutex);
  if (!idle) return 0;
  if (next < 0) return -1;
  now = bx_http_now();
  return next <= now ? 0 : next - now > 1e6 ? 1000000000 : (int)((next - now) * 1000) + 1;
}

/* Ends all that is out, and frees what the thread has. */
static void finish(bx_engine *e) {
  unsigned i;
  e->ending = 1;
  for (i = 1; i < e->slot_count; i++) {
    bx_flight *f = e->slots[i].flight;
    if (f != NULL && f->state == BX_OUT) bx_loop_cancel(e, f);
  }
  while (e->channels != NULL) bx_channel_close(e, e->channels);
  if (e->multi != NULL) curl_multi_cleanup(e->multi);
  bx_watches_close(&e->watches);
}

void *bx_loop_run(void *engine) {
  bx_engine *e = engine;
  bx_news news[NEWS];
  int i, count, running;
#ifdef __linux__
  pthread_setname_np(pthread_self(), "bitrix"); /* for top and gdb */
#endif
  do {
    count = bx_watches_wait(&e->watches, news, NEWS, until_next(e));
    /* First the portals, so that a kept connection that has ended is not used for what comes next; the channels last, because
       a ticket may be of a flight that is still in the inbox. */
    for (i = 0; i < count; i++)
      if (e->watches.of[news[i].fd].is >= BX_HELPER) bx_portals_news(e, news[i].fd, news[i].events);
    running = take_orders(e);
    if (running) {
      grant_wishes(e);
      lose_patience(e);
      bx_channel_resume(e);
      run_libcurl(e);
      for (i = 0; i < count; i++) bx_channel_news(e, news[i].fd);
      run_libcurl(e);
    }
  } while (running);
  finish(e);
  return NULL;
}
