/* JSON by lua-cjson, with what it lacks: a check of what is sent that names the place of a fault, exact integers,
   and answers whose faults are told apart. Does no I/O; knows nothing of Bitrix24. */
#ifndef BX_JSON_H
#define BX_JSON_H

#include "compat.h"

/* A private cjson instance, as two upvalues of each C function that needs it. */
typedef struct bx_json {
  int encode; /* stack index or upvalue */
  int decode;
} bx_json;

/* Pushes encode and decode (functions of a new private instance). Throws when lua-cjson is missing or too old. */
void bx_json_open(lua_State *L);

/* Encodes the value at `index` and pushes a string; true. Or pushes a message that names the place within the
   value ("field 'fields.x': function cannot be sent") and answers false. `name`: the stack index of a string, the value's
   own name, with which the place begins; 0: none. May throw (memory). */
int bx_json_encode(lua_State *L, const bx_json *json, int index, int name);

typedef enum bx_json_fault {
  BX_JSON_OK,
  BX_JSON_EMPTY,
  BX_JSON_NOT_JSON,
  BX_JSON_TRUNCATED, /* it begins well and ends in the middle */
  BX_JSON_TRAILING,  /* a whole document with something behind it, or with a NUL byte */
  BX_JSON_TOO_DEEP
} bx_json_fault;

/* Decodes bytes and pushes the value: integers as integers, null in an object absent, in a list bitrix.null.
   Pushes nothing when it answers a fault. May throw (memory). */
bx_json_fault bx_json_decode(lua_State *L, const bx_json *json, const char *bytes, size_t length);

/* Lua: encode(value) → JSON; or nil, message that names the place of what cannot be written. decode(text) → the value, as the
   answers of a portal are decoded; or nil, message. With bx_json's two values as upvalues. */
int bx_json_lua_encode(lua_State *L);
int bx_json_lua_decode(lua_State *L);

#endif
