/* One Lua C API for Lua 5.1 to 5.4 and LuaJIT: the 5.3 names, made up where they are missing.
   Nothing else in src/ looks at LUA_VERSION_NUM. */
#ifndef BX_COMPAT_H
#define BX_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#if LUA_VERSION_NUM < 502
#define lua_rawlen(L, i) lua_objlen(L, i)
#ifndef LUA_OK
#define LUA_OK 0
#endif
/* LuaJIT has its own of the two that follow, plain Lua 5.1 has not. */
#undef luaL_newlib
#define luaL_setfuncs(L, list, nup) bx_setfuncs(L, list, nup)
#define luaL_newlib(L, list) (lua_createtable(L, 0, sizeof(list) / sizeof((list)[0]) - 1), bx_setfuncs(L, list, 0))

static inline void bx_setfuncs(lua_State *L, const luaL_Reg *list, int nup) {
  for (; list->name != NULL; list++) {
    int i;
    for (i = 0; i < nup; i++) lua_pushvalue(L, -nup);
    lua_pushcclosure(L, list->func, nup);
    lua_setfield(L, -(nup + 2), list->name);
  }
  lua_pop(L, nup);
}
#endif

#if LUA_VERSION_NUM >= 503
#define BX_HAS_INTEGERS 1
#define bx_isinteger(L, i) lua_isinteger(L, i)
#define bx_pushinteger64(L, n) lua_pushinteger(L, (lua_Integer)(n))
#else
#define BX_HAS_INTEGERS 0
#define bx_isinteger(L, i) 0
#define bx_pushinteger64(L, n) lua_pushnumber(L, (lua_Number)(n))
#endif

/* A userdata without user values: 5.4 would else reserve one. */
#if LUA_VERSION_NUM >= 504
#define bx_newuserdata(L, size) lua_newuserdatauv(L, size, 0)
#else
#define bx_newuserdata(L, size) lua_newuserdata(L, size)
#endif

/* Whether the running coroutine can yield; false where this Lua cannot tell. */
#ifdef LUA_LJDIR
#include <luajit.h>
#endif
#if LUA_VERSION_NUM >= 503 || (defined(LUAJIT_VERSION_NUM) && LUAJIT_VERSION_NUM >= 20100)
#define bx_isyieldable(L) lua_isyieldable(L)
#else
#define bx_isyieldable(L) 0
#endif

/* A userdata that keeps one table: put there, and pushed again (pushes nil or a table of Lua's where none was put). */
#if LUA_VERSION_NUM >= 504
#define bx_newkeeper(L, size) lua_newuserdatauv(L, size, 1)
#else
#define bx_newkeeper(L, size) lua_newuserdata(L, size)
#endif
#if LUA_VERSION_NUM >= 502
#define bx_setkept(L, i) lua_setuservalue(L, i)
#define bx_getkept(L, i) lua_getuservalue(L, i)
#else
#define bx_setkept(L, i) lua_setfenv(L, i)
#define bx_getkept(L, i) lua_getfenv(L, i)
#endif

/* bitrix.null is cjson.null: a light userdata of the NULL pointer. */
#define bx_isnull(L, i) (lua_islightuserdata(L, i) && lua_touserdata(L, i) == NULL)
#define bx_pushnull(L) lua_pushlightuserdata(L, NULL)

#endif
