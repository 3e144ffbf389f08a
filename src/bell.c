/* A descriptor that can be made readable: see bell.h. */
#include "bell.h"

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

int bx_bell_open(bx_bell *bell) {
#ifdef __linux__
  bell->ear = bell->hand = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return bell->ear < 0 ? -1 : 0;
#else
  int ends[2], i;
  bell->ear = bell->hand = -1;
  if (pipe(ends) != 0) return -1;
  for (i = 0; i < 2; i++) {
    fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    fcntl(ends[i], F_SETFL, O_NONBLOCK);
  }
  bell->ear = ends[0];
  bell->hand = ends[1];
  return 0;
#endif
}

void bx_bell_close(bx_bell *bell) {
  if (bell->ear >= 0) close(bell->ear);
  if (bell->hand >= 0 && bell->hand != bell->ear) close(bell->hand);
  bell->ear = bell->hand = -1;
}

/* A full pipe is readable, too; and a counter does not get full. So the outcome does not matter. */
void bx_bell_ring(bx_bell *bell) {
  static const uint64_t one = 1;
  if (write(bell->hand, &one, sizeof one) < 0) return;
}

void bx_bell_hush(bx_bell *bell) {
  uint64_t rings[8];
  while (read(bell->ear, rings, sizeof rings) == (ssize_t)sizeof rings) continue;
}
