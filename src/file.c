/* Files that must not be lost: see file.h. The locks are in lock.c. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buffer.h"
#include "lock.h"

#define JOURNAL "bitrix.journal"
#define CONTENT "bitrix.file.content"

enum { MOST = 64 << 20 };

static int failed(lua_State *L, const char *path, const char *what) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", path, what);
  return 2;
}

/* A path without a NUL. */
static const char *check_path(lua_State *L, int index) {
  size_t length;
  const char *path = luaL_checklstring(L, index, &length);
  luaL_argcheck(L, length > 0 && strlen(path) == length, index, "a path expected");
  return path;
}

static int write_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t n = write(fd, bytes, length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    bytes += n;
    length -= (size_t)n;
  }
  return 0;
}

/* A descriptor that nobody forgets: a userdata whose collection closes it. */
typedef struct handle {
  int fd; /* -1: closed */
} handle;

static int handle_close(lua_State *L) {
  handle *h = luaL_checkudata(L, 1, JOURNAL);
  if (h->fd >= 0) close(h->fd);
  h->fd = -1;
  return 0;
}

static handle *push_handle(lua_State *L) {
  handle *h = bx_newuserdata(L, sizeof *h);
  h->fd = -1;
  luaL_getmetatable(L, JOURNAL);
  lua_setmetatable(L, -2);
  return h;
}

/* ---- reading ---- */

static int free_content(lua_State *L) {
  bx_buffer_free(lua_touserdata(L, 1));
  return 0;
}

static const char *refusal(const struct stat *info) {
  if (!S_ISREG(info->st_mode)) return "not a plain file";
  if (info->st_uid != geteuid()) return "belongs to another user";
  if ((info->st_mode & 077) != 0) return "others can read it: chmod 600, and take what is in it for known";
  return info->st_size > MOST ? "too large" : NULL;
}

static int file_read(lua_State *L) {
  const char *path = check_path(L, 1), *problem;
  handle *h = push_handle(L);
  bx_buffer *content = bx_newuserdata(L, sizeof *content);
  struct stat info;
  char room[4096];
  ssize_t n;
  memset(content, 0, sizeof *content);
  luaL_getmetatable(L, CONTENT);
  lua_setmetatable(L, -2);
  h->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (h->fd < 0 && errno == ENOENT) {
    lua_pushnil(L);
    return 1;
  }
  if (h->fd < 0 || fstat(h->fd, &info) != 0) return failed(L, path, strerror(errno));
  if ((problem = refusal(&info)) != NULL) return failed(L, path, problem);
  while ((n = read(h->fd, room, sizeof room)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(L, path, strerror(errno));
    if (bx_buffer_append(content, room, (size_t)n) != 0) return luaL_error(L, "not enough memory");
  }
  close(h->fd);
  h->fd = -1;
  lua_pushlstring(L, content->length > 0 ? content->data : "", content->length);
  bx_buffer_free(content);
  return 1;
}

/* ---- replacing ---- */

/* A new name is on the disk when its directory is. */
static int sync_directory(lua_State *L, const char *path) {
  const char *slash = strrchr(path, '/');
  int fd, done, code;
  if (slash == NULL)
    lua_pushliteral(L, ".");
  else
    lua_pushlstring(L, path, slash == path ? 1 : (size_t)(slash - path));
  fd = open(lua_tostring(L, -1), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  lua_pop(L, 1);
  if (fd < 0) return -1;
  /* Some file systems know no such thing. */
  done = fsync(fd) == 0 || errno == EINVAL ? 0 : -1;
  code = errno;
  close(fd);
  errno = code;
  return done;
}

static int file_replace(lua_State *L) {
  const char *path = check_path(L, 1), *bytes, *beside;
  size_t length;
  handle *h;
  bytes = luaL_checklstring(L, 2, &length);
  beside = lua_pushfstring(L, "%s.new", path);
  h = push_handle(L);
  /* What a process that was killed has left. */
  if (unlink(beside) != 0 && errno != ENOENT) return failed(L, beside, strerror(errno));
  h->fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (h->fd < 0) return failed(L, beside, strerror(errno));
  if (write_all(h->fd, bytes, length) != 0 || fsync(h->fd) != 0 || rename(beside, path) != 0) {
    int code = errno;
    unlink(beside);
    return failed(L, path, strerror(code));
  }
  close(h->fd);
  h->fd = -1;
  if (sync_directory(L, path) != 0) return failed(L, path, strerror(errno));
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- the journal ---- */

int bx_file_append(lua_State *L) {
  const char *path = check_path(L, 1);
  handle *h = push_handle(L);
  h->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (h->fd < 0) return failed(L, path, strerror(errno));
  if (flock(h->fd, LOCK_EX | LOCK_NB) != 0)
    return failed(L, path, errno == EWOULDBLOCK ? "another program is writing to it" : strerror(errno));
  if (sync_directory(L, path) != 0) return failed(L, path, strerror(errno));
  return 1;
}

static handle *check_journal(lua_State *L) {
  handle *h = luaL_checkudata(L, 1, JOURNAL);
  if (h->fd < 0) luaL_error(L, "this journal is closed");
  return h;
}

static int journal_write(lua_State *L) {
  const handle *h = check_journal(L);
  size_t length;
  const char *line;
  luaL_checkstring(L, 2);
  lua_settop(L, 2);
  lua_pushliteral(L, "\n");
  lua_concat(L, 2);
  line = lua_tolstring(L, 2, &length);
  if (write_all(h->fd, line, length) != 0) return failed(L, "the journal", strerror(errno));
  lua_pushboolean(L, 1);
  return 1;
}

static int journal_sync(lua_State *L) {
  const handle *h = check_journal(L);
  if (fsync(h->fd) != 0) return failed(L, "the journal", strerror(errno));
  lua_pushboolean(L, 1);
  return 1;
}

void bx_file_open(lua_State *L) {
  static const luaL_Reg journal[] = {
      {"write", journal_write}, {"sync", journal_sync}, {"close", handle_close}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"read", file_read}, {"replace", file_replace}, {"lock", bx_lock_key}, {"mutex", bx_lock_mutex}, {NULL, NULL}};
  luaL_newmetatable(L, CONTENT);
  lua_pushcfunction(L, free_content);
  lua_setfield(L, -2, "__gc");
  luaL_newmetatable(L, JOURNAL);
  luaL_newlib(L, journal);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, handle_close);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, handle_close);
  lua_setfield(L, -2, "__close");
  lua_pushliteral(L, JOURNAL);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 2);
  bx_lock_open(L);
  luaL_newlib(L, functions);
}
