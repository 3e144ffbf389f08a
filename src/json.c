/* JSON by lua-cjson, with what it lacks: see json.h. */
#include "json.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "value.h"

enum { DEEPEST_READ = 1000 };

#define EXACT 9007199254740992.0 /* 2^53 */

/* ---- the private instance ---- */

/* Calls instance.name(...) with the `count` values on top of the stack and takes them off. A setting that this cjson
   does not know, or not with these values, keeps its default. */
static void set_option(lua_State *L, int instance, const char *name, int count) {
  int base = lua_gettop(L) - count;
  lua_getfield(L, instance, name);
  if (!lua_isnil(L, -1)) {
    lua_insert(L, base + 1);
    if (lua_pcall(L, count, 0, 0) == LUA_ERRMEM) lua_error(L);
  }
  lua_settop(L, base);
}

void bx_json_open(lua_State *L) {
  int instance;
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "new");
  if (!lua_isfunction(L, -1)) luaL_error(L, "bitrix: lua-cjson 2.0 or newer expected (cjson.new is missing)");
  lua_call(L, 0, 1);
  lua_remove(L, -2);
  instance = lua_gettop(L);
  /* A list with holes is sent as a map, as PHP has it, instead of being refused or filled with nulls. */
  lua_pushboolean(L, 1);
  lua_pushinteger(L, 1);
  lua_pushinteger(L, 0);
  set_option(L, instance, "encode_sparse_array", 3);
  lua_pushinteger(L, 16); /* digits; some versions stop at 14 */
  set_option(L, instance, "encode_number_precision", 1);
  lua_pushboolean(L, 0);
  set_option(L, instance, "decode_invalid_numbers", 1);
  lua_pushinteger(L, DEEPEST_READ);
  set_option(L, instance, "decode_max_depth", 1);
  lua_getfield(L, instance, "encode");
  lua_getfield(L, instance, "decode");
  lua_remove(L, instance);
}

/* cjson learns the locale's decimal point in cjson.new() only, for the whole process. After an os.setlocale it would write
   and read numbers wrongly. */
static void follow_locale(lua_State *L) {
  static char point = '.';
  char now = *localeconv()->decimal_point;
  if (now == point) return;
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "new");
  lua_call(L, 0, 0);
  lua_pop(L, 1);
  point = now;
}

/* ---- what is sent ---- */

/* Large integers are tried out: cjson's way of writing numbers depends on its version and on Lua's. */
static int check_number(lua_State *L, const void *context, int index) {
  const bx_json *json = context;
  lua_Number n = lua_tonumber(L, index);
  const char *text;
  char *end, digits[400]; /* the largest double has 309 */
  int exact;
  if (fabs(n) < 1e13 || (!bx_isinteger(L, index) && floor(n) != n)) return 1;
  if (fabs(n) > EXACT && BX_HAS_INTEGERS && !bx_isinteger(L, index)) return 1; /* meant to be a float */
  luaL_checkstack(L, 3, "number");
  lua_pushvalue(L, json->encode);
  lua_pushvalue(L, index);
  lua_call(L, 1, 1);
  text = lua_tostring(L, -1);
  if (bx_isinteger(L, index))
    exact = strtoll(text, &end, 10) == lua_tointeger(L, index);
  else
    exact = strtod(text, &end) == n;
  exact = exact && *end == '\0' && (fabs(n) > EXACT || strpbrk(text, ".eE") == NULL);
  lua_pop(L, 1);
  if (exact) return 1;
#if BX_HAS_INTEGERS
  if (bx_isinteger(L, index)) {
    lua_pushfstring(L, "%I", (LUAI_UACINT)lua_tointeger(L, index));
    text = lua_tostring(L, -1);
  } else
#endif
  {
    snprintf(digits, sizeof digits, "%.0f", n);
    text = digits;
  }
  lua_pushfstring(L, "%s cannot be written exactly by the installed lua-cjson; send it as a string", text);
  return 0;
}

int bx_json_encode(lua_State *L, const bx_json *json, int index, int name) {
  bx_value_rules rules = {check_number, NULL, 0};
  int status;
  rules.context = json;
  luaL_checkstack(L, 4, "JSON");
  follow_locale(L);
  if (!bx_value_check(L, &rules, index, name)) return 0;
  lua_pushvalue(L, json->encode);
  lua_pushvalue(L, index);
  status = lua_pcall(L, 1, 1, 0);
  if (status == LUA_ERRMEM) lua_error(L);
  return status == LUA_OK;
}

/* ---- what comes back ---- */

/* Walks the table on top of the stack: nulls out of objects, whole floats into integers, which Debian's cjson
   decodes all numbers as floats. */
static void normalise(lua_State *L) {
  int table = lua_gettop(L);
  luaL_checkstack(L, 4, "answer nested too deeply");
  lua_pushnil(L);
  while (lua_next(L, table) != 0) {
    int type = lua_type(L, -1);
    if (type == LUA_TTABLE) {
      normalise(L);
    } else if (type == LUA_TLIGHTUSERDATA && lua_type(L, -2) == LUA_TSTRING) {
      lua_pushvalue(L, -2);
      lua_pushnil(L);
      lua_rawset(L, table);
    } else if (BX_HAS_INTEGERS && type == LUA_TNUMBER && !bx_isinteger(L, -1)) {
      lua_Number n = lua_tonumber(L, -1);
      if (n >= -EXACT && n <= EXACT && floor(n) == n) {
        lua_pushvalue(L, -2);
        lua_pushinteger(L, (lua_Integer)n);
        lua_rawset(L, table);
      }
    }
    lua_pop(L, 1);
  }
}

/* Pushes the decoded value, or nothing and false. */
static int decode(lua_State *L, const bx_json *json, const char *bytes, size_t length) {
  int status;
  lua_pushvalue(L, json->decode);
  lua_pushlstring(L, bytes, length);
  status = lua_pcall(L, 1, 1, 0);
  if (status == LUA_ERRMEM) lua_error(L);
  if (status != LUA_OK) lua_pop(L, 1);
  return status == LUA_OK;
}

/* Only brackets and strings are followed, which is enough to say where a faulty text ends. */
static bx_json_fault find_fault(lua_State *L, const bx_json *json, const char *bytes, size_t length) {
  size_t i, start = 0, depth = 0, deepest = 0;
  int quoted = 0;
  while (start < length && memchr(" \t\r\n", bytes[start], 4) != NULL) start++;
  if (start == length) return BX_JSON_EMPTY;
  if (bytes[start] != '{' && bytes[start] != '[') return BX_JSON_NOT_JSON;
  for (i = start; i < length; i++) {
    char c = bytes[i];
    if (quoted) {
      if (c == '\\')
        i++;
      else if (c == '"')
        quoted = 0;
    } else if (c == '"') {
      quoted = 1;
    } else if (c == '{' || c == '[') {
      if (++depth > deepest) deepest = depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      i++;
      break;
    }
  }
  if (deepest > DEEPEST_READ) return BX_JSON_TOO_DEEP;
  if (depth > 0) return BX_JSON_TRUNCATED;
  if (!decode(L, json, bytes, i)) return BX_JSON_NOT_JSON;
  lua_pop(L, 1);
  return BX_JSON_TRAILING;
}

bx_json_fault bx_json_decode(lua_State *L, const bx_json *json, const char *bytes, size_t length) {
  /* cjson takes a NUL byte for the end and would not see what is behind it. */
  if (length == 0) return BX_JSON_EMPTY;
  luaL_checkstack(L, 4, "JSON");
  follow_locale(L);
  if (memchr(bytes, '\0', length) != NULL || !decode(L, json, bytes, length)) return find_fault(L, json, bytes, length);
  if (lua_istable(L, -1)) normalise(L);
  return BX_JSON_OK;
}

/* ---- for Lua ---- */

static bx_json own_json(void) {
  bx_json json = {lua_upvalueindex(1), lua_upvalueindex(2)};
  return json;
}

int bx_json_lua_encode(lua_State *L) {
  bx_json json = own_json();
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  if (bx_json_encode(L, &json, 1, 0)) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

int bx_json_lua_decode(lua_State *L) {
  static const char *const faults[] = {"",        "empty", "not JSON", "ends in the middle", "goes on after its end",
                                       "too deep"};
  bx_json json = own_json();
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  bx_json_fault fault = bx_json_decode(L, &json, text, length);
  if (fault == BX_JSON_OK) return 1;
  lua_pushnil(L);
  lua_pushstring(L, faults[fault]);
  return 2;
}
