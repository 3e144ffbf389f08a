/* Secrets for Lua: made at random, and compared without saying by the time it takes how much of them is right. */
#ifndef BX_SECRET_H
#define BX_SECRET_H

#include "compat.h"

/* Lua: equal(a, b) → whether the two strings are the same. The time depends on the length of `b` alone. */
int bx_secret_equal(lua_State *L);

/* Lua: random(bytes) → twice as many hexadecimal digits, from the system's own source. May throw (no such source). */
int bx_secret_random(lua_State *L);

#endif
