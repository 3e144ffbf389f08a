/* A descriptor that one thread makes readable for another: an eventfd, or a pipe where there are none.
   Nothing here throws. */
#ifndef BX_BELL_H
#define BX_BELL_H

typedef struct bx_bell {
  int ear;  /* to poll */
  int hand; /* to write to */
} bx_bell;

/* 0, or -1 with errno; both ends are -1 then. */
int bx_bell_open(bx_bell *bell);
void bx_bell_close(bx_bell *bell);

/* Makes it readable; makes it silent again. */
void bx_bell_ring(bx_bell *bell);
void bx_bell_hush(bx_bell *bell);

#endif
