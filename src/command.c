/* The commands of a batch: see command.h. */
#include "command.h"

#include <string.h>
#include <strings.h>

#include "catalog.h"
#include "error.h"
#include "exchange.h"
#include "mask.h"
#include "params.h"
#include "query.h"
#include "response.h"
#include "session.h"
#include "text.h"
#include "value.h"

static int no_memory(lua_State *L) { return luaL_error(L, "not enough memory"); }

/* Stack: session, what, params, values. Makes a table of nil params. */
static void take_arguments(lua_State *L, bx_query *query) {
  lua_settop(L, 4);
  if (lua_isnil(L, 3)) {
    lua_newtable(L);
    lua_replace(L, 3);
  }
  bx_query_open(L, query, lua_istable(L, 4) ? 4 : 0);
}

/* text, method, idempotent, references. */
static int push_command(lua_State *L, const char *method, const bx_query *query, int idempotent) {
  lua_pushstring(L, method);
  if (query->out->length > 0) {
    lua_pushliteral(L, "?");
    lua_pushlstring(L, query->out->data, query->out->length);
    lua_concat(L, 3);
  }
  lua_pushstring(L, method);
  lua_pushboolean(L, idempotent);
  lua_pushinteger(L, query->references);
  return 4;
}

static const bx_method *check_number(lua_State *L, int index) {
  lua_Integer number = luaL_checkinteger(L, index);
  luaL_argcheck(L, number >= 1 && number <= (lua_Integer)bx_catalog_count, index, "no such method");
  return &bx_methods[number - 1];
}

int bx_command_prepare(lua_State *L) {
  bx_session *session = bx_session_check(L, 1);
  const bx_method *row = check_number(L, 2);
  bx_query query;
  take_arguments(L, &query);
  if (!bx_exchange_check_open(L, session, row->name)) return bx_exchange_refuse(L, session);
  if (!lua_istable(L, 3)) {
    lua_pushfstring(L, "bad argument #1 to '%s' (table expected, got %s)", row->name, luaL_typename(L, 3));
    return bx_exchange_refuse(L, session);
  }
  if (bx_params_query(L, row, 3, &query)) return push_command(L, row->wire, &query, (row->flags & BX_IDEMPOTENT) != 0);
  lua_pushfstring(L, "bad argument #1 to '%s' (%s)", row->name, lua_tostring(L, -1));
  return bx_exchange_refuse(L, session);
}

int bx_command_call(lua_State *L) {
  static const bx_value_rules in_a_batch = {NULL, NULL, 1};
  bx_session *session = bx_session_check(L, 1);
  const char *method;
  bx_query query;
  take_arguments(L, &query);
  if (!bx_exchange_check_open(L, session, "call")) return bx_exchange_refuse(L, session);
  if ((method = bx_exchange_check_name(L, 2)) == NULL) return bx_exchange_refuse(L, session);
  if (strcasecmp(method, "batch") == 0) {
    lua_pushliteral(L, "bad argument #1 to 'call' (a batch cannot stand in a batch)");
    return bx_exchange_refuse(L, session);
  }
  if (!lua_istable(L, 3)) {
    lua_pushfstring(L, "bad argument #2 to 'call' (table expected, got %s)", luaL_typename(L, 3));
    return bx_exchange_refuse(L, session);
  }
  if (!bx_value_check(L, &in_a_batch, 3, 0)) {
    lua_pushfstring(L, "bad argument #2 to 'call' (%s)", lua_tostring(L, -1));
    return bx_exchange_refuse(L, session);
  }
  bx_query_value(L, &query, 3);
  return push_command(L, method, &query, bx_catalog_is_idempotent(method));
}

/* Appends the string field of the table on top in quotes. */
static void append_field(lua_State *L, bx_buffer *body, const char *field) {
  size_t length;
  const char *text;
  lua_getfield(L, -1, field);
  text = luaL_checklstring(L, -1, &length);
  if (bx_text_quote(body, text, length) != 0) no_memory(L);
  lua_pop(L, 1);
}

int bx_command_batch(lua_State *L) {
  bx_session *session = bx_session_check(L, 1);
  lua_Integer i, first = luaL_checkinteger(L, 3), last = luaL_checkinteger(L, 4);
  bx_buffer *body;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 5);
  if (!bx_exchange_check_open(L, session, "batch")) return bx_exchange_refuse(L, session);
  body = bx_exchange_push(L, session, "batch");
  if (bx_buffer_puts(body, lua_toboolean(L, 5) ? "{\"halt\":1,\"cmd\":{" : "{\"halt\":0,\"cmd\":{") != 0) no_memory(L);
  for (i = first; i <= last; i++) {
    lua_rawgeti(L, 2, (int)i);
    luaL_checktype(L, -1, LUA_TTABLE);
    if (i > first && bx_buffer_puts(body, ",") != 0) no_memory(L);
    append_field(L, body, "key");
    if (bx_buffer_puts(body, ":") != 0) no_memory(L);
    append_field(L, body, "text");
    lua_pop(L, 1);
  }
  if (bx_buffer_puts(body, "}}") != 0) no_memory(L);
  return 1;
}

int bx_command_result(lua_State *L) {
  lua_settop(L, 3);
  if (!lua_isnil(L, 2)) {
    const bx_method *row = check_number(L, 2);
    if (row->integers != NULL) bx_exchange_integers(L, 3, row->integers);
  }
  return 1;
}

int bx_command_error(lua_State *L) {
  const bx_session *session = bx_session_check(L, 1);
  bx_fault fault;
  memset(&fault, 0, sizeof fault);
  fault.method = luaL_checkstring(L, 2);
  fault.status = (long)luaL_checkinteger(L, 4);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_getfield(L, 3, "error");
  bx_response_read_error(L, 3, &fault);
  bx_error_push(L, &fault, &session->settings.secrets);
  return 1;
}

/* A string field of the table at 3, which keeps it; NULL where there is none. */
static const char *text_of(lua_State *L, const char *field, size_t *length) {
  const char *text = NULL;
  lua_getfield(L, 3, field);
  *length = 0;
  if (lua_type(L, -1) == LUA_TSTRING) text = lua_tolstring(L, -1, length);
  lua_pop(L, 1);
  return text;
}

int bx_command_failure(lua_State *L) {
  const bx_session *session = bx_session_check(L, 1);
  bx_fault fault;
  size_t length;
  memset(&fault, 0, sizeof fault);
  fault.method = luaL_checkstring(L, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  fault.outcome.kind = text_of(L, "kind", &length);
  fault.outcome.reason = text_of(L, "reason", &length);
  fault.outcome.executed = text_of(L, "executed", &length);
  fault.code = text_of(L, "code", &fault.code_length);
  fault.message = text_of(L, "message", &fault.message_length);
  fault.body = text_of(L, "body", &fault.body_length);
  lua_getfield(L, 3, "status");
  fault.status = (long)lua_tointeger(L, -1);
  lua_getfield(L, 3, "validation");
  if (lua_istable(L, -1)) fault.validation = lua_gettop(L);
  bx_error_push(L, &fault, &session->settings.secrets);
  return 1;
}

int bx_command_clean(lua_State *L) {
  const bx_session *session = bx_session_check(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  bx_mask_clean(L, &session->settings.secrets);
  return 1;
}
