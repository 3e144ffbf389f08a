-- Writes the configurations of the benchmark's four nginx into a directory and prints where they listen as shell
-- variables: a portal stub, and one with a single worker for each contender, so that none disturbs another.
-- Starts nothing.
-- Usage: lua conf.lua <directory> <build directory for LuaJIT>
local config = require "bitrix.portal.config"
local file = require "bitrix.portal.file"
local port = require "bitrix.portal.port"
local shell = require "bitrix.portal.shell"

local directory, build = arg[1], arg[2]

-- The answer in the reference, https://apidocs.bitrix24.com, tasks.api.scrum.backlog.add.
local ANSWER = '{"result":{"id":1,"groupId":125,"createdBy":6,"modifiedBy":0},"time":{"start":1712137817.343984,'
  .. '"finish":1712137817.605804,"duration":0.26182007789611816,"processing":0.018325090408325195,'
  .. '"date_start":"2024-04-03T12:50:17+02:00","date_finish":"2024-04-03T12:50:17+02:00"}}'

local FRAME = [[
daemon off;
master_process off;
$user
pid "$directory/$name.pid";
error_log "$directory/$name.log" warn;
$modules
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path "$directory/body";
  proxy_temp_path "$directory/proxy";
  fastcgi_temp_path "$directory/fastcgi";
  uwsgi_temp_path "$directory/uwsgi";
  scgi_temp_path "$directory/scgi";
  default_type application/json;
  keepalive_requests 1000000000;
  lua_package_path "$root/bench/openresty/?.lua;$root/lua/?.lua;$root/lua/?/init.lua;;";
  lua_package_cpath "$build/?.so;;";
$http
}
]]

-- /rest/1/<milliseconds>/method. Lua, because nginx's own `return` answers before it has read the body.
local STUB = [[
  server {
    listen 127.0.0.1:$stub backlog=4096;
    location ~ ^/rest/1/(?<ms>\d+)/ {
      content_by_lua_block {
        ngx.req.read_body()
        if ngx.var.http_content_length ~= "$length" then return ngx.exit(400) end
        if ngx.var.ms ~= "0" then ngx.sleep(ngx.var.ms / 1000) end
        ngx.header.content_length = $size
        ngx.print('$answer')
      }
    }
  }
]]

local CONTENDER = [[
  init_by_lua_block { require("contenders").init("http://127.0.0.1:$stub/rest/1/") }
  server {
    listen 127.0.0.1:$port backlog=4096;
    location = /ping { content_by_lua_block { ngx.print "pong" } }
    location ~ ^/call/(?<ms>\d+)$ { content_by_lua_block { require("contenders").$name(ngx.var.ms) } }
  }
]]

local NAMES = { "ours", "cosocket", "blocking" }

local nginx = assert(config.find_nginx())
local free = port.free(1 + #NAMES)
local values = {
  directory = directory, build = build, root = assert(os.getenv "BENCH_ROOT"), stub = free[1], answer = ANSWER,
  size = #ANSWER, length = #'{"fields":{"groupId":125,"createdBy":6}}', modules = "", user = "",
}
if shell.capture("id -u"):find "^0%s" then values.user = "user root;" end
for _, module in ipairs(nginx.modules) do values.modules = values.modules .. ('load_module "%s";\n'):format(module) end

-- nginx's own variables are no values of ours and stay.
local function fill(template) return (template:gsub("%$([%a_]+)", values)) end

local function write(name, http)
  values.name = name
  values.http = fill(http)
  assert(file.write(("%s/%s.conf"):format(directory, name), fill(FRAME)))
end

write("stub", STUB)
for i, name in ipairs(NAMES) do
  values.port = free[1 + i]
  write(name, CONTENDER)
  print(("export BENCH_%s=http://127.0.0.1:%d"):format(name:upper(), values.port))
end
print("export BENCH_NGINX=" .. shell.quote(nginx.path))
