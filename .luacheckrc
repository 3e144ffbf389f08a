-- One source for Lua 5.1 to 5.4 and LuaJIT: "max" knows the globals of all of them.
std = "max"
max_line_length = 120
exclude_files = { "build" }

files["spec"] = { std = "max+busted", max_line_length = 140 }
-- What runs inside nginx.
files["lua/bitrix/portal"] = { std = "max+ngx_lua" }
files["lua/bitrix/portal.lua"] = { std = "max+ngx_lua" }
files["lua/bitrix/runtime/nginx.lua"] = { std = "max+ngx_lua" }
files["bench/openresty"] = { std = "max+ngx_lua" }
files["examples/openresty"] = { std = "max+ngx_lua" }
files["examples/openresty-app"] = { std = "max+ngx_lua" }
files["lua/bitrix/warn.lua"] = { std = "max+ngx_lua" }
files["lua/bitrix/limiter.lua"] = { std = "max+ngx_lua" }
files["lua/bitrix/store"] = { std = "max+ngx_lua" }
files["spec/openresty"] = { std = "max+busted+ngx_lua" }
-- Configuration in Lua's syntax: it assigns globals by design.
files[".luacheckrc"] = { std = "+luacheckrc" }
files["tools"] = { max_line_length = 140 }
-- Annotations: functions without bodies.
files["library"] = { unused_args = false, max_line_length = 140, ignore = { "211", "241" } }
