-- Finds an nginx with Lua in it and writes the configuration for it. Starts nothing.

local files = require "bitrix.portal.file"
local json = require "bitrix.portal.json"
local shell = require "bitrix.portal.shell"

local M = {}

local MISSING = "no nginx with the Lua module was found; on Debian: apt-get install nginx-light libnginx-mod-http-lua"

local CANDIDATES = [[
for name in nginx openresty /usr/local/openresty/nginx/sbin/nginx; do
  path=$(command -v "$name") && echo "path: $path" && "$path" -V
done
]]

local MODULES = { "ndk_http_module.so", "ngx_http_lua_module.so" }

local function exists(path)
  local file = io.open(path, "rb")
  if file then
    file:close()
  end
  return file ~= nil
end

-- The modules to be loaded: a list, empty when Lua is built in; nil when there is no Lua.
local function modules_of(version)
  local directory = version:match("%-%-modules%-path=(%S+)")
  if directory and exists(directory .. "/" .. MODULES[2]) then
    local list = {}
    for _, name in ipairs(MODULES) do
      if exists(directory .. "/" .. name) then
        list[#list + 1] = directory .. "/" .. name
      end
    end
    return list
  end
  return version:find("ngx_lua", 1, true) and {} or nil
end

-- `-e` came with 1.19.5.
local function knows_log_option(version)
  local major, minor, patch = version:match("/(%d+)%.(%d+)%.(%d+)")
  return major ~= nil and major * 1000000 + minor * 1000 + patch >= 1019005
end

local found

--- Finds nginx. The answer is remembered.
-- @treturn ?table `path`, `modules` (files to load), `version` (what `nginx -V` says), `log_option` (it knows `-e`)
-- @treturn ?string what is missing
function M.find_nginx()
  if found then
    return found
  end
  local path, version
  local function consider()
    local modules = path and modules_of(version)
    if modules then
      found = { path = path, modules = modules, version = version, log_option = knows_log_option(version) }
    end
  end
  for line in shell.capture(CANDIDATES):gmatch("[^\n]+") do
    local name = line:match("^path: (.+)")
    if name then
      consider()
      path, version = name, ""
    elseif path then
      version = version .. line .. "\n"
    end
    if found then
      return found
    end
  end
  consider()
  return found, not found and MISSING or nil
end

-- A string of nginx's configuration.
local function quote(text)
  return '"' .. text:gsub('[\\"]', "\\%0") .. '"'
end

-- As root, nginx gives its directories to another user unless it is told not to.
local function is_root()
  local status = files.read("/proc/self/status") or ""
  return status:match("\nUid:%s+%d+%s+(%d+)") == "0"
end

-- Modules that may be missing have their own temporary directories; naming one that is missing is an error.
local function temporary_paths(nginx, directory)
  local lines = {}
  for _, name in ipairs { "proxy", "fastcgi", "uwsgi", "scgi" } do
    if not nginx.version:find("--without-http_" .. name .. "_module", 1, true) then
      lines[#lines + 1] = ("  %s_temp_path %s;"):format(name, quote(directory .. "/" .. name))
    end
  end
  return table.concat(lines, "\n")
end

-- nginx does not run where we do.
local function absolute(path)
  return path:sub(1, 1) == "/" and path or shell.capture("pwd"):gsub("\n$", "") .. "/" .. path
end

-- Where this file's modules are, and dkjson: nginx's own Lua may look elsewhere.
local function package_path()
  local root = absolute(debug.getinfo(1, "S").source:match("^@(.*)/bitrix/portal/config%.lua$"))
  local path = ("%s/?.lua;%s/?/init.lua;;"):format(root, root)
  local json_directory = json.directory()
  return json_directory and path .. absolute(json_directory) .. "/?.lua" or path
end

local TEMPLATE = [[
daemon off;
master_process off;
$user
pid "$directory/nginx.pid";
error_log "$directory/error.log" warn;
$modules
events { worker_connections 4096; }
http {
  access_log off;
  lua_package_path $package_path;
  client_body_temp_path "$directory/body";
$temporary_paths
  client_max_body_size 0;
  client_body_buffer_size 1m;
  large_client_header_buffers 8 256k;
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  client_header_timeout 3600s;
  client_body_timeout 3600s;
  send_timeout 3600s;
  server_tokens off;
  init_by_lua_block { require("bitrix.portal.server").init([==[$raw_directory]==]) }
  init_worker_by_lua_block { require("bitrix.portal.server").ready() }
  server {
$listen
$tls
    location / { content_by_lua_block { require("bitrix.portal.server").answer() } }
    location = /bitrix-portal/gzip {
      internal;
      gzip on;
      gzip_min_length 0;
      gzip_types *;
      gzip_proxied any;
      content_by_lua_block { require("bitrix.portal.server").answer_compressed() }
    }
  }
}
]]

local TLS = [[
$tls_listen
    ssl_certificate "$directory/server.pem";
    ssl_certificate_key "$directory/server.key";
    ssl_protocols TLSv1.2 TLSv1.3;]]

local function fill(template, values)
  return (template:gsub("%$([%a_]+%d?)", values))
end

-- A line for each address that is listened at.
local function listening(addresses, port, how)
  local lines = {}
  for i, address in ipairs(addresses) do
    lines[i] = ("    listen %s:%d%s;"):format(address, port, how)
  end
  return table.concat(lines, "\n")
end

-- 127.0.0.1 and what else of the hosts is an address.
local function addresses_of(hosts)
  local list, seen = { "127.0.0.1" }, { ["127.0.0.1"] = true }
  for _, host in ipairs(hosts or {}) do
    if host:find("^[%d.]+$") and not seen[host] then
      list[#list + 1] = host
      seen[host] = true
    end
  end
  return list
end

--- Writes the configuration.
-- @tparam table nginx what `find_nginx` returned
-- @tparam table settings `directory`, `port`, `tls_port` (nil: no TLS), `hosts` (names; those that are addresses are
--   listened at, besides 127.0.0.1)
-- @treturn string the text of nginx.conf
function M.text(nginx, settings)
  local addresses = addresses_of(settings.hosts)
  local http2 = nginx.version:find("http_v2_module", 1, true) and " http2" or ""
  local values = {
    directory = quote(settings.directory):sub(2, -2),
    raw_directory = settings.directory,
    listen = listening(addresses, settings.port, ""),
    tls_listen = settings.tls_port and listening(addresses, settings.tls_port, " ssl" .. http2) or "",
    user = is_root() and "user root;" or "",
    package_path = quote(package_path()),
    temporary_paths = temporary_paths(nginx, settings.directory),
  }
  local loads = {}
  for i, path in ipairs(nginx.modules) do
    loads[i] = ("load_module %s;"):format(quote(path))
  end
  values.modules = table.concat(loads, "\n")
  values.tls = settings.tls_port and fill(TLS, values) or ""
  return fill(TEMPLATE, values)
end

return M
