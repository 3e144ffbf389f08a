--- Starts a real nginx with Lua in it for a spec, with a master and workers as users have it, and looks at it from outside:
-- its answers, processes, descriptors, log. Knows nothing of bitrix but where it was built.
--
--     local nginx = server.start { workers = 2, server = [[ location = /x { content_by_lua_block { ngx.print "1" } } ]] }
--     assert.equal("1", nginx:get("/x").body)
--     nginx:stop()
local config = require "bitrix.portal.config"
local port = require "bitrix.portal.port"
local shell = require "bitrix.portal.shell"
local socket = require "socket"
local support = require "portal.support"

local M = {}

local Server = {}
Server.__index = Server

-- Generous: the machine may be busy with something else.
local PATIENCE = 20

local root = support.run("pwd"):gsub("%s+$", "")

-- nginx's Lua is LuaJIT, whatever Lua runs the spec.
local built = false
function M.build()
  if built then return end
  local output, code = support.run("env -u BUILD -u BUILD_FLAGS -u MAKEFLAGS -u LD_PRELOAD make -s all LUA=luajit")
  assert(code == 0, output)
  built = true
end

-- The log says all that could be wrong; `daemon off` so that the supervisor below has nginx as its child.
local TEMPLATE = [[
daemon off;
@user@
worker_processes @workers@;
pid @directory@/nginx.pid;
error_log @directory@/error.log info;
@modules@
@main@
events { worker_connections @connections@; }
http {
  access_log off;
  default_type text/plain;
  client_body_temp_path @directory@/body;
  proxy_temp_path @directory@/proxy;
  fastcgi_temp_path @directory@/fastcgi;
  uwsgi_temp_path @directory@/uwsgi;
  scgi_temp_path @directory@/scgi;
  keepalive_requests 1000000000;
  server_tokens off;
  lua_package_path "@directory@/?.lua;@root@/lua/?.lua;@root@/lua/?/init.lua;@root@/spec/?.lua;;";
  lua_package_cpath "@root@/build/luajit/?.so;;";
  @http@
  server {
    listen 127.0.0.1:@port@;
    location = /ping { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
    @server@
  }
}
]]

-- Ends nginx with its owner, however that went. nginx has a process group of its own, for only by the group are the
-- workers of a killed master found.
local SUPERVISOR = [[
trap "" HUP INT QUIT TERM
directory=$1 nginx=$2
cd / || exit 1
(
  setsid "$nginx" -p "$directory/" -c "$directory/nginx.conf" -e "$directory/error.log" \
    </dev/null 2>"$directory/start.log" &
  echo $! >"$directory/group"
  wait $!
  : >"$directory/ended"
) &
read -r order
group=$(cat "$directory/group")
kill -TERM "$group"
tries=0
while kill -0 -- "-$group" && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -KILL -- "-$group"
wait
rm -rf "$directory"
]]

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  file:close()
end

--- Waits for what another process does on its own time.
-- @treturn boolean whether `condition()` became true within `seconds`
function M.eventually(condition, seconds)
  local limit = socket.gettime() + (seconds or PATIENCE)
  repeat
    if condition() then return true end
    socket.sleep(0.01)
  until socket.gettime() > limit
  return condition()
end

--- Starts nginx and waits until it listens.
-- @tparam table options `main`, `http`, `server` (text for nginx.conf at these places), `workers` (1), `connections` (1024),
--   `files` (name → text, where `require` looks first), `tls` (text after the servers)
function M.start(options)
  M.build()
  local nginx = assert(config.find_nginx())
  local directory = support.run("mktemp -d"):gsub("%s+$", "")
  local self = setmetatable({ directory = directory, port = port.free(1)[1] }, Server)
  local values = {
    directory = directory, root = root, port = self.port, workers = options.workers or 1,
    connections = options.connections or 1024, user = support.run("id -u"):find("^0%s") and "user root;" or "",
    main = options.main or "", http = options.http or "", server = options.server or "", modules = "",
  }
  for _, path in ipairs(nginx.modules) do values.modules = values.modules .. ('load_module "%s";\n'):format(path) end
  self.values = values
  self:configure {}
  for name, text in pairs(options.files or {}) do write(directory .. "/" .. name, text) end
  self.pipe = assert(io.popen(shell.command(SUPERVISOR, directory, nginx.path) .. " >/dev/null 2>&1", "w"))
  local up = M.eventually(function()
    if read(directory .. "/ended") then return true end
    local connection = socket.connect("127.0.0.1", self.port)
    if connection then connection:close() end
    return connection ~= nil
  end)
  if not up or read(directory .. "/ended") then
    local problem = (read(directory .. "/start.log") or "") .. self:log()
    self:stop()
    error("nginx did not start:\n" .. problem, 2)
  end
  self.master = assert(tonumber(read(directory .. "/group")))
  return self
end

--- Writes nginx.conf anew, for a reload.
-- @tparam table changes `main`, `http`, `server`, `workers`
function Server:configure(changes)
  for name, value in pairs(changes) do self.values[name] = value end
  write(self.directory .. "/nginx.conf", (TEMPLATE:gsub("@(%a+)@", self.values)))
end

--- Ends nginx. May be called again.
function Server:stop()
  if not self.pipe then return end
  self.pipe:write("stop\n")
  self.pipe:close()
  self.pipe = nil
end

function Server:signal(name, pid)
  support.run(("kill -%s %d"):format(name, pid or self.master))
end

--- Processes of this nginx: a list of `{ pid =, title = }`, without the master.
function Server:workers()
  local list = {}
  for line in support.run("cat /proc/[0-9]*/stat 2>/dev/null; :"):gmatch("[^\n]+") do
    local pid, state, parent, group = line:match("^(%d+) %(.*%) (%a) (%d+) (%d+)")
    if tonumber(group) == self.master and tonumber(pid) ~= self.master and state ~= "Z" then
      list[#list + 1] = { pid = tonumber(pid), parent = tonumber(parent) }
    end
  end
  table.sort(list, function(a, b) return a.pid < b.pid end)
  return list
end

--- Whether nothing of this nginx is left, waiting for it.
function Server:ended(seconds)
  return M.eventually(function()
    return read(self.directory .. "/ended") ~= nil and #self:workers() == 0
  end, seconds)
end

--- How many descriptors a process has open.
function Server.descriptors(_, pid)
  return tonumber((support.run(("ls /proc/%d/fd | wc -l"):format(pid))))
end

function Server:log()
  return read(self.directory .. "/error.log") or ""
end

--- Lines of the log of level error and above.
function Server:complaints()
  local lines = {}
  for line in self:log():gmatch("[^\n]+") do
    if line:find("%[error%]") or line:find("%[crit%]") or line:find("%[alert%]") or line:find("%[emerg%]") then
      lines[#lines + 1] = line
    end
  end
  return table.concat(lines, "\n")
end

-- Reads one answer: { status =, headers = text, body = }.
local function receive(connection)
  local line, problem = connection:receive("*l")
  if not line then return { problem = problem } end
  local answer = { status = tonumber(line:match("^HTTP/%d%.%d (%d+)")), headers = "" }
  local length, chunked
  while true do
    line = connection:receive("*l")
    if not line then return { problem = "closed in the headers" } end
    if line == "" then break end
    answer.headers = answer.headers .. line:lower() .. "\n"
  end
  length = tonumber(answer.headers:match("content%-length: (%d+)"))
  chunked = answer.headers:find("transfer%-encoding: chunked")
  if chunked then
    local parts = {}
    while true do
      local size = connection:receive("*l")
      if not size then return { problem = "closed in the body" } end
      parts[#parts + 1] = connection:receive(tonumber(size, 16))
      connection:receive("*l")
      if tonumber(size, 16) == 0 then break end
    end
    answer.body = table.concat(parts)
  else
    answer.body = connection:receive(length or "*a")
  end
  return answer
end

--- Sends requests side by side, each on its own connection, without waiting for answers.
-- @tparam table paths a list
-- @treturn table connections, for `collect`
function Server:send(paths)
  local connections = {}
  for i, path in ipairs(paths) do
    local connection = assert(socket.connect("127.0.0.1", self.port))
    connection:settimeout(60)
    assert(connection:send("GET " .. path .. " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    connections[i] = connection
  end
  return connections
end

--- The answers, in the order of the requests: { status =, body = }, or { problem = } where the connection broke.
function M.collect(connections)
  local answers = {}
  for i, connection in ipairs(connections) do
    answers[i] = receive(connection)
    connection:close()
  end
  return answers
end

--- Breaks connections off.
function M.abort(connections)
  for _, connection in ipairs(connections) do connection:close() end
end

function Server:get(path)
  return M.collect(self:send { path })[1]
end

function Server:get_all(paths)
  return M.collect(self:send(paths))
end

return M
