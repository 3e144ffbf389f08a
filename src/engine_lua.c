/* The binding of engine.c: see engine_lua.h. */
#include "engine_lua.h"

#include "engine.h"
#include "exchange.h"

#define METATABLE "bitrix.engine"

typedef struct engine {
  bx_engine *engine; /* NULL: closed with its VM, or of another process */
} engine;

/* Where the registry has the engine, and what leads from a flight's number to its exchange. */
static const char engine_key, flights_key;

static bx_engine *check_engine(lua_State *L) {
  const engine *e = luaL_checkudata(L, 1, METATABLE);
  if (e->engine == NULL) luaL_error(L, "this engine is closed");
  if (!bx_engine_is_own(e->engine)) luaL_error(L, "this engine is another process's: ask for this one's");
  return e->engine;
}

static void get_registry(lua_State *L, const void *key) {
  lua_pushlightuserdata(L, (void *)key);
  lua_rawget(L, LUA_REGISTRYINDEX);
}

/* Takes the value from the top of the stack. */
static void set_registry(lua_State *L, const void *key) {
  lua_pushlightuserdata(L, (void *)key);
  lua_insert(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
}

/* engine:submit(exchange [, seconds [, by_ticket]]) → ticket. Sends the exchange and returns at once.
   seconds: left until the deadline. by_ticket: the caller sends the ticket to address() next; the engine sleeps until then, and
   finished() does not give the exchange out. It must be kept until its end: one that is collected is cancelled. */
static int engine_submit(lua_State *L) {
  bx_engine *e = check_engine(L);
  bx_exchange *x = bx_exchange_check(L, 2);
  double seconds = lua_isnoneornil(L, 3) ? -1 : luaL_checknumber(L, 3);
  int by_ticket = lua_toboolean(L, 4);
  const char *problem;
  char ticket[BX_TICKET];
  if (!(seconds >= 0) && !lua_isnoneornil(L, 3)) seconds = 0;
  if (x->session->closed) return luaL_error(L, "this client is closed");
  bx_exchange_land(L, x);
  if (bx_exchange_renew(x) != 0) return luaL_error(L, "not enough memory");
  if (!by_ticket) get_registry(L, &flights_key);
  x->flight = bx_flight_new(e, &x->session->fleet, &x->transfer, &problem);
  if (x->flight == NULL) return luaL_error(L, "%s", problem);
  /* What can fail comes before it is sent. */
  if (!by_ticket) {
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, (int)bx_flight_number(x->flight));
  }
  bx_flight_ticket(x->flight, ticket);
  lua_pushlstring(L, ticket, sizeof ticket);
  bx_flight_launch(x->flight, seconds, by_ticket);
  return 1;
}

/* engine:finished() → the next exchange that is done, was not submitted by_ticket, and was not given out before; or nil. */
static int engine_finished(lua_State *L) {
  bx_engine *e = check_engine(L);
  bx_flight *f;
  lua_settop(L, 1);
  get_registry(L, &flights_key);
  while ((f = bx_engine_finished(e)) != NULL) {
    const bx_exchange *x;
    lua_rawgeti(L, 2, (int)bx_flight_number(f));
    x = lua_touserdata(L, -1);
    if (x != NULL && x->flight == f) return 1;
    lua_pop(L, 1); /* it is being collected */
  }
  lua_pushnil(L);
  return 1;
}

/* engine:wait([seconds]) → whether finished() has something. Blocks until it has, or the time is over, or a signal came. */
static int engine_wait(lua_State *L) {
  bx_engine *e = check_engine(L);
  double seconds = lua_isnoneornil(L, 2) ? -1 : luaL_checknumber(L, 2);
  if (!(seconds >= 0) && !lua_isnoneornil(L, 2)) seconds = 0;
  lua_pushboolean(L, bx_engine_wait(e, seconds));
  return 1;
}

/* engine:fd() → a descriptor that is readable while finished() has something to give. */
static int engine_fd(lua_State *L) {
  const char *problem;
  int fd = bx_engine_fd(check_engine(L), &problem);
  if (fd < 0) return luaL_error(L, "%s", problem);
  lua_pushinteger(L, fd);
  return 1;
}

/* engine:address() → where a cosocket connects to wait for a ticket, "unix:..."; or nil, message. */
static int engine_address(lua_State *L) {
  const char *problem, *address = bx_engine_address(check_engine(L), &problem);
  lua_pushstring(L, address);
  if (address != NULL) return 1;
  lua_pushstring(L, problem);
  return 2;
}

/* engine:cancel(exchange) ends it soon: it is finished then like any other, with the error network, cancelled, unless its answer was
   quicker. Does nothing when it is not on its way. */
static int engine_cancel(lua_State *L) {
  const bx_exchange *x;
  check_engine(L);
  x = bx_exchange_check(L, 2);
  if (x->flight != NULL && !bx_flight_is_lost(x->flight)) bx_flight_cancel(x->flight);
  return 0;
}

/* engine:flying(exchange) → whether it was submitted and has not ended. */
static int engine_flying(lua_State *L) {
  const bx_exchange *x;
  check_engine(L);
  x = bx_exchange_check(L, 2);
  lua_pushboolean(L, x->flight != NULL && !bx_flight_is_lost(x->flight) && bx_flight_is_out(x->flight));
  return 1;
}

static int engine_gc(lua_State *L) {
  engine *e = luaL_checkudata(L, 1, METATABLE);
  bx_engine *own = e->engine;
  e->engine = NULL;
  if (own == NULL) return 0;
  if (bx_engine_is_own(own))
    bx_engine_close(own);
  else
    bx_engine_forsake(own);
  return 0;
}

static int engine_tostring(lua_State *L) {
  const engine *e = luaL_checkudata(L, 1, METATABLE);
  lua_pushfstring(L, "bitrix.engine (%s)", e->engine != NULL ? "open" : "closed");
  return 1;
}

/* A table whose values do not keep what they are: who waits for an exchange keeps it. */
static void push_weak_table(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

int bx_engine_lua(lua_State *L) {
  engine *e;
  lua_settop(L, 0);
  get_registry(L, &engine_key);
  e = lua_touserdata(L, 1);
  if (e != NULL && (e->engine == NULL || bx_engine_is_own(e->engine))) return 1;
  push_weak_table(L);
  e = bx_newuserdata(L, sizeof *e);
  e->engine = NULL;
  luaL_getmetatable(L, METATABLE);
  lua_setmetatable(L, -2);
  e->engine = bx_engine_new();
  if (e->engine == NULL) return luaL_error(L, "not enough memory");
  lua_pushvalue(L, 2);
  set_registry(L, &flights_key);
  lua_pushvalue(L, 3);
  set_registry(L, &engine_key);
  return 1;
}

bx_engine *bx_engine_lua_get(lua_State *L) {
  const engine *e;
  get_registry(L, &engine_key);
  e = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return e != NULL && e->engine != NULL && bx_engine_is_own(e->engine) ? e->engine : NULL;
}

void bx_engine_lua_open(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"submit", engine_submit},   {"finished", engine_finished}, {"wait", engine_wait},     {"fd", engine_fd},
      {"address", engine_address}, {"cancel", engine_cancel},     {"flying", engine_flying}, {NULL, NULL},
  };
  luaL_newmetatable(L, METATABLE);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, engine_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, engine_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, METATABLE);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}
