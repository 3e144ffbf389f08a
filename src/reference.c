/* What stands for the result of an earlier command: see reference.h. */
#include "reference.h"

#include <string.h>

#define METATABLE "bitrix.reference"

const char bx_reference_refused[] = "the portal would take '$result[' for a reference to another command; "
                                    "use cmd:ref(...), or send this text outside of a batch";

static int reference_tostring(lua_State *L) {
  lua_pushstring(L, luaL_checkudata(L, 1, METATABLE));
  return 1;
}

void bx_reference_open(lua_State *L) {
  luaL_newmetatable(L, METATABLE);
  lua_pushcfunction(L, reference_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, METATABLE);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

const char *bx_reference_text(lua_State *L, int index) {
  int is;
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_checkstack(L, 2) || !lua_getmetatable(L, index)) return NULL;
  luaL_getmetatable(L, METATABLE);
  is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is ? lua_touserdata(L, index) : NULL;
}

int bx_reference_like(const char *text, size_t length) {
  static const char mark[] = "$result[";
  const char *end = text + length;
  while ((text = memchr(text, '$', (size_t)(end - text))) != NULL) {
    if ((size_t)(end - text) >= sizeof mark - 1 && memcmp(text, mark, sizeof mark - 1) == 0) return 1;
    text++;
  }
  return 0;
}

int bx_reference_new(lua_State *L) {
  int i, count = lua_gettop(L);
  size_t length;
  const char *text;
  char *copy;
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkstring(L, 2);
  luaL_checkstack(L, count * 3 + 4, "reference");
  lua_pushliteral(L, "$result");
  for (i = 2; i <= count; i++) {
    const char *part = lua_type(L, i) == LUA_TSTRING ? lua_tolstring(L, i, &length) : NULL;
    lua_Number n = lua_type(L, i) == LUA_TNUMBER ? lua_tonumber(L, i) : -1;
    lua_pushliteral(L, "[");
    if (part != NULL && length > 0 && strpbrk(part, "[]") == NULL && strlen(part) == length) {
      lua_pushvalue(L, i);
    } else if (n >= 0 && n < 2147483648.0 && n == (lua_Number)(int)n) {
      lua_pushfstring(L, "%d", (int)n);
    } else {
      lua_pushnil(L);
      lua_pushfstring(L, "bad argument #%d to 'ref' (a name without brackets or an index from 0 expected, got %s)",
                      i - 2, part != NULL ? part : luaL_typename(L, i));
      return 2;
    }
    lua_pushliteral(L, "]");
  }
  lua_concat(L, lua_gettop(L) - count);
  text = lua_tolstring(L, -1, &length);
  copy = bx_newkeeper(L, length + 1);
  memcpy(copy, text, length + 1);
  lua_pushvalue(L, 1);
  bx_setkept(L, -2);
  luaL_getmetatable(L, METATABLE);
  lua_setmetatable(L, -2);
  return 1;
}

int bx_reference_origin(lua_State *L) {
  lua_settop(L, 1);
  if (bx_reference_text(L, 1) == NULL) return 0;
  bx_getkept(L, 1);
  return 1;
}
