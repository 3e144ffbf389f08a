/* One call of one method: arguments checked, request encoded, not sent. Who sends it, and how often, is decided
   elsewhere; a retry sends the same exchange again. */
#ifndef BX_EXCHANGE_H
#define BX_EXCHANGE_H

#include "compat.h"

/* The functions below have bx_json's two values as upvalues 1 and 2. */
enum { BX_EXCHANGE_UPVALUES = 2 };

/* Makes the metatable; takes the two values off the stack. May throw (memory). */
void bx_exchange_open(lua_State *L);

/* Lua: session:prepare(number, params) → exchange; or nil, message. `number` counts the catalog's rows from 1. */
int bx_exchange_prepare(lua_State *L);

/* Lua: session:call(method, params) → exchange; or nil, message. */
int bx_exchange_call(lua_State *L);

/* Lua: session:form(address, fields) → exchange; or nil, message. Posts a form to the token host; what it answers is
   the result. `fields`: strings by their names; the credentials among them are known as secrets from then on. */
int bx_exchange_form(lua_State *L);

#endif
