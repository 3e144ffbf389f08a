/* The one place that makes error objects: see error.h. */
#include "error.h"

#include <string.h>

#include "mask.h"

#define METATABLE "bitrix.error"

enum { EXCERPT = 2048, LONGEST = 8192 /* of a text of the portal; nobody logs more */ };

/* A string field as C text, or NULL. The string stays on the stack. */
static const char *get_text(lua_State *L, const char *field) {
  lua_getfield(L, 1, field);
  return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

/* bitrix: tasks.api.scrum.backlog.add: Backlog already added (backlog_already_added, HTTP 400, code 0) */
static int error_tostring(lua_State *L) {
  const char *method, *message, *reason, *code;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  method = get_text(L, "method");
  message = get_text(L, "message");
  reason = get_text(L, "reason");
  code = get_text(L, "code");
  lua_getfield(L, 1, "status");
  lua_pushliteral(L, "bitrix: ");
  lua_pushfstring(L, "%s%s", method != NULL ? method : "", method != NULL ? ": " : "");
  lua_pushfstring(L, "%s (%s", message != NULL && *message != '\0' ? message : "no description",
                  reason != NULL ? reason : "unknown");
  if (lua_type(L, 6) == LUA_TNUMBER)
    lua_pushfstring(L, ", HTTP %d", (int)lua_tointeger(L, 6));
  else
    lua_pushliteral(L, "");
  if (code != NULL)
    lua_pushfstring(L, *code != '\0' ? ", code %s)" : ", code \"\")", code);
  else
    lua_pushliteral(L, ")");
  lua_concat(L, lua_gettop(L) - 6);
  return 1;
}

void bx_error_open(lua_State *L) {
  luaL_newmetatable(L, METATABLE);
  lua_pushcfunction(L, error_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, METATABLE);
  lua_setfield(L, -2, "__name");
  lua_pop(L, 1);
}

static void set_text(lua_State *L, const char *field, const char *text) {
  if (text == NULL) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, field);
}

static void set_redacted(lua_State *L, const char *field, const char *text, size_t length, const bx_secrets *secrets) {
  if (text == NULL) return;
  bx_mask_push(L, secrets, text, length, length < LONGEST ? length : LONGEST);
  lua_setfield(L, -2, field);
}

static void set_code(lua_State *L, const char *code, size_t length, const bx_secrets *secrets) {
  if (code == NULL) return;
  bx_mask_push_whole(L, secrets, code, length, LONGEST);
  lua_setfield(L, -2, "code");
}

static void set_excerpt(lua_State *L, const char *text, size_t length, const bx_secrets *secrets) {
  if (text == NULL) return;
  bx_mask_push(L, secrets, text, length, EXCERPT);
  if (lua_rawlen(L, -1) > EXCERPT) { /* a mask can be longer than what it hides */
    lua_pushlstring(L, lua_tostring(L, -1), EXCERPT);
    lua_remove(L, -2);
  }
  lua_setfield(L, -2, "body");
}

/* Copies one {field, message} of v3: strings only, redacted. The copy is on top of the stack, the source at `from`. */
static void copy_text(lua_State *L, int from, const char *field, const bx_secrets *secrets) {
  size_t length;
  const char *text;
  lua_getfield(L, from, field);
  text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
  if (text != NULL) {
    bx_mask_push(L, secrets, text, length, length);
    lua_setfield(L, -3, field);
  }
  lua_pop(L, 1);
}

static void set_validation(lua_State *L, int list, const bx_secrets *secrets) {
  size_t i, n = lua_rawlen(L, list);
  lua_createtable(L, (int)n, 0);
  for (i = 1; i <= n; i++) {
    lua_rawgeti(L, list, (int)i);
    lua_createtable(L, 0, 2);
    if (lua_istable(L, -2)) {
      copy_text(L, lua_gettop(L) - 1, "field", secrets);
      copy_text(L, lua_gettop(L) - 1, "message", secrets);
    }
    lua_rawseti(L, -3, (int)i);
    lua_pop(L, 1);
  }
  lua_setfield(L, -2, "validation");
}

void bx_error_push(lua_State *L, const bx_fault *fault, const bx_secrets *secrets) {
  luaL_checkstack(L, 10, "error object");
  lua_createtable(L, 0, 10);
  set_text(L, "kind", fault->outcome.kind);
  set_text(L, "reason", fault->outcome.reason);
  set_text(L, "executed", fault->outcome.executed);
  if (fault->method != NULL) set_redacted(L, "method", fault->method, strlen(fault->method), secrets);
  if (fault->status != 0) {
    lua_pushinteger(L, (lua_Integer)fault->status);
    lua_setfield(L, -2, "status");
  }
  set_code(L, fault->code, fault->code_length, secrets);
  set_redacted(L, "message", fault->message, fault->message_length, secrets);
  set_redacted(L, "redirect", fault->redirect, fault->redirect_length, secrets);
  set_excerpt(L, fault->body, fault->body_length, secrets);
  if (fault->validation != 0) set_validation(L, fault->validation, secrets);
  luaL_getmetatable(L, METATABLE);
  lua_setmetatable(L, -2);
}

int bx_error_is(lua_State *L) {
  int is = 0;
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) luaL_checktype(L, 2, LUA_TSTRING);
  if (lua_istable(L, 1) && lua_getmetatable(L, 1)) {
    luaL_getmetatable(L, METATABLE);
    is = lua_rawequal(L, -1, -2);
  }
  if (is && !lua_isnil(L, 2)) {
    lua_getfield(L, 1, "kind");
    lua_getfield(L, 1, "reason");
    is = lua_rawequal(L, 2, -1) || lua_rawequal(L, 2, -2);
  }
  lua_pushboolean(L, is);
  return 1;
}
