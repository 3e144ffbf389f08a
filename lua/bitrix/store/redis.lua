--- A store in Redis, for processes and hosts behind one address.
--
--    local store = require("bitrix.store.redis").new{ host = "10.0.0.5", password = os.getenv "REDIS_PASSWORD" }
--    local b24 = bitrix.new{ webhook = ..., limit = { store = store } }
--
-- In nginx over cosockets, elsewhere over luasocket. Needs Redis 5 or newer.
-- @module bitrix.store.redis
local core = require "bitrix.core"
local json = require "bitrix.store.json"
local limit = require "bitrix.limit"
local resp = require "bitrix.store.resp"

local _M = {}

local Store = {}
Store.__index = Store
Store.__name = "bitrix.store.redis"

local IDLE, KEPT = 60000, 64 -- nginx's pool: milliseconds, connections

-- ---- connections ----

local function in_nginx() return ngx and ngx.socket and ngx.get_phase and ngx.socket.tcp end

local function new_socket(self)
  if in_nginx() then
    local socket = ngx.socket.tcp()
    socket:settimeout(self.timeout * 1000)
    -- A pool of its own for each database: a connection that comes back has one selected.
    local pool = { pool = ("bitrix.store.redis %s %s"):format(tostring(self), self.database or 0) }
    local ok, problem
    if self.path then
      ok, problem = socket:connect("unix:" .. self.path, pool)
    else
      ok, problem = socket:connect(self.host, self.port, pool)
    end
    if not ok then return nil, problem end
    return socket, (socket:getreusedtimes() or 0) > 0
  end
  local ok, library = pcall(require, self.path and "socket.unix" or "socket")
  if not ok then return nil, "luasocket is not installed" end
  local socket
  if self.path then socket = (type(library) == "table" and library.stream or library)() else socket = library.tcp() end
  socket:settimeout(self.timeout)
  local connected, problem = socket:connect(self.path or self.host, not self.path and self.port or nil)
  if not connected then
    socket:close()
    return nil, problem
  end
  socket:settimeout(self.timeout, "t")
  return socket, false
end

local function greet(self, socket)
  for _, command in ipairs{ { "AUTH", self.password }, { "SELECT", self.database } } do
    if command[2] then
      local ok, problem = resp.call(socket, command[1], command[2])
      if not ok then return nil, problem end
    end
  end
  return true
end

-- A connection that is ready; whether it was used before.
local function connect(self)
  if self.socket and self.pid == core.pid() then return self.socket, true end
  local socket, reused = new_socket(self)
  if not socket then return nil, reused end
  if not reused then
    local ok, problem = greet(self, socket)
    if not ok then
      socket:close()
      return nil, problem
    end
  end
  if not in_nginx() then self.socket, self.pid = socket, core.pid() end
  return socket, reused
end

local function put_away(self, socket, good)
  if in_nginx() then
    if good then socket:setkeepalive(IDLE, KEPT) else socket:close() end
  elseif not good then
    socket:close()
    self.socket = nil
  end
end

-- One command, a second time where a kept connection turns out to be closed.
local function command(self, ...)
  for _ = 1, 2 do
    local socket, reused = connect(self)
    if not socket then return nil, reused end
    local reply, problem, said = resp.call(socket, ...)
    put_away(self, socket, reply ~= nil or said)
    if reply ~= nil then return reply end
    if said or not reused or problem == "timeout" then return nil, problem end
  end
  return nil, "the connection is closed again and again"
end

-- ---- tokens ----

--- Reads tokens.
-- @tparam string key
-- @treturn ?table nil when there are none
-- @treturn ?string why it failed
function Store:load(key)
  local text, problem = command(self, "GET", self.prefix .. "tokens:" .. key)
  if not text then return nil, problem end
  return json.decode(text)
end

--- Keeps tokens.
-- @treturn[1] boolean true
-- @return[2] nil, message
function Store:save(key, tokens)
  local ok, problem = command(self, "SET", self.prefix .. "tokens:" .. key, json.encode(tokens))
  if ok then return true end
  return nil, problem
end

local UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

--- Takes a lock; does not wait.
-- @tparam string key
-- @tparam number seconds after which it is free again, whatever became of its holder
-- @treturn[1] function gives it back
-- @return[2] nil, "locked"; or another message
function Store:lock(key, seconds)
  local name, owner = self.prefix .. "lock:" .. key, core.random(16)
  local ok, problem = command(self, "SET", name, owner, "NX", "PX", math.max(math.ceil(seconds * 1000), 1))
  if not ok then return nil, ok == false and "locked" or problem end
  return function() command(self, "EVAL", UNLOCK, 1, name, owner) end
end

-- ---- the limit ----

local DRIVER = [[
local limit = (function() %s
end)()
local now = redis.call('TIME')
now = now[1] + now[2] / 1e6
local burst, rate, operation = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local state = limit.unpack(redis.call('GET', KEYS[1]) or '', burst, rate) or limit.new(burst, rate)
local reply = { limit[operation](state, now, tonumber(ARGV[4]), tonumber(ARGV[5])) }
for i = 1, 3 do reply[i] = reply[i] and string.format('%%.17g', reply[i]) or '' end
redis.call('SET', KEYS[1], limit.pack(state), 'EX', limit.lifetime(burst, rate))
return reply
]]

local script, script_problem

-- limit.lua runs in Redis as it is.
local function load_script()
  if script or script_problem then return script, script_problem end
  local path = debug.getinfo(limit.new, "S").source:match("^@(.*)")
  local file = path and io.open(path)
  if not file then
    script_problem = "the source of bitrix.limit cannot be read"
    return nil, script_problem
  end
  script = DRIVER:format(file:read("*a"))
  file:close()
  return script
end

--- Counts requests: an operation of limit.lua as one atomic script, on Redis' clock.
-- @treturn[1] boolean true; what the operation returned
-- @return[2] nil, message
function Store:limit(key, burst, rate, operation, ...)
  local first, second = ...
  local text, problem = load_script()
  if not text then return nil, problem end
  local arguments = { 1, self.prefix .. "limit:" .. key, burst, rate, operation, first or "", second or "" }
  local unpack = table.unpack or unpack
  local reply
  if self.sha then reply, problem = command(self, "EVALSHA", self.sha, unpack(arguments)) end
  if not self.sha or not reply and tostring(problem):find("NOSCRIPT", 1, true) then
    self.sha, problem = command(self, "SCRIPT", "LOAD", text)
    if not self.sha then return nil, problem end
    reply, problem = command(self, "EVALSHA", self.sha, unpack(arguments))
  end
  if not reply then return nil, problem end
  return true, tonumber(reply[1]), tonumber(reply[2]), tonumber(reply[3])
end

-- ---- making one ----

local OPTIONS = { host = "string", port = "number", path = "string", password = "string", database = "number",
  timeout = "number", prefix = "string" }

-- luasocket would wait for ever with a timeout below 0, and say of a port only that it is not supported.
local RANGES = { port = { 1, 65535, true }, database = { 0, 1e6, true }, timeout = { 0.001, 1e6 } }

local function check_range(name, value)
  local range = RANGES[name]
  if not range then return nil end
  if value >= range[1] and value <= range[2] and not (range[3] and value % 1 ~= 0) then return nil end
  return ("%s from %g to %g expected, got %s"):format(range[3] and "an integer" or "a number", range[1], range[2],
    tostring(value))
end

--- Makes a store. It connects at its first use.
-- @tparam[opt] table options
--
-- - `host` ("127.0.0.1"), `port` (6379); or `path`, of a unix socket
-- - `password` (string), `database` (integer)
-- - `timeout` (seconds, 0.5) for connecting, and for each command
-- - `prefix` (string, "bitrix:") of its keys
-- @treturn table the store: for the options `oauth.store` and `limit.store`
-- @raise a string that names the option
function _M.new(options)
  options = options or {}
  if type(options) ~= "table" then error(("bad argument #1 to 'new' (table expected, got %s)"):format(type(options)),
    2) end
  for name, value in pairs(options) do
    if not OPTIONS[name] then error(("bad argument #1 to 'new' (unknown option '%s')"):format(tostring(name)), 2) end
    if type(value) ~= OPTIONS[name] then
      error(("bad argument #1 to 'new' (option '%s': %s expected, got %s)"):format(name, OPTIONS[name], type(value)), 2)
    end
    local wrong = check_range(name, value)
    if wrong then error(("bad argument #1 to 'new' (option '%s': %s)"):format(name, wrong), 2) end
  end
  return setmetatable({
    host = options.host or "127.0.0.1", port = math.floor(options.port or 6379), path = options.path,
    password = options.password, database = options.database and math.floor(options.database),
    timeout = options.timeout or 0.5, prefix = options.prefix or "bitrix:",
  }, Store)
end

function Store:__tostring()
  return ("bitrix.store.redis (%s)"):format(self.path or ("%s:%d"):format(self.host, self.port))
end

return _M
