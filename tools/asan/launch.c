/* Starts an interpreter with the sanitizer's runtime loaded first, as a module built with it needs.
   Compiled once for each interpreter: -DPROGRAM="/usr/bin/lua5.4" -DPRELOAD="libasan.so:unpreload.so".
   A program and not a script, so that argv[0], which Lua scripts use to start more of themselves, stays ours. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
  (void)argc;
  setenv("LD_PRELOAD", PRELOAD, 1);
  execv(PROGRAM, argv);
  perror(PROGRAM);
  return 127;
}
