/* Secrets for Lua: see secret.h. */
#include "secret.h"

#include <fcntl.h>
#include <unistd.h>

int bx_secret_equal(lua_State *L) {
  size_t a_length, b_length, i;
  const char *a = luaL_checklstring(L, 1, &a_length), *b = luaL_checklstring(L, 2, &b_length);
  volatile unsigned char difference = a_length != b_length;
  /* An empty string has its NUL to be read. */
  for (i = 0; i < b_length; i++) difference |= (unsigned char)(a[a_length > 0 ? i % a_length : 0] ^ b[i]);
  lua_pushboolean(L, difference == 0);
  return 1;
}

int bx_secret_random(lua_State *L) {
  static const char digits[] = "0123456789abcdef";
  enum { MOST = 64 };
  unsigned char bytes[MOST];
  char text[2 * MOST];
  lua_Integer wanted = luaL_checkinteger(L, 1);
  size_t i, n = (size_t)wanted;
  ssize_t got;
  int fd;
  luaL_argcheck(L, wanted >= 1 && wanted <= MOST, 1, "1 to 64 bytes");
  fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  got = fd >= 0 ? read(fd, bytes, n) : -1;
  if (fd >= 0) close(fd);
  if (got != (ssize_t)n) return luaL_error(L, "/dev/urandom cannot be read");
  for (i = 0; i < n; i++) {
    text[2 * i] = digits[bytes[i] >> 4];
    text[2 * i + 1] = digits[bytes[i] & 15];
  }
  lua_pushlstring(L, text, 2 * n);
  return 1;
}
