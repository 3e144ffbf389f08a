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

void bx_mask_push_whole(lua_State *L, const bx_secrets *secrets, const char *text, size_t length, size_t limit) {
  bx_mask_push(L, secrets, text, length + 1, length < limit ? length : limit);
}

/* Copies the value at `index` as it may be shown and pushes it. The table at `copies` has those that were begun: a table
   can be met again, also within itself. */
static void push_shown(lua_State *L, int index, int copies) {
  int copy, key;
  if (lua_type(L, index) == LUA_TSTRING) {
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    bx_mask_push(L, NULL, text, length, length);
    return;
  }
  lua_pushvalue(L, index);
  if (!lua_istable(L, index)) return;
  luaL_checkstack(L, 8, "redact");
  lua_rawget(L, copies);
  if (!lua_isnil(L, -1)) return;
  lua_pop(L, 1);
  lua_newtable(L);
  copy = lua_gettop(L);
  lua_pushvalue(L, index);
  lua_pushvalue(L, copy);
  lua_rawset(L, copies);
  lua_pushnil(L);
  for (key = copy + 1; lua_next(L, index) != 0; lua_settop(L, key)) {
    size_t length = 0;
    const char *name = lua_type(L, key) == LUA_TSTRING ? lua_tolstring(L, key, &length) : NULL;
    if (name != NULL)
      bx_mask_push(L, NULL, name, length, length);
    else
      lua_pushvalue(L, key);
    if (name != NULL && bx_redact_is_credential(name, length))
      lua_pushliteral(L, BX_MASK);
    else
      push_shown(L, key + 1, copies);
    lua_rawset(L, copy);
  }
}

int bx_mask_redact(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  lua_newtable(L);
  push_shown(L, 1, 2);
  return 1;
}

void bx_mask_clean(lua_State *L, const bx_secrets *secrets) {
  size_t length;
  const char *text;
  if (lua_type(L, -1) == LUA_TSTRING) {
    text = lua_tolstring(L, -1, &length);
    if (!bx_redact_is_suspect(secrets, text, length)) return;
    bx_mask_push(L, secrets, text, length, length);
    lua_replace(L, -2);
  } else if (lua_istable(L, -1)) {
    int table = lua_gettop(L);
    luaL_checkstack(L, 6, "answer nested too deeply");
    lua_pushnil(L);
    while (lua_next(L, table) != 0) {
      text = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : NULL;
      if (text != NULL && bx_redact_is_suspect(secrets, text, length)) {
        lua_pop(L, 1);
        lua_pushnil(L); /* a name cannot change while the table is walked: it goes */
      } else if (lua_type(L, -1) == LUA_TSTRING || lua_istable(L, -1)) {
        bx_mask_clean(L, secrets);
      } else {
        lua_pop(L, 1);
        continue;
      }
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, table);
    }
  }
}
