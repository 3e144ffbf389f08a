/* Locks between processes: see lock.h, file.h.

   A key has a record in the file: who holds it (a number made at random) and until when. Who holds it also has the byte with
   that number locked by the kernel, which lets go of it when the process ends, however it does. So a lock is held while its
   time is not over and its byte is locked: nobody waits for a dead one, and nobody longer than the time. Records are read and
   written under the mutex, which is one more byte.

   The kernel's locks belong to the open file, not to the process (F_OFD_SETLK): two coroutines shut each other out as two
   processes do. Where there are none, the whole file is the mutex (flock), and a lock lasts for its time. */
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define METATABLE "bitrix.lock"

enum { RECORD = 48, KEYS = 4096, PATIENCE = 5 /* seconds for the mutex */ };

/* Far behind the records; nothing is written there. */
#define MUTEX ((off_t)1 << 40)
#define HOLDERS ((off_t)1 << 41)

typedef struct lock {
  int fd; /* -1: not held */
  pid_t pid;
  int mutex;    /* it is the mutex, not a key's */
  off_t record; /* where the key's record is */
  unsigned long long holder;
} lock;

#ifdef F_OFD_SETLK

static int lock_byte(int fd, off_t byte, short type, int command, short *found) {
  struct flock range;
  int done;
  memset(&range, 0, sizeof range);
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = byte;
  range.l_len = 1;
  done = fcntl(fd, command, &range);
  if (found != NULL) *found = range.l_type;
  return done;
}

static int try_mutex(int fd) { return lock_byte(fd, MUTEX, F_WRLCK, F_OFD_SETLK, NULL); }

static void leave_mutex(int fd) { lock_byte(fd, MUTEX, F_UNLCK, F_OFD_SETLK, NULL); }

static int hold(int fd, unsigned long long holder) {
  return lock_byte(fd, HOLDERS + (off_t)holder, F_WRLCK, F_OFD_SETLK, NULL);
}

static void let_go(int fd, unsigned long long holder) {
  lock_byte(fd, HOLDERS + (off_t)holder, F_UNLCK, F_OFD_SETLK, NULL);
}

static int is_alive(int fd, unsigned long long holder) {
  short found = F_WRLCK;
  return lock_byte(fd, HOLDERS + (off_t)holder, F_WRLCK, F_OFD_GETLK, &found) != 0 || found != F_UNLCK;
}

#else

static int try_mutex(int fd) { return flock(fd, LOCK_EX | LOCK_NB); }

static void leave_mutex(int fd) { flock(fd, LOCK_UN); }

static int hold(int fd, unsigned long long holder) { return (void)fd, (void)holder, 0; }

static void let_go(int fd, unsigned long long holder) { (void)fd, (void)holder; }

static int is_alive(int fd, unsigned long long holder) { return (void)fd, (void)holder, 1; }

#endif

/* Nobody holds the mutex for more than the time that a small file takes to the disk. 0, or -1 with errno. */
static int enter_mutex(int fd) {
  static const struct timespec moment = {0, 1000000};
  int tries;
  for (tries = 0; tries < PATIENCE * 1000; tries++) {
    if (try_mutex(fd) == 0) return 0;
    if (errno != EAGAIN && errno != EACCES && errno != EWOULDBLOCK && errno != EINTR) return -1;
    nanosleep(&moment, NULL);
  }
  errno = ETIMEDOUT;
  return -1;
}

/* The wall clock: the file may outlive a boot. */
static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void read_record(const lock *l, unsigned long long *holder, long long *until) {
  char text[RECORD + 1];
  ssize_t n = pread(l->fd, text, RECORD, l->record);
  *holder = 0;
  *until = 0;
  text[n > 0 ? n : 0] = '\0';
  if (n > 0 && sscanf(text, "%llu %lld", holder, until) != 2) *until = 0;
}

static int write_record(const lock *l, unsigned long long holder, long long until) {
  char text[RECORD + 1];
  ssize_t n;
  memset(text, ' ', RECORD);
  n = snprintf(text, sizeof text, "%020llu %020lld", holder, until);
  memset(text + n, ' ', (size_t)(RECORD - n));
  text[RECORD - 1] = '\n';
  return pwrite(l->fd, text, RECORD, l->record) == RECORD ? 0 : -1;
}

static void release(lock *l) {
  int code = errno;
  if (l->fd < 0) return;
  /* In a forked child the file is the parent's, too, and so is the lock. */
  if (l->pid == getpid()) {
    if (l->mutex) {
      leave_mutex(l->fd);
    } else if (l->holder != 0) {
      unsigned long long holder;
      long long until;
      if (enter_mutex(l->fd) == 0) {
        read_record(l, &holder, &until);
        if (holder == l->holder) write_record(l, 0, 0);
        leave_mutex(l->fd);
      }
      let_go(l->fd, l->holder);
    }
  }
  close(l->fd);
  l->fd = -1;
  errno = code;
}

static int lock_unlock(lua_State *L) {
  release(luaL_checkudata(L, 1, METATABLE));
  return 0;
}

void bx_lock_open(lua_State *L) {
  luaL_newmetatable(L, METATABLE);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, lock_unlock);
  lua_setfield(L, -2, "unlock");
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, lock_unlock);
  lua_setfield(L, -2, "__gc");
  lua_pushliteral(L, METATABLE);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

static int failed(lua_State *L, lock *l, const char *path) {
  int code = errno;
  release(l);
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", path, code == ETIMEDOUT ? "another process does not let go of it" : strerror(code));
  return 2;
}

/* Pushes a lock in the file at argument 1, its mutex entered; NULL with errno set when it cannot be had. */
static lock *push_lock(lua_State *L, const char **path, lock **made) {
  size_t length;
  lock *l;
  *path = luaL_checklstring(L, 1, &length);
  luaL_argcheck(L, length > 0 && strlen(*path) == length, 1, "a path expected");
  *made = l = bx_newuserdata(L, sizeof *l);
  memset(l, 0, sizeof *l);
  l->fd = -1;
  l->pid = getpid();
  luaL_getmetatable(L, METATABLE);
  lua_setmetatable(L, -2);
  l->fd = open(*path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  return l->fd >= 0 && enter_mutex(l->fd) == 0 ? l : NULL;
}

int bx_lock_mutex(lua_State *L) {
  const char *path;
  lock *l;
  if (push_lock(L, &path, &l) == NULL) return failed(L, l, path);
  l->mutex = 1;
  return 1;
}

/* FNV-1a. */
static off_t record_of(const char *key, size_t length) {
  uint32_t hash = 2166136261u;
  size_t i;
  for (i = 0; i < length; i++) hash = (hash ^ (unsigned char)key[i]) * 16777619u;
  return (off_t)(hash % KEYS) * RECORD;
}

/* Not 0, which is nobody. */
static int choose_holder(unsigned long long *holder) {
  uint64_t number = 0;
  int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read(fd, &number, sizeof number) : -1;
  if (fd >= 0) close(fd);
  *holder = (unsigned long long)(number >> 24) + 1;
  return n == (ssize_t)sizeof number ? 0 : -1;
}

int bx_lock_key(lua_State *L) {
  size_t length;
  const char *key = luaL_checklstring(L, 2, &length), *path;
  lua_Number seconds = luaL_checknumber(L, 3);
  unsigned long long holder = 0, mine = 0;
  long long until = 0;
  lock *l;
  luaL_argcheck(L, seconds > 0 && seconds < 1e9, 3, "a positive number of seconds expected");
  if (choose_holder(&mine) != 0) return luaL_error(L, "/dev/urandom cannot be read");
  if (push_lock(L, &path, &l) == NULL) return failed(L, l, path);
  l->record = record_of(key, length);
  read_record(l, &holder, &until);
  if (until > now() && is_alive(l->fd, holder)) {
    leave_mutex(l->fd);
    release(l);
    lua_pushnil(L);
    lua_pushliteral(L, "locked");
    return 2;
  }
  if (hold(l->fd, mine) != 0 || write_record(l, mine, now() + (long long)(seconds * 1e6)) != 0)
    return failed(L, l, path);
  l->holder = mine;
  leave_mutex(l->fd);
  return 1;
}
