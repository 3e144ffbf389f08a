/* Counted memory that can be made to fail: one pool for each of Lua, libcurl and bitrix.core's own blocks.
   Knows none of them. Any thread may ask a pool; one arms it. */
#ifndef OOM_POOL_H
#define OOM_POOL_H

#include <stddef.h>

typedef struct pool {
  const char *name;
  size_t blocks;        /* alive now */
  size_t bytes;         /* alive now */
  size_t asked;         /* requests since it was armed */
  size_t first;         /* the number of the request that fails; 0: none does */
  size_t width;         /* how many fail, one after the other */
  size_t refused;       /* requests that were made to fail since it was armed */
  int shrinks_safely;   /* a smaller block is never refused */
  int stops_at_failure; /* SIGTRAP where the first request fails, for a debugger */
} pool;

/* realloc; size 0 frees. A block is never enlarged in place, and what is freed is overwritten: a pointer that was kept
   too long does not go unnoticed. Ends the program when the block is another pool's. */
void *pool_realloc(pool *p, void *block, size_t size);

/* From now on the first-th request fails and the width - 1 after it. */
void pool_arm(pool *p, size_t first, size_t width);

/* Nothing fails any more. */
void pool_disarm(pool *p);

#endif
