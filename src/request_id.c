/* Names for requests: see request_id.h. */
#include "request_id.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* Half of an id is the process's, half a count. Without /dev/urandom the time and the process have to do. */
static uint64_t new_half(void) {
  uint64_t half = 0;
  struct timespec t;
  int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  ssize_t got = fd >= 0 ? read(fd, &half, sizeof half) : -1;
  if (fd >= 0) close(fd);
  if (got == (ssize_t)sizeof half) return half;
  clock_gettime(CLOCK_REALTIME, &t);
  return (uint64_t)t.tv_sec << 34 ^ (uint64_t)t.tv_nsec << 4 ^ (uint64_t)getpid() << 44;
}

enum { HALF = BX_REQUEST_ID / 2 };

static void write_half(char *at, uint64_t half) {
  static const char digits[] = "0123456789abcdef";
  int i;
  for (i = HALF - 1; i >= 0; i--, half >>= 4) at[i] = digits[half & 15];
}

void bx_request_id(char id[BX_REQUEST_ID + 1]) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static char process[HALF];
  static uint64_t count;
  static pid_t owner;
  pid_t self = getpid();
  pthread_mutex_lock(&mutex);
  if (owner != self) { /* a forked child must not go on with its parent's */
    write_half(process, new_half());
    count = new_half();
    owner = self;
  }
  memcpy(id, process, sizeof process);
  write_half(id + HALF, count++);
  pthread_mutex_unlock(&mutex);
  id[BX_REQUEST_ID] = '\0';
}
