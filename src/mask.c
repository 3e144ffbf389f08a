/* redact.c for Lua: see mask.h. */
#include "mask.h"

#include <string.h>

#define SCRATCH "bitrix.scratch"

static int free_scratch(lua_State *L) {
  bx_buffer_free(lua_touserdata(L, 1));
  return 0;
}

void bx_mask_open(lua_State *L) {
  luaL_newmetatable(L, SCRATCH);
  lua_pushcfunction(L, free_scratch);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

void bx_mask_push(lua_State *L, const bx_secrets *secrets, const char *text, size_t length, size_t limit) {
  bx_buffer *scratch = bx_newuserdata(L, sizeof *scratch);
  memset(scratch, 0, sizeof *scratch);
  luaL_getmetatable(L, SCRATCH);
  lua_setmetatable(L, -2);
  if (bx_redact(secrets, text, length, limit, scratch) != 0) luaL_error(L, "not enough memory");
  lua_pushlstring(L, scratch->length > 0 ? scratch->data : "", scratch->length);
  bx_buffer_free(scratch);
  lua_remove(L, -2);
}

enum { DEEPEST_REDACTED = 100 };

/* Pushes the value at `index` as it may be shown. */
static void push_shown(lua_State *L, int index, int depth) {
  if (lua_type(L, index) == LUA_TSTRING) {
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    bx_mask_push(L, NULL, text, length, length);
    return;
  }
  if (!lua_istable(L, index) || depth == DEEPEST_REDACTED) {
    if (lua_istable(L, index))
      lua_pushliteral(L, "...");
    else
      lua_pushvalue(L, index);
    return;
  }
  luaL_checkstack(L, 6, "redact");
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    int key = lua_gettop(L) - 1;
    size_t length = 0;
    const char *name = lua_type(L, key) == LUA_TSTRING ? lua_tolstring(L, key, &length) : NULL;
    lua_pushvalue(L, key);
    if (name != NULL && bx_redact_is_credential(name, length))
      lua_pushliteral(L, BX_MASK);
    else
      push_shown(L, key + 1, depth + 1);
    lua_rawset(L, key - 1);
    lua_pop(L, 1);
  }
}

int bx_mask_redact(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  push_shown(L, 1, 0);
  return 1;
}
