/* One call of one method: arguments checked, request encoded, not sent. Who sends it, and how often, is decided
   elsewhere; a retry sends the same exchange again. */
#ifndef BX_EXCHANGE_H
#define BX_EXCHANGE_H

#include "buffer.h"
#include "catalog.h"
#include "compat.h"
#include "response.h"
#include "session.h"
#include "stamp.h"

/* The functions below have bx_json's two values as upvalues 1 and 2. */
enum { BX_EXCHANGE_UPVALUES = 2 };

typedef struct bx_exchange {
  bx_session *session;  /* NULL: closed */
  const bx_method *row; /* NULL for a method that is called by its name */
  bx_shape shape;
  bx_stamp stamp;
  bx_transfer transfer; /* while there is a flight: a view of its request, for reading */
  bx_flight *flight;    /* NULL unless it was submitted and not taken back */
} bx_exchange;

/* The exchange at `index`; throws when it is none, or closed. */
bx_exchange *bx_exchange_check(lua_State *L, int index);

/* Brings the request up to date before it is sent: to the client's address and token of now. 0, or -1 when memory ran out. */
int bx_exchange_renew(bx_exchange *x);

/* Sees to it that the exchange has no flight, so that its transfer can be used; throws when it is on its way. */
void bx_exchange_land(lua_State *L, bx_exchange *x);

/* Makes the metatable; takes the two values off the stack. May throw (memory). */
void bx_exchange_open(lua_State *L);

/* Lua: session:prepare(number, params) → exchange; or nil, message. `number` counts the catalog's rows from 1. */
int bx_exchange_prepare(lua_State *L);

/* Lua: session:call(method, params) → exchange; or nil, message. */
int bx_exchange_call(lua_State *L);

/* Lua: session:form(address, fields) → exchange; or nil, message. Posts a form to the token host; what it answers is
   the result. `fields`: strings by their names; the credentials among them are known as secrets from then on. */
int bx_exchange_form(lua_State *L);

/* For who makes exchanges and commands beside these two. Each may throw (memory). */

/* Pushes an exchange of the method; its body, empty yet, which it owns. */
bx_buffer *bx_exchange_push(lua_State *L, bx_session *session, const char *method);

/* Returns nil and the message on top of the stack; who passes a secret as a name does not get it back. */
int bx_exchange_refuse(lua_State *L, const bx_session *session);

/* Whether the session is open; else a message is pushed. */
int bx_exchange_check_open(lua_State *L, const bx_session *session, const char *function);

/* The method's name at `index`; or NULL, with a message pushed. */
const char *bx_exchange_check_name(lua_State *L, int index);

/* Makes integers of the fields that the portal sends as strings, in each row of the list at `list`. */
void bx_exchange_integers(lua_State *L, int list, const char *const *fields);

#endif
