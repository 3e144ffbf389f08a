/* One call of one method: see exchange.h. */
#include "exchange.h"

#include <string.h>

#include "catalog.h"
#include "error.h"
#include "json.h"
#include "mask.h"
#include "params.h"
#include "response.h"
#include "session.h"
#include "stamp.h"

#define METATABLE "bitrix.exchange"

typedef bx_exchange exchange;

static bx_json own_json(void) {
  bx_json json = {lua_upvalueindex(1), lua_upvalueindex(2)};
  return json;
}

/* The method's name on the wire: what stands in the address behind the session's base. */
static const char *method_of(const exchange *x) {
  return x->shape == BX_TOKENS ? "oauth.token" : x->transfer.url.data + x->stamp.base;
}

/* ---- making one ---- */

static int no_memory(lua_State *L) { return luaL_error(L, "not enough memory"); }

int bx_exchange_refuse(lua_State *L, const bx_session *session) {
  size_t length;
  const char *message = lua_tolstring(L, -1, &length);
  lua_pushnil(L);
  bx_mask_push(L, &session->settings.secrets, message, length, length);
  return 2;
}

int bx_exchange_check_open(lua_State *L, const bx_session *session, const char *function) {
  if (!session->closed) return 1;
  lua_pushfstring(L, "bad call of '%s': this client is closed", function);
  return 0;
}

/* Pushes an exchange without a body. */
static exchange *push_exchange(lua_State *L, bx_session *session, const char *method) {
  exchange *x = bx_newuserdata(L, sizeof *x);
  memset(x, 0, sizeof *x);
  luaL_getmetatable(L, METATABLE);
  lua_setmetatable(L, -2);
  x->session = bx_session_hold(session);
  x->stamp.base = strlen(session->settings.base);
  bx_request_id(x->transfer.id);
  if (bx_buffer_puts(&x->transfer.url, session->settings.base) != 0 ||
      bx_buffer_append(&x->transfer.url, method, strlen(method) + 1) != 0)
    no_memory(L);
  return x;
}

int bx_exchange_prepare(lua_State *L) {
  bx_session *session = bx_session_check(L, 1);
  lua_Integer number = luaL_checkinteger(L, 2);
  const bx_method *row;
  bx_json json = own_json();
  exchange *x;
  luaL_argcheck(L, number >= 1 && number <= (lua_Integer)bx_catalog_count, 2, "no such method");
  row = &bx_methods[number - 1];
  lua_settop(L, 3);
  if (!bx_exchange_check_open(L, session, row->name)) return bx_exchange_refuse(L, session);
  if (lua_isnil(L, 3)) {
    lua_newtable(L);
    lua_replace(L, 3);
  }
  if (!lua_istable(L, 3)) {
    lua_pushfstring(L, "bad argument #1 to '%s' (table expected, got %s)", row->name, luaL_typename(L, 3));
    return bx_exchange_refuse(L, session);
  }
  x = push_exchange(L, session, row->wire);
  x->row = row;
  if (bx_params_encode(L, &json, row, 3, &x->transfer.body)) return 1;
  lua_pushfstring(L, "bad argument #1 to '%s' (%s)", row->name, lua_tostring(L, -1));
  return bx_exchange_refuse(L, session);
}

bx_buffer *bx_exchange_push(lua_State *L, bx_session *session, const char *method) {
  return &push_exchange(L, session, method)->transfer.body;
}

/* ---- methods called by name ---- */

enum { LONGEST_NAME = 255 };

const char *bx_exchange_check_name(lua_State *L, int index) {
  size_t length;
  const char *method = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &length) : NULL;
  if (method == NULL) {
    lua_pushfstring(L, "bad argument #1 to 'call' (a method's name expected, got %s)", luaL_typename(L, index));
    return NULL;
  }
  if (length == 0 || length > LONGEST_NAME || strspn(method, ".") == length ||
      strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != length) {
    lua_pushliteral(L, "bad argument #1 to 'call' (a method's name expected, like 'user.current': letters, digits, "
                       "'.', '_' and '-' only)");
    return NULL;
  }
  return method;
}

int bx_exchange_call(lua_State *L) {
  bx_session *session = bx_session_check(L, 1);
  const char *method;
  size_t length;
  bx_json json = own_json();
  exchange *x;
  lua_settop(L, 3);
  if (!bx_exchange_check_open(L, session, "call")) return bx_exchange_refuse(L, session);
  if ((method = bx_exchange_check_name(L, 2)) == NULL) return bx_exchange_refuse(L, session);
  if (!lua_isnil(L, 3) && !lua_istable(L, 3)) {
    lua_pushfstring(L, "bad argument #2 to 'call' (table expected, got %s)", luaL_typename(L, 3));
    return bx_exchange_refuse(L, session);
  }
  x = push_exchange(L, session, method);
  if (lua_isnil(L, 3)) {
    if (bx_buffer_puts(&x->transfer.body, "{}") != 0) no_memory(L);
    return 1;
  }
  if (!bx_json_encode(L, &json, 3, 0)) {
    lua_pushfstring(L, "bad argument #2 to 'call' (%s)", lua_tostring(L, -1));
    return bx_exchange_refuse(L, session);
  }
  {
    const char *text = lua_tolstring(L, -1, &length);
    if (session->settings.oauth && *text != '{') {
      lua_pushliteral(L,
                      "bad argument #2 to 'call' (names expected, got a list: the access token is sent beside them)");
      return bx_exchange_refuse(L, session);
    }
    if (bx_buffer_append(&x->transfer.body, text, length) != 0) no_memory(L);
  }
  lua_pop(L, 1);
  return 1;
}

/* ---- methods of an exchange ---- */

bx_exchange *bx_exchange_check(lua_State *L, int index) {
  exchange *x = luaL_checkudata(L, index, METATABLE);
  if (x->session == NULL) luaL_argerror(L, index, "this exchange is closed");
  return x;
}

int bx_exchange_renew(bx_exchange *x) {
  return x->shape == BX_ANSWER ? bx_stamp_renew(&x->stamp, &x->session->settings, &x->transfer) : 0;
}

void bx_exchange_land(lua_State *L, bx_exchange *x) {
  if (x->flight == NULL) return;
  if (bx_flight_is_lost(x->flight))
    luaL_error(L, "this exchange was on its way when the process forked: it is the parent's");
  if (bx_flight_is_out(x->flight)) luaL_error(L, "this exchange is on its way: wait for its end, or cancel it, first");
  bx_flight_take(x->flight, &x->transfer);
  x->flight = NULL;
}

static exchange *check_exchange(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, METATABLE);
  if (x->session == NULL) luaL_error(L, "this exchange is closed");
  return x;
}

/* exchange:perform([seconds]) sends it and waits for the end; seconds: what is left until the deadline. */
static int exchange_perform(lua_State *L) {
  exchange *x = check_exchange(L);
  double deadline = lua_isnoneornil(L, 2) ? -1 : luaL_checknumber(L, 2);
  if (deadline < 0 && !lua_isnoneornil(L, 2)) deadline = 0;
  if (x->session->closed) return luaL_error(L, "this client is closed");
  bx_exchange_land(L, x);
  if (bx_exchange_renew(x) != 0) return no_memory(L);
  bx_http_perform(&x->session->http, &x->session->settings.http, &x->transfer, deadline);
  return 0;
}

/* An integer as text, as the portal sends it: digits, with a minus sign perhaps. */
static int to_integer(lua_State *L, int index, long long *value) {
  const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : "";
  int known;
  if (*text != '-') return bx_params_integer(L, index, value);
  lua_pushstring(L, text + 1);
  known = bx_params_integer(L, lua_gettop(L), value);
  *value = -*value;
  lua_pop(L, 1);
  return known;
}

void bx_exchange_integers(lua_State *L, int list, const char *const *fields) {
  size_t i, k, n = lua_istable(L, list) ? lua_rawlen(L, list) : 0;
  for (i = 1; i <= n; i++) {
    lua_rawgeti(L, list, (int)i);
    for (k = 0; lua_istable(L, -1) && fields[k] != NULL; k++) {
      long long value = 0;
      lua_getfield(L, -1, fields[k]);
      if (to_integer(L, lua_gettop(L), &value)) {
        bx_pushinteger64(L, value);
        lua_setfield(L, -3, fields[k]);
      }
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
}

/* exchange:result() → result, info, attempt, sent, received; or nil, error, attempt, sent, received. The last two are bytes of
   bodies. The answer's memory is free afterwards. */
static int exchange_result(lua_State *L) {
  exchange *x = check_exchange(L);
  bx_json json = own_json();
  int count;
  bx_exchange_land(L, x);
  if (!x->transfer.done) return luaL_error(L, "this exchange has no answer: perform it first");
  count = bx_response_push(L, &json, &x->session->settings, &x->transfer, method_of(x), x->shape);
  if (x->row != NULL && x->row->integers != NULL) bx_exchange_integers(L, lua_gettop(L) - 2, x->row->integers);
  lua_pushinteger(L, (lua_Integer)x->transfer.sent);
  lua_pushinteger(L, (lua_Integer)x->transfer.answer.length);
  bx_transfer_drop_answer(&x->transfer);
  return count + 2;
}

static const char *failure_field(lua_State *L, const char *name) {
  lua_getfield(L, 2, name);
  return luaL_checkstring(L, -1);
}

/* exchange:id() → what it is sent with as X-Request-ID, in each attempt. */
static int exchange_id(lua_State *L) {
  lua_pushstring(L, check_exchange(L)->transfer.id);
  return 1;
}

/* exchange:failure{ kind =, reason =, message =, executed = } → an error object for what went wrong in Lua. */
static int exchange_failure(lua_State *L) {
  const exchange *x = check_exchange(L);
  bx_fault fault;
  luaL_checktype(L, 2, LUA_TTABLE);
  memset(&fault, 0, sizeof fault);
  fault.outcome.kind = failure_field(L, "kind");
  fault.outcome.reason = failure_field(L, "reason");
  fault.outcome.executed = failure_field(L, "executed");
  fault.method = method_of(x);
  fault.message = failure_field(L, "message");
  fault.message_length = strlen(fault.message);
  bx_error_push(L, &fault, &x->session->settings.secrets);
  return 1;
}

/* exchange:close(), also __gc: frees all that it holds. One that is on its way is cancelled; what it holds is then freed
   when the engine has let go of it. */
static int exchange_close(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, METATABLE);
  if (x->flight != NULL) {
    /* A lost one belongs to the parent's engine with all that it holds. */
    if (!bx_flight_is_lost(x->flight)) bx_flight_abandon(x->flight);
    memset(&x->transfer, 0, sizeof x->transfer);
    x->flight = NULL;
    x->session = NULL; /* the reference went with the flight */
  }
  bx_transfer_free(&x->transfer);
  bx_session_release(x->session);
  x->session = NULL;
  return 0;
}

/* exchange:idempotent() → whether running it twice does no more than running it once, as far as the catalog knows. */
static int exchange_idempotent(lua_State *L) {
  const exchange *x = check_exchange(L);
  lua_pushboolean(L, x->row != NULL ? (x->row->flags & BX_IDEMPOTENT) != 0 : bx_catalog_is_idempotent(method_of(x)));
  return 1;
}

/* exchange:method() → its name on the wire. */
static int exchange_method(lua_State *L) {
  const exchange *x = check_exchange(L);
  lua_pushstring(L, method_of(x));
  return 1;
}

/* exchange:header(name, value) → true; or nil, message. Sent with this call beside the client's own headers. */
static int exchange_header(lua_State *L) {
  exchange *x = check_exchange(L);
  size_t name_length, value_length;
  const char *name = luaL_checklstring(L, 2, &name_length), *value = luaL_checklstring(L, 3, &value_length), *problem;
  problem = bx_settings_add_header(&x->session->settings, &x->transfer.headers, name, name_length, value, value_length);
  if (problem == bx_settings_no_memory) return no_memory(L);
  lua_pushboolean(L, problem == NULL);
  if (problem == NULL) return 1;
  lua_pushnil(L);
  lua_pushstring(L, problem);
  return 2;
}

/* exchange:body() → the bytes that are posted. They may hold what the user deems private: not for logs. */
static int exchange_body(lua_State *L) {
  const exchange *x = check_exchange(L);
  lua_pushlstring(L, x->transfer.body.data, x->transfer.body.length);
  return 1;
}

/* exchange:place() → where it was last sent, or will be: "https://acme.bitrix24.com". */
static int exchange_place(lua_State *L) {
  const char *url = check_exchange(L)->transfer.url.data, *host = strstr(url, "://");
  lua_pushlstring(L, url, host != NULL ? (size_t)(host - url) + 3 + strcspn(host + 3, "/") : 0);
  return 1;
}

/* exchange:token() → the access token that it was last sent with, or nil. A secret. */
static int exchange_token(lua_State *L) {
  const exchange *x = check_exchange(L);
  if (x->stamp.token_length == 0) return 0;
  lua_pushlstring(L, x->transfer.body.data + x->stamp.token_at, x->stamp.token_length);
  return 1;
}

static int exchange_tostring(lua_State *L) {
  const exchange *x = luaL_checkudata(L, 1, METATABLE);
  lua_pushfstring(L, "bitrix.exchange (%s)", x->session != NULL ? method_of(x) : "closed");
  return 1;
}

void bx_exchange_open(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"perform", exchange_perform},       {"result", exchange_result}, {"close", exchange_close},
      {"idempotent", exchange_idempotent}, {"body", exchange_body},     {"token", exchange_token},
      {"place", exchange_place},           {"method", exchange_method}, {"header", exchange_header},
      {"failure", exchange_failure},       {"id", exchange_id},         {NULL, NULL},
  };
  int i, base = lua_gettop(L) - BX_EXCHANGE_UPVALUES;
  luaL_newmetatable(L, METATABLE);
  lua_newtable(L);
  for (i = 1; i <= BX_EXCHANGE_UPVALUES; i++) lua_pushvalue(L, base + i);
  luaL_setfuncs(L, methods, BX_EXCHANGE_UPVALUES);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, exchange_close);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, exchange_close);
  lua_setfield(L, -2, "__close");
  lua_pushcfunction(L, exchange_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, METATABLE);
  lua_setfield(L, -2, "__metatable");
  lua_settop(L, base);
}
