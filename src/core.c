/* bitrix.core: the one entry into the C module. Puts the parts together; and shows the catalog to Lua; the work is done elsewhere. */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "catalog.h"
#include "command.h"
#include "engine_lua.h"
#include "error.h"
#include "exchange.h"
#include "file.h"
#include "http.h"
#include "json.h"
#include "mask.h"
#include "query.h"
#include "reference.h"
#include "secret.h"
#include "session.h"
#include "text.h"
#include "version.h"

#if defined(__GNUC__)
#define EXPORT __attribute__((visibility("default")))
#else
#define EXPORT
#endif

EXPORT int luaopen_bitrix_core(lua_State *L);

/* now() → seconds on a clock that never jumps. */
static int core_now(lua_State *L) {
  lua_pushnumber(L, bx_http_now());
  return 1;
}

/* sleep(seconds): blocks the whole thread; a signal does not cut it short. No time at all for what is not above 0. */
static int core_sleep(lua_State *L) {
  static const double longest = 1e9;
  double seconds = luaL_checknumber(L, 1);
  struct timespec t;
  if (!(seconds > 0)) return 0;
  if (seconds > longest) seconds = longest;
  t.tv_sec = (time_t)seconds;
  t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
  while (nanosleep(&t, &t) != 0 && errno == EINTR) continue;
  return 0;
}

/* pid() → of this process. */
static int core_pid(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)getpid());
  return 1;
}

/* wall() → seconds since 1970, with a fraction. */
static int core_wall(lua_State *L) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec / 1e9);
  return 1;
}

/* yieldable() → whether the coroutine that calls may yield; false where this Lua cannot tell. */
static int core_yieldable(lua_State *L) {
  lua_pushboolean(L, bx_isyieldable(L));
  return 1;
}

/* fingerprint(text) → 16 hexadecimal digits that another text has only by chance. Not against those who try. */
static int core_fingerprint(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  char digits[BX_TEXT_FINGERPRINT];
  bx_text_fingerprint(text, length, digits);
  lua_pushstring(L, digits);
  return 1;
}

static void set_string(lua_State *L, const char *field, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, field);
}

static void push_params(lua_State *L, const bx_param *params) {
  static const char *const types[] = {"integer", "string", "date", "choice", "table"};
  const bx_param *p;
  lua_newtable(L);
  for (p = params; p->name != NULL; p++) {
    size_t i;
    lua_createtable(L, 0, 6);
    set_string(L, "name", p->name);
    set_string(L, "wire", p->wire);
    set_string(L, "type", types[p->type]);
    lua_pushboolean(L, (p->flags & BX_REQUIRED) != 0);
    lua_setfield(L, -2, "required");
    lua_pushboolean(L, (p->flags & BX_FIELD) != 0);
    lua_setfield(L, -2, "field");
    if (p->choices != NULL) {
      lua_newtable(L);
      for (i = 0; p->choices[i] != NULL; i++) {
        lua_pushstring(L, p->choices[i]);
        lua_rawseti(L, -2, (int)i + 1);
      }
      lua_setfield(L, -2, "choices");
    }
    lua_rawseti(L, -2, (int)(p - params) + 1);
  }
}

/* methods() → list of { space, name, method, idempotent, params } in the order of session:prepare's numbers;
   params: list of { name, wire, type, required, field, choices }. */
static int core_methods(lua_State *L) {
  const bx_method *m;
  lua_newtable(L);
  for (m = bx_methods; m->name != NULL; m++) {
    lua_createtable(L, 0, 5);
    set_string(L, "space", m->space);
    set_string(L, "name", m->name);
    set_string(L, "method", m->wire);
    lua_pushboolean(L, (m->flags & BX_IDEMPOTENT) != 0);
    lua_setfield(L, -2, "idempotent");
    push_params(L, m->params);
    lua_setfield(L, -2, "params");
    lua_rawseti(L, -2, (int)(m - bx_methods) + 1);
  }
  return 1;
}

/* reasons() → list of { key, kind, reason, executed }: every code and text of the portal that is told apart. */
static int core_reasons(lua_State *L) {
  const bx_outcome *m;
  const char *key;
  size_t i;
  lua_newtable(L);
  for (i = 0; (m = bx_catalog_reason(i, &key)) != NULL; i++) {
    lua_createtable(L, 0, 4);
    set_string(L, "key", key);
    set_string(L, "kind", m->kind);
    set_string(L, "reason", m->reason);
    set_string(L, "executed", m->executed);
    lua_rawseti(L, -2, (int)i + 1);
  }
  return 1;
}

int luaopen_bitrix_core(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"session", bx_session_new},
      {"is_error", bx_error_is},
      {"redact", bx_mask_redact},
      {"now", core_now},
      {"wall", core_wall},
      {"pid", core_pid},
      {"sleep", core_sleep},
      {"yieldable", core_yieldable},
      {"engine", bx_engine_lua},
      {"methods", core_methods},
      {"reasons", core_reasons},
      {"equal", bx_secret_equal},
      {"random", bx_secret_random},
      {"append", bx_file_append},
      {"origin", bx_reference_origin},
      {"reference", bx_reference_new},
      {"fingerprint", core_fingerprint},
      {NULL, NULL},
  };
  static const luaL_Reg json_functions[] = {
      {"encode", bx_json_lua_encode}, {"decode", bx_json_lua_decode}, {NULL, NULL}};
  static const luaL_Reg session_methods[] = {
      {"prepare", bx_exchange_prepare},    {"call", bx_exchange_call},          {"form", bx_exchange_form},
      {"command", bx_command_prepare},     {"command_call", bx_command_call},   {"command_result", bx_command_result},
      {"command_error", bx_command_error}, {"batch", bx_command_batch},         {"failure", bx_command_failure},
      {"clean", bx_command_clean},         {"set_token", bx_session_set_token}, {"move", bx_session_move},
      {"close", bx_session_close},         {"place", bx_session_place},         {NULL, NULL},
  };
  if (bx_http_global_init() != 0) return luaL_error(L, "bitrix: libcurl cannot be initialised");
  lua_settop(L, 0);
  bx_mask_open(L);
  bx_error_open(L);
  bx_reference_open(L);
  bx_query_setup(L);
  bx_json_open(L);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  bx_exchange_open(L);
  bx_engine_lua_open(L);
  luaL_newlib(L, functions);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  luaL_setfuncs(L, json_functions, 2);
  lua_insert(L, 1);
  bx_session_open(L, session_methods, BX_EXCHANGE_UPVALUES);
  bx_pushnull(L);
  lua_setfield(L, -2, "null");
  bx_file_open(L);
  lua_setfield(L, -2, "file");
  set_string(L, "_VERSION", BX_VERSION);
  return 1;
}
