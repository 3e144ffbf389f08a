/* Runs a program and prints what it took: seconds on the clock and seconds of CPU, user and system together.
   Usage: meter <program> [<argument>...]. Its exit code is the program's. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

int main(int argc, char **argv) {
  struct timespec start, end;
  struct rusage used;
  int status = 0;
  pid_t child;

  if (argc < 2) return 2;
  clock_gettime(CLOCK_MONOTONIC, &start);
  child = fork();
  if (child < 0) return 2;
  if (child == 0) {
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    _exit(127);
  }
  if (wait4(child, &status, 0, &used) != child) return 2;
  clock_gettime(CLOCK_MONOTONIC, &end);
  printf("%.6f %.6f\n", (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9,
         seconds(used.ru_utime) + seconds(used.ru_stime));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
