/* Preloaded behind the sanitizer's runtime: takes LD_PRELOAD out of the environment again. What a spec starts (sh,
   nginx, curl) then runs without the sanitizer, whose complaints about it would not be ours. */
#include <stdlib.h>

__attribute__((constructor)) static void unpreload(void) { unsetenv("LD_PRELOAD"); }
