-- The Makefile does the work, and finds libcurl by pkg-config or curl-config: LuaRocks' own external_dependencies does not
-- know where a multiarch Debian keeps curl's headers.
rockspec_format = "3.0"
package = "bitrix"
version = "scm-1"

source = {
  url = "git+https://bitrix-lua.example/bitrix.git",
}

description = {
  summary = "Bitrix24 client: a C module over libcurl and lua-cjson",
  -- The number is checked against src/version.h by spec/version_spec.lua.
  detailed = [[
    Bitrix24's REST API for Lua 5.1 to 5.4, LuaJIT and OpenResty: checked arguments, structured errors that never
    show a secret, and an emulated portal for your own tests. Version 0.1.0.
  ]],
  license = "MIT",
  labels = { "bitrix24", "http", "client", "api" },
}

dependencies = {
  "lua >= 5.1, < 5.5",
  "lua-cjson",
}

-- Both passes get the same variables, or the second would build again for another Lua. A directory of its own, so
-- that `luarocks make` in a checkout neither takes nor replaces what `make` built there.
build = {
  type = "make",
  variables = {
    BUILD = "build/luarocks",
    LUA = "$(LUA)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
    INST_LUADIR = "$(LUADIR)",
    INST_LIBDIR = "$(LIBDIR)",
    INST_BINDIR = "$(BINDIR)",
  },
  -- LuaRocks warns when CFLAGS is not named here.
  build_variables = { CFLAGS = "$(CFLAGS)" },
}
