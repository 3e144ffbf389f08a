/* Checks a Lua value before it is sent: see value.h. */
#include "value.h"

#include "reference.h"
#include "text.h"

enum { DEEPEST = 200 };

/* The way down to a value, for messages: each level's key is on the Lua stack. */
typedef struct level {
  const struct level *up;
  int key;
} level;

static void push_path(lua_State *L, const level *at) {
  if (at == NULL) {
    lua_pushliteral(L, "");
    return;
  }
  luaL_checkstack(L, 3, "path");
  push_path(L, at->up);
  lua_pushvalue(L, at->key);
  if (lua_type(L, at->key) == LUA_TSTRING)
    lua_pushfstring(L, "%s%s%s", lua_tostring(L, -2), at->up != NULL ? "." : "", lua_tostring(L, -1));
  else if (lua_type(L, at->key) == LUA_TNUMBER)
    lua_pushfstring(L, "%s[%s]", lua_tostring(L, -2), lua_tostring(L, -1));
  else
    lua_pushfstring(L, "%s[%s]", lua_tostring(L, -2), luaL_typename(L, -1));
  lua_remove(L, -2);
  lua_remove(L, -2);
}

/* Pushes "field '<path>': <what><why>" and answers false. */
static int refuse(lua_State *L, const level *at, const char *what, const char *why) {
  push_path(L, at);
  lua_pushfstring(L, at != NULL ? "field '%s': %s%s" : "%s%s%s", lua_tostring(L, -1), what, why);
  lua_remove(L, -2);
  return 0;
}

static int check_string(lua_State *L, const bx_value_rules *rules, int index, const level *at) {
  size_t length;
  const char *text = lua_tolstring(L, index, &length);
  if (!bx_text_is_utf8(text, length)) return refuse(L, at, "the string is not valid UTF-8", "");
  if (rules->batch && bx_reference_like(text, length)) return refuse(L, at, bx_reference_refused, "");
  return 1;
}

static int check_number(lua_State *L, const bx_value_rules *rules, int index, const level *at) {
  lua_Number n = lua_tonumber(L, index);
  if (n != n || n - n != 0) return refuse(L, at, n != n ? "NaN" : "an infinite number", " cannot be sent");
  if (rules->number == NULL || rules->number(L, rules->context, index)) return 1;
  return refuse(L, at, lua_tostring(L, -1), "");
}

static int check_value(lua_State *L, const bx_value_rules *rules, int index, const level *at, int depth);

static int check_table(lua_State *L, const bx_value_rules *rules, int index, const level *up, int depth) {
  level at;
  if (depth >= DEEPEST) {
    while (up != NULL && up->up != NULL) up = up->up; /* where it begins says more than 200 names */
    return refuse(L, up, "nested too deeply", " (a table that contains itself?)");
  }
  luaL_checkstack(L, 6, "value nested too deeply");
  lua_pushnil(L);
  at.up = up;
  at.key = lua_gettop(L);
  while (lua_next(L, index) != 0) {
    int type = lua_type(L, at.key);
    if (type != LUA_TSTRING && type != LUA_TNUMBER) return refuse(L, &at, "a key must be a string or an integer", "");
    if (type == LUA_TSTRING ? !check_string(L, rules, at.key, up) : !check_number(L, rules, at.key, &at)) return 0;
    if (!check_value(L, rules, at.key + 1, &at, depth + 1)) return 0;
    lua_settop(L, at.key);
  }
  return 1;
}

/* True, or false with a message on top of the stack. */
static int check_value(lua_State *L, const bx_value_rules *rules, int index, const level *at, int depth) {
  switch (lua_type(L, index)) {
  case LUA_TTABLE:
    return check_table(L, rules, index, at, depth);
  case LUA_TSTRING:
    return check_string(L, rules, index, at);
  case LUA_TNUMBER:
    return check_number(L, rules, index, at);
  case LUA_TBOOLEAN:
  case LUA_TLIGHTUSERDATA: /* null, and the empty array of some versions of cjson */
    return 1;
  case LUA_TUSERDATA:
    if (rules->batch && bx_reference_text(L, index) != NULL) return 1;
    /* fall through */
  default:
    return refuse(L, at, luaL_typename(L, index), " cannot be sent");
  }
}

int bx_value_check(lua_State *L, const bx_value_rules *rules, int index, int name) {
  int top = lua_gettop(L);
  level root;
  root.up = NULL;
  root.key = name;
  if (check_value(L, rules, index, name != 0 ? &root : NULL, 0)) return 1;
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return 0;
}
