/* From the flat table of a catalog method's parameters to the request's body, or to a batch command's query: each name and
   type checked, with the same words. The binding of catalog.c and text.c. */
#ifndef BX_PARAMS_H
#define BX_PARAMS_H

#include "buffer.h"
#include "catalog.h"
#include "compat.h"
#include "json.h"
#include "query.h"

/* Appends the JSON body for the table at `index`; true. Or pushes what is wrong ("field 'groupId': integer expected, got
   string") and answers false; the body then holds a part. May throw (memory). */
int bx_params_encode(lua_State *L, const bx_json *json, const bx_method *row, int index, bx_buffer *body);

/* The same as a query: references may stand for any value, and a text that looks like one is refused. */
int bx_params_query(lua_State *L, const bx_method *row, int index, bx_query *query);

/* Reads an integer: an integer, an integral float that is exact, or a string of up to 18 digits; false for all else.
   Never throws. */
int bx_params_integer(lua_State *L, int index, long long *out);

#endif
