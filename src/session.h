/* What a client is to C: its settings and its kept connection, shared by the exchanges that it has made.
   The binding of settings.c and http.c; checks the options. */
#ifndef BX_SESSION_H
#define BX_SESSION_H

#include "compat.h"
#include "engine.h"
#include "settings.h"

typedef struct bx_session {
  size_t references; /* of all threads */
  int closed;
  bx_settings settings;
  bx_http http;   /* for exchange:perform */
  bx_fleet fleet; /* for engine:submit */
} bx_session;

/* Makes the metatable with these methods, each with `upvalues` values from the top of the stack, which it takes
   off. May throw (memory). */
void bx_session_open(lua_State *L, const luaL_Reg *methods, int upvalues);

/* Lua: session(options) → session, deadline in seconds; or nil, message. See bitrix.new for the options; those that
   are Lua's business are only let pass here. */
int bx_session_new(lua_State *L);

/* The session at `index`, open or closed; throws when it is none. The userdata keeps owning it. */
bx_session *bx_session_check(lua_State *L, int index);

/* One owner more; one less. The last one frees it; from any thread. Never throws. */
bx_session *bx_session_hold(bx_session *session);
void bx_session_release(bx_session *session);

/* Lua: session:close(), session:place(), tostring(session); for the table of methods. */
int bx_session_close(lua_State *L);
int bx_session_place(lua_State *L);

/* Lua: session:set_token(access_token [, refresh_token]) → true; or nil, message. Calls carry the first from now on, also
   exchanges that are sent again; both are known as secrets. */
int bx_session_set_token(lua_State *L);

/* Lua: session:move(address) → true; or nil, message. Calls go there from now on, also exchanges that are sent again.
   See bx_settings_move. */
int bx_session_move(lua_State *L);

#endif
