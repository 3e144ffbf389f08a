-- Writes the configuration of the benchmark's server into a directory, and prints its addresses as shell variables:
-- an nginx that reads each backlog_add to its end, answers it with the same bytes, and refuses every other request, so
-- that all contenders are known to ask the same. Starts nothing.
-- Usage: lua stub.lua <directory>
local config = require "bitrix.portal.config"
local file = require "bitrix.portal.file"
local pki = require "bitrix.portal.pki"
local port = require "bitrix.portal.port"
local shell = require "bitrix.portal.shell"

local directory = arg[1]
local PATH = "/rest/1/benchmark/"

-- The answer in the reference, https://apidocs.bitrix24.com, tasks.api.scrum.backlog.add.
local ANSWER = '{"result":{"id":1,"groupId":125,"createdBy":6,"modifiedBy":0},"time":{"start":1712137817.343984,'
  .. '"finish":1712137817.605804,"duration":0.26182007789611816,"processing":0.018325090408325195,'
  .. '"date_start":"2024-04-03T12:50:17+02:00","date_finish":"2024-04-03T12:50:17+02:00"}}'

local BODY_LENGTH = #'{"fields":{"groupId":125,"createdBy":6}}'

-- Three servers: plain HTTP; TLS; TLS that closes after each answer. Without tickets and cache no TLS session is
-- resumed: what is measured is the dearer, full handshake. Lua, because nginx's own `return` answers before it has read
-- the body, which no portal does.
local CONFIG = [[
daemon off;
master_process off;
pid "$directory/pid";
error_log "$directory/error.log" warn;
$modules
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path "$directory/body";
  proxy_temp_path "$directory/proxy";
  fastcgi_temp_path "$directory/fastcgi";
  uwsgi_temp_path "$directory/uwsgi";
  scgi_temp_path "$directory/scgi";
  default_type application/json;
  keepalive_requests 1000000000;
  ssl_certificate "$directory/server.pem";
  ssl_certificate_key "$directory/server.key";
  ssl_session_tickets off;
  ssl_session_cache off;
  map_hash_bucket_size 256;
  map "$request_method $request_uri $http_content_type $http_accept $http_content_length" $known {
    default "";
    "POST ${path}tasks.api.scrum.backlog.add application/json application/json $length" yes;
  }
  init_by_lua_block {
    function answer()
      if ngx.var.known == "" then return ngx.exit(400) end
      ngx.req.read_body()
      ngx.header.content_length = $size
      ngx.print('$answer')
    end
  }
  server {
    listen 127.0.0.1:$plain;
    listen 127.0.0.1:$tls ssl;
    location / { content_by_lua_block { answer() } }
  }
  server {
    listen 127.0.0.1:$closing ssl;
    keepalive_timeout 0;
    location / { content_by_lua_block { answer() } }
  }
}
]]

local nginx = assert(config.find_nginx())
local free = port.free(3)
assert(pki.create(directory, ("%08x"):format(os.time())))
local values = {
  directory = directory, path = PATH, length = BODY_LENGTH, answer = ANSWER, size = #ANSWER,
  plain = free[1], tls = free[2], closing = free[3],
  modules = "",
}
for _, module in ipairs(nginx.modules) do values.modules = values.modules .. ('load_module "%s";\n'):format(module) end
-- nginx's own variables, $request_method and the like, are no values of ours and stay.
assert(file.write(directory .. "/nginx.conf", (CONFIG:gsub("%${?([%a_]+)}?", values))))
print("export BENCH_NGINX=" .. shell.quote(nginx.path))
print(("export BENCH_PLAIN=http://127.0.0.1:%d%s"):format(free[1], PATH))
print(("export BENCH_TLS=https://127.0.0.1:%d%s"):format(free[2], PATH))
print(("export BENCH_TLS_CLOSING=https://127.0.0.1:%d%s"):format(free[3], PATH))
print("export BENCH_ANSWER=" .. shell.quote(ANSWER))
