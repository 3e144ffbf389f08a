/* The commands of a batch: how one is written, the request that carries many, and what one came to. Sends nothing. */
#ifndef BX_COMMAND_H
#define BX_COMMAND_H

#include "compat.h"

/* All of these are methods of a session. They share the upvalues of exchange.h. */

/* Lua: session:command(number, params [, values]) → text, method, idempotent, references; or nil, message. Arguments are
   checked, and named, as by session:prepare. text: "method?query"; references: how many are in it. values: a table
   reference → value; those references are replaced. */
int bx_command_prepare(lua_State *L);

/* Lua: session:command_call(method, params [, values]) → the same, as session:call. */
int bx_command_call(lua_State *L);

/* Lua: session:batch(commands, first, last, halt) → exchange of commands[first..last], tables with the strings `key` and
   `text`, in this order; or nil, message. */
int bx_command_batch(lua_State *L);

/* Lua: session:command_result(number or nil, result) → the result as a plain call of that method returns it. */
int bx_command_result(lua_State *L);

/* Lua: session:command_error(method, entry, status) → error object of what stands for a command in "result_error". */
int bx_command_error(lua_State *L);

/* Lua: session:failure(method, what) → error object of { kind, reason, executed, code, message, status, body, validation },
   for example another error object: what happened to a request, said of one of its commands. */
int bx_command_failure(lua_State *L);

/* Lua: session:clean(table) → the table, which came from the portal, with secrets masked in it. */
int bx_command_clean(lua_State *L);

#endif
