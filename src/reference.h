/* A reference: what stands in a batch's parameters for the result of an earlier command. The portal puts the value in its
   place, or the client does when the answer is here already. */
#ifndef BX_REFERENCE_H
#define BX_REFERENCE_H

#include "compat.h"

/* What is said of a text that the portal would take for a reference. */
extern const char bx_reference_refused[];

/* Makes the metatable. Pushes nothing. May throw (memory). */
void bx_reference_open(lua_State *L);

/* "$result[key][field]" of the reference at `index`, which keeps owning it; NULL for any other value. Never throws. */
const char *bx_reference_text(lua_State *L, int index);

/* Whether the portal would look for references in this text. */
int bx_reference_like(const char *text, size_t length);

/* Lua: reference(origin, key, ...) → a reference to what the names and indexes (from 0) find in the result of the command with
   that key; or nil, message. It keeps the table `origin`. */
int bx_reference_new(lua_State *L);

/* Lua: origin(value) → the table that a reference keeps; nil for any other value. */
int bx_reference_origin(lua_State *L);

#endif
