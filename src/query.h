/* Lua values as PHP's http_build_query writes them, with references in them. The binding of form.c. */
#ifndef BX_QUERY_H
#define BX_QUERY_H

#include "buffer.h"
#include "compat.h"

/* A query that is being written. The buffers are lent by bx_query_open. */
typedef struct bx_query {
  bx_buffer *out;
  bx_buffer *name; /* the encoded name of the value that comes next: fields%5BgroupId%5D */
  int values;      /* the stack index of a table reference → value, or 0 */
  int references;  /* how many were met */
  int nested;      /* how deep the value that comes next is; 0: its keys are names */
} bx_query;

/* Makes what lends the buffers. Pushes nothing. May throw (memory). */
void bx_query_setup(lua_State *L);

/* Starts a query. It lasts until the next one is started: no two at once. `values`: see above. May throw (memory). */
void bx_query_open(lua_State *L, bx_query *query, int values);

/* Sets the name: `wire`, or fields[wire]. May throw (memory). */
void bx_query_name(lua_State *L, bx_query *query, const char *wire, int field);

/* Appends "name=value". May throw (memory). */
void bx_query_integer(lua_State *L, bx_query *query, long long value);
void bx_query_text(lua_State *L, bx_query *query, const char *text, size_t length);

/* Appends all pairs of the value at `index`, which bx_value_check has seen or which came from a portal: booleans as 1 and 0,
   lists with indexes from 0, maps ordered by their keys, no pair for null and for an empty table; references as they are,
   or as their values. Before a name is set the value is a table and its keys are the names. May throw (memory). */
void bx_query_value(lua_State *L, bx_query *query, int index);

#endif
