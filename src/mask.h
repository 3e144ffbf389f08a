/* redact.c for Lua: strings and copies of tables in which secrets are masked. */
#ifndef BX_MASK_H
#define BX_MASK_H

#include "compat.h"
#include "redact.h"

/* Makes the metatable that the others need. Pushes nothing. May throw (memory). */
void bx_mask_open(lua_State *L);

/* Pushes the first `limit` bytes of a text with the secrets masked. May throw (memory); nothing leaks then. */
void bx_mask_push(lua_State *L, const bx_secrets *secrets, const char *text, size_t length, size_t limit);

/* The same for a text that is all there, with a NUL behind it: what its end has in common with a secret's beginning is
   chance, and stays ("invalid_client" beside the secret CLIENT_SECRET). */
void bx_mask_push_whole(lua_State *L, const bx_secrets *secrets, const char *text, size_t length, size_t limit);

/* Masks the secrets in the string on top of the stack, or in the strings of the table there, which came from the portal
   and so has no loops. What can hold no secret is not touched and costs little. May throw (memory). */
void bx_mask_clean(lua_State *L, const bx_secrets *secrets);

/* Lua: redact(value) → the string, or a copy of the table, with credentials masked. */
int bx_mask_redact(lua_State *L);

#endif
