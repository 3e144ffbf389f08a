/* One call of one method: see exchange.h. */
#include "exchange.h"

#include <math.h>
#include <string.h>

#include "catalog.h"
#include "json.h"
#include "names.h"
#include "response.h"
#include "session.h"

#define METATABLE "bitrix.exchange"

typedef struct exchange {
  bx_session *session;
  const bx_method *row; /* NULL for a method that is called by its name */
  char *method;         /* on the wire */
  bx_transfer transfer;
} exchange;

static bx_json own_json(lua_State *L) {
  bx_json json = {lua_upvalueindex(1), lua_upvalueindex(2), 0};
  json.whole = lua_toboolean(L, lua_upvalueindex(3));
  return json;
}

/* ---- making one ---- */

static int no_memory(lua_State *L) { return luaL_error(L, "not enough memory"); }

/* nil and the message on top of the stack. */
static int refuse(lua_State *L) {
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

static bx_session *check_open(lua_State *L, const char *function) {
  bx_session *session = bx_session_check(L, 1);
  if (!session->closed) return session;
  lua_pushfstring(L, "bad call of '%s': this client is closed", function);
  return NULL;
}

/* Pushes an exchange without a body. */
static exchange *push_exchange(lua_State *L, bx_session *session, const char *method, size_t length) {
  exchange *x = bx_newuserdata(L, sizeof *x);
  memset(x, 0, sizeof *x);
  luaL_getmetatable(L, METATABLE);
  lua_setmetatable(L, -2);
  x->session = bx_session_hold(session);
  x->method = bx_strndup(method, length);
  if (x->method == NULL || bx_buffer_puts(&x->transfer.url, session->settings.base) != 0 ||
      bx_buffer_append(&x->transfer.url, x->method, length + 1) != 0)
    no_memory(L);
  return x;
}

/* ---- methods of the catalog ---- */

static const bx_param *find_param(const bx_method *row, const char *name) {
  const bx_param *p;
  for (p = row->params; p->name != NULL; p++)
    if (strcmp(p->name, name) == 0) return p;
  return NULL;
}

/* Pushes what is said of a key that is no parameter; the key is at `key`. */
static int refuse_name(lua_State *L, const bx_method *row, int key) {
  const char *name = lua_type(L, key) == LUA_TSTRING ? lua_tostring(L, key) : NULL;
  bx_nearest nearest = {NULL, 0};
  const bx_param *p;
  if (name == NULL) {
    lua_pushfstring(L, "bad argument #1 to '%s' (names expected as keys, got a %s)", row->name, luaL_typename(L, key));
    return refuse(L);
  }
  for (p = row->params; p->name != NULL; p++) bx_nearest_offer(&nearest, name, p->name);
  /* Who knows the reference writes the portal's name where Lua has a better one. */
  for (p = row->params; p->name != NULL; p++)
    if (strcmp(p->wire, name) == 0) nearest.name = p->name;
  if (strcmp(name, "fields") == 0) {
    lua_pushfstring(L, "bad argument #1 to '%s' (unknown parameter 'fields'; give its contents directly)", row->name);
    return refuse(L);
  }
  if (nearest.name != NULL)
    lua_pushfstring(L, "bad argument #1 to '%s' (unknown parameter '%s'; did you mean '%s'?)", row->name, name,
                    nearest.name);
  else
    lua_pushfstring(L, "bad argument #1 to '%s' (unknown parameter '%s')", row->name, name);
  return refuse(L);
}

/* An integer, an integral float that is exact, or a string of digits; false for all else. */
static int to_integer(lua_State *L, int index, long long *out) {
  lua_Number n;
  const char *text;
  size_t length, i;
  switch (lua_type(L, index)) {
  case LUA_TNUMBER:
#if BX_HAS_INTEGERS
    if (lua_isinteger(L, index)) {
      *out = (long long)lua_tointeger(L, index);
      return 1;
    }
#endif
    n = lua_tonumber(L, index);
    if (!(n >= -9007199254740992.0 && n <= 9007199254740992.0) || floor(n) != n) return 0;
    *out = (long long)n;
    return 1;
  case LUA_TSTRING:
    text = lua_tolstring(L, index, &length);
    if (length == 0 || length > 18) return 0;
    for (*out = 0, i = 0; i < length; i++) {
      if (text[i] < '0' || text[i] > '9') return 0;
      *out = *out * 10 + (text[i] - '0');
    }
    return 1;
  default:
    return 0;
  }
}

/* Pushes what is said of a value of the wrong type, which is at `index`. */
static int refuse_value(lua_State *L, const bx_method *row, const bx_param *p, int index) {
  const char *got = bx_isnull(L, index) ? "null" : luaL_typename(L, index);
  if (lua_type(L, index) == LUA_TNUMBER) {
    lua_pushvalue(L, index);
    got = lua_tostring(L, -1);
  }
  lua_pushfstring(L, "bad argument #1 to '%s' (field '%s': integer expected, got %s)", row->name, p->name, got);
  return refuse(L);
}

static int append_member(bx_buffer *body, const char *name, long long value) {
  const char *before = body->data[body->length - 1] == '{' ? "\"" : ",\"";
  return bx_buffer_puts(body, before) != 0 || bx_buffer_puts(body, name) != 0 || bx_buffer_puts(body, "\":") != 0 ||
         bx_buffer_integer(body, value) != 0;
}

static int open_fields(bx_buffer *body) {
  return bx_buffer_puts(body, body->data[body->length - 1] == '{' ? "\"fields\":{" : ",\"fields\":{");
}

/* 0 when each key of the parameters (the table at 3) is one of the method's, else the count of values pushed. */
static int check_names(lua_State *L, const bx_method *row) {
  lua_pushnil(L);
  while (lua_next(L, 3) != 0) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING || find_param(row, lua_tostring(L, -1)) == NULL)
      return refuse_name(L, row, lua_gettop(L));
  }
  return 0;
}

/* Appends the body for the parameters (the table at 3). 0, or the count of values pushed by a refusal. */
static int encode_params(lua_State *L, const bx_method *row, bx_buffer *body) {
  const bx_param *p;
  int given = 0, failed = bx_buffer_puts(body, "{");
  for (p = row->params; p->name != NULL; p++) {
    long long value;
    lua_getfield(L, 3, p->name);
    if (lua_isnil(L, -1) && !(p->flags & BX_REQUIRED)) {
      lua_pop(L, 1);
      continue;
    }
    if (!to_integer(L, -1, &value)) return refuse_value(L, row, p, lua_gettop(L));
    lua_pop(L, 1);
    if ((p->flags & BX_FIELD) && given++ == 0) failed = failed || open_fields(body);
    failed = failed || append_member(body, p->wire, value);
  }
  if ((row->flags & BX_CHANGES) && given == 0) {
    lua_pushfstring(L, "bad argument #1 to '%s' (nothing to change: at least one field expected beside 'id')",
                    row->name);
    return refuse(L);
  }
  if (failed || bx_buffer_puts(body, given > 0 ? "}}" : "}") != 0) no_memory(L);
  return 0;
}

int bx_exchange_prepare(lua_State *L) {
  bx_session *session;
  const bx_method *row = &bx_methods[luaL_checkinteger(L, 2) - 1];
  exchange *x;
  int refused;
  lua_settop(L, 3);
  if ((session = check_open(L, row->name)) == NULL) return refuse(L);
  if (lua_isnil(L, 3)) {
    lua_newtable(L);
    lua_replace(L, 3);
  }
  if (!lua_istable(L, 3)) {
    lua_pushfstring(L, "bad argument #1 to '%s' (table expected, got %s)", row->name, luaL_typename(L, 3));
    return refuse(L);
  }
  if ((refused = check_names(L, row)) != 0) return refused;
  x = push_exchange(L, session, row->wire, strlen(row->wire));
  x->row = row;
  refused = encode_params(L, row, &x->transfer.body);
  return refused != 0 ? refused : 1;
}

/* ---- methods called by name ---- */

int bx_exchange_call(lua_State *L) {
  bx_session *session;
  const char *method;
  size_t length;
  bx_json json = own_json(L);
  exchange *x;
  lua_settop(L, 3);
  if ((session = check_open(L, "call")) == NULL) return refuse(L);
  method = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &length) : NULL;
  if (method == NULL) {
    lua_pushfstring(L, "bad argument #1 to 'call' (a method's name expected, got %s)", luaL_typename(L, 2));
    return refuse(L);
  }
  if (length == 0 || strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != length) {
    lua_pushliteral(L, "bad argument #1 to 'call' (a method's name expected, like 'user.current': letters, digits, "
                       "'.', '_' and '-' only)");
    return refuse(L);
  }
  if (!lua_isnil(L, 3) && !lua_istable(L, 3)) {
    lua_pushfstring(L, "bad argument #2 to 'call' (table expected, got %s)", luaL_typename(L, 3));
    return refuse(L);
  }
  x = push_exchange(L, session, method, length);
  if (lua_isnil(L, 3)) {
    if (bx_buffer_puts(&x->transfer.body, "{}") != 0) no_memory(L);
    return 1;
  }
  if (!bx_json_encode(L, &json, 3)) {
    lua_pushfstring(L, "bad argument #2 to 'call' (%s)", lua_tostring(L, -1));
    return refuse(L);
  }
  {
    const char *text = lua_tolstring(L, -1, &length);
    if (bx_buffer_append(&x->transfer.body, text, length) != 0) no_memory(L);
  }
  lua_pop(L, 1);
  return 1;
}

/* ---- methods of an exchange ---- */

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
  bx_http_perform(&x->session->http, &x->session->settings.http, &x->transfer, deadline);
  return 0;
}

/* exchange:result() → result, info, attempt; or nil, error, attempt. The answer's memory is free afterwards. */
static int exchange_result(lua_State *L) {
  exchange *x = check_exchange(L);
  bx_json json = own_json(L);
  int count;
  if (!x->transfer.done) return luaL_error(L, "this exchange has no answer: perform it first");
  count = bx_response_push(L, &json, &x->session->settings, &x->transfer, x->method);
  bx_transfer_drop_answer(&x->transfer);
  return count;
}

/* exchange:close(), also __gc: frees all that it holds. */
static int exchange_close(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, METATABLE);
  bx_transfer_free(&x->transfer);
  if (x->method != NULL) bx_free(x->method);
  x->method = NULL;
  bx_session_release(x->session);
  x->session = NULL;
  return 0;
}

/* exchange:idempotent() → whether running it twice does no more than running it once, as far as the catalog knows. */
static int exchange_idempotent(lua_State *L) {
  const exchange *x = check_exchange(L);
  lua_pushboolean(L, x->row != NULL && (x->row->flags & BX_IDEMPOTENT));
  return 1;
}

/* exchange:body() → the bytes that are posted. They may hold what the user deems private: not for logs. */
static int exchange_body(lua_State *L) {
  const exchange *x = check_exchange(L);
  lua_pushlstring(L, x->transfer.body.data, x->transfer.body.length);
  return 1;
}

static int exchange_tostring(lua_State *L) {
  const exchange *x = luaL_checkudata(L, 1, METATABLE);
  lua_pushfstring(L, "bitrix.exchange (%s)", x->session != NULL ? x->method : "closed");
  return 1;
}

void bx_exchange_open(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"perform", exchange_perform},       {"result", exchange_result}, {"close", exchange_close},
      {"idempotent", exchange_idempotent}, {"body", exchange_body},     {NULL, NULL},
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
