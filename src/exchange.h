/* One call of one method: arguments checked, request encoded, not sent. Who sends it, and how often, is decided
   elsewhere; a retry sends the same exchange again. */
#ifndef BX_EXCHANGE_H
#define BX_EXCHANGE_H

#include "catalog.h"
#include "compat.h"
#include "session.h"

/* The functions below have bx_json's two values as upvalues 1 and 2. */
enum { BX_EXCHANGE_UPVALUES = 2 };

typedef struct bx_exchange {
  bx_session *session;  /* NULL: closed */
  const bx_method *row; /* NULL for a method that is called by its name */
  bx_transfer transfer; /* while there is a flight: a view of its request, for reading */
  bx_flight *flight;    /* NULL unless it was submitted and not taken back */
} bx_exchange;

/* The exchange at `index`; throws when it is none, or closed. */
bx_exchange *bx_exchange_check(lua_State *L, int index);

/* Sees to it that the exchange has no flight, so that its transfer can be used; throws when it is on its way. */
void bx_exchange_land(lua_State *L, bx_exchange *x);

/* Makes the metatable; takes the two values off the stack. May throw (memory). */
void bx_exchange_open(lua_State *L);

/* Lua: session:prepare(number, params) → exchange; or nil, message. `number` counts the catalog's rows from 1. */
int bx_exchange_prepare(lua_State *L);

/* Lua: session:call(method, params) → exchange; or nil, message. */
int bx_exchange_call(lua_State *L);

#endif
