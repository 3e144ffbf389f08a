/* Locks between processes, in a file: for file.c. */
#ifndef BX_LOCK_H
#define BX_LOCK_H

#include "compat.h"

/* Makes the metatable. Pushes nothing. May throw (memory). */
void bx_lock_open(lua_State *L);

/* Lua: lock(path, key, seconds) and mutex(path), see file.h. */
int bx_lock_key(lua_State *L);
int bx_lock_mutex(lua_State *L);

#endif
