/* "Did you mean ...?": see names.h. */
#include "names.h"

#include <string.h>
#include <strings.h>

enum { LONGEST = 32 };

/* Levenshtein's distance, one row at a time. */
static size_t distance(const char *a, size_t la, const char *b, size_t lb) {
  size_t above[LONGEST + 1], i, j;
  for (j = 0; j <= lb; j++) above[j] = j;
  for (i = 1; i <= la; i++) {
    size_t diagonal = above[0];
    above[0] = i;
    for (j = 1; j <= lb; j++) {
      size_t best = diagonal + (strncasecmp(a + i - 1, b + j - 1, 1) != 0);
      diagonal = above[j];
      if (above[j] + 1 < best) best = above[j] + 1;
      if (above[j - 1] + 1 < best) best = above[j - 1] + 1;
      above[j] = best;
    }
  }
  return above[lb];
}

/* groupid, group_id and GROUP-ID are all meant to be groupId. */
static size_t without_marks(const char *name, char *plain) {
  size_t n = 0;
  for (; *name != '\0' && n < LONGEST; name++)
    if (strchr("_-. ", *name) == NULL) plain[n++] = *name;
  return n;
}

void bx_nearest_offer(bx_nearest *nearest, const char *wrong, const char *right) {
  char a[LONGEST], b[LONGEST];
  size_t la, lb, d;
  if (strlen(wrong) > LONGEST || strlen(right) > LONGEST) return;
  la = without_marks(wrong, a);
  lb = without_marks(right, b);
  d = distance(a, la, b, lb);
  if (d * 3 > lb || (nearest->name != NULL && d >= nearest->distance)) return;
  nearest->name = right;
  nearest->distance = d;
}
