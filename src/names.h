/* "Did you mean ...?": how far two names are from each other. Knows no Lua. */
#ifndef BX_NAMES_H
#define BX_NAMES_H

#include <stddef.h>

/* The nearest name to a wrong one, found by offering all the right ones. Start with all zero. */
typedef struct bx_nearest {
  const char *name; /* NULL while nothing near enough was offered */
  size_t distance;
} bx_nearest;

/* Offers `right`; it is taken when it is nearer to `wrong` than what was taken before, and near enough to be a slip:
   a third of its letters may differ, case aside. `right` must outlive `nearest`. Never throws. */
void bx_nearest_offer(bx_nearest *nearest, const char *wrong, const char *right);

#endif
