/* Checks a Lua value before it is sent, whatever it will be written as, and names the place of what cannot be. */
#ifndef BX_VALUE_H
#define BX_VALUE_H

#include "compat.h"

/* What differs between the ways of writing. */
typedef struct bx_value_rules {
  /* True if the finite number at `index` can be written, or false with what is said of it pushed. NULL: each can. */
  int (*number)(lua_State *L, const void *context, int index);
  const void *context;
  /* A batch: references (reference.h) may stand for values, and no text may look like one. */
  int batch;
} bx_value_rules;

/* True, with nothing pushed; or pushes a message that names the place within the value ("field 'fields.x': function cannot be
   sent") and answers false. `name`: the stack index of a string, the value's own name, with which the place begins;
   0: none. May throw (memory). */
int bx_value_check(lua_State *L, const bx_value_rules *rules, int index, int name);

#endif
