/* The binding of engine.c: this VM's engine as a userdata. */
#ifndef BX_ENGINE_LUA_H
#define BX_ENGINE_LUA_H

#include "compat.h"
#include "engine.h"

/* Makes the metatable. Pushes nothing. May throw (memory). */
void bx_engine_lua_open(lua_State *L);

/* Lua: engine() → this VM's engine, made at the first use in this process, and kept until the VM closes. */
int bx_engine_lua(lua_State *L);

/* The VM's engine of this process, or NULL while there is none. Never throws. */
bx_engine *bx_engine_lua_get(lua_State *L);

#endif
