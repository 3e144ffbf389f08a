/* Counted memory that can be made to fail: see pool.h. */
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Stands before each block and keeps it aligned for anything. */
typedef union head {
  struct {
    pool *owner;
    size_t size;
  } is;
  long double aligned;
} head;

/* The engine has a thread; and libcurl resolves names in one, also an address of digits when memory ran out while it read that. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static int refuses(pool *p) {
  p->asked++;
  if (p->first == 0 || p->asked < p->first || p->asked - p->first >= p->width) return 0;
  if (p->refused++ == 0 && p->stops_at_failure) raise(SIGTRAP);
  return 1;
}

static void release(pool *p, head *h) {
  p->blocks--;
  p->bytes -= h->is.size;
  memset(h, 0xDD, sizeof *h + h->is.size);
  free(h);
}

static void *reallocate(pool *p, void *block, size_t size) {
  head *old = block != NULL ? (head *)block - 1 : NULL, *made;
  if (old != NULL && old->is.owner != p) {
    fprintf(stderr, "check-oom: %s gives back a block that it never had\n", p->name);
    abort();
  }
  if (size == 0) {
    if (old != NULL) release(p, old);
    return NULL;
  }
  if (!(old != NULL && size <= old->is.size && p->shrinks_safely) && refuses(p)) return NULL;
  if ((made = malloc(sizeof *made + size)) == NULL) abort();
  made->is.owner = p;
  made->is.size = size;
  p->blocks++;
  p->bytes += size;
  if (old != NULL) {
    memcpy(made + 1, block, size < old->is.size ? size : old->is.size);
    release(p, old);
  }
  return made + 1;
}

void *pool_realloc(pool *p, void *block, size_t size) {
  void *made;
  pthread_mutex_lock(&mutex);
  made = reallocate(p, block, size);
  pthread_mutex_unlock(&mutex);
  return made;
}

void pool_arm(pool *p, size_t first, size_t width) {
  pthread_mutex_lock(&mutex);
  p->asked = p->refused = 0;
  p->first = first;
  p->width = width;
  pthread_mutex_unlock(&mutex);
}

void pool_disarm(pool *p) {
  pthread_mutex_lock(&mutex);
  p->first = 0;
  pthread_mutex_unlock(&mutex);
}
