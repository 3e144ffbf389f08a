--- The runtime of nginx: a call waits in its handler only, the worker goes on with other requests.
-- libcurl runs on the engine's thread; here a call waits on a cosocket from a pool of connections to that thread, over
-- which its ticket goes and a byte comes back when the answer is there. What nginx does with any cosocket works
-- therefore: a handler that is aborted closes it, and that cancels the transfer.
local core = require "bitrix.core"

local ngx = ngx

local _M = { name = "nginx" }

-- What the pool keeps, and how long (milliseconds). Its default, lua_socket_pool_size, is 30: calls above that would
-- connect each time.
local KEPT, KEPT_FOR = 256, 10000

-- Seconds. The engine ends a transfer when its time is over; nginx's timeouts come this much later, for an engine that
-- does not. nginx counts milliseconds in 31 bits.
local GRACE, LONGEST = 5, 2000000

-- Seconds between two looks at a transfer that has no connection to wait on.
local FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.05

local REFUSALS = {
  init = "init_by_lua, which runs before there are workers; use a timer from init_worker_by_lua (ngx.timer.at(0, ...))",
  init_worker = "init_worker_by_lua; use a timer (ngx.timer.at(0, ...))",
  set = "set_by_lua; use rewrite_by_lua or access_by_lua, and assign to ngx.var there",
  header_filter = "header_filter_by_lua; call in access_by_lua or content_by_lua and keep the answer in ngx.ctx, or "
    .. "use a timer (ngx.timer.at(0, ...))",
  body_filter = "body_filter_by_lua; call in access_by_lua or content_by_lua and keep the answer in ngx.ctx, or "
    .. "use a timer (ngx.timer.at(0, ...))",
  balancer = "balancer_by_lua; call in access_by_lua and keep the answer in ngx.ctx",
  log = "log_by_lua; use a timer (ngx.timer.at(0, ...))",
  exit_worker = "exit_worker_by_lua: the worker is about to end",
}

-- Without OpenResty's patches of nginx and OpenSSL a handshake fails when Lua waits in these phases, after the call was
-- sent. OpenResty's own build is told by the name of the directory from which it adds its Lua module.
if ngx and ngx.config and not ngx.config.nginx_configure():find("ngx_lua-", 1, true) then
  REFUSALS.ssl_client_hello = "ssl_client_hello_by_lua without OpenResty's own nginx; use ssl_certificate_by_lua"
  REFUSALS.ssl_session_fetch = "ssl_session_fetch_by_lua without OpenResty's own nginx; use ssl_certificate_by_lua"
end
REFUSALS.ssl_session_store = "ssl_session_store_by_lua; use a timer (ngx.timer.at(0, ...))"

local INSIDE_C = "inside what C code calls (string.gsub, table.sort, require, ...); call before it and hand the answer "
  .. "in"

--- Whether this is nginx at all, whatever the phase.
function _M.inside()
  return ngx ~= nil and ngx.socket ~= nil and ngx.get_phase ~= nil
end

--- Whether a call can wait here. To be asked before anything is sent: afterwards it would be too late to fail.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string where this is and what to do about it
function _M.usable()
  local phase = ngx.get_phase()
  -- First of all: in init_by_lua and init_worker_by_lua a coroutine may yield, but to nobody who would go on with it.
  local refusal = REFUSALS[phase]
  if not refusal then
    if core.yieldable() then return true end
    refusal = INSIDE_C
  end
  return nil, "no call can wait in " .. refusal
end

local known, address -- an engine has one address as long as it lives; a forked worker has another engine

-- A connection to the engine, or nil: nginx has none left, or the engine has no descriptors.
local function connect(engine, milliseconds)
  if engine ~= known then known, address = engine, engine:address() end
  if not address then
    known = nil
    return nil
  end
  local socket = ngx.socket.tcp()
  socket:settimeouts(GRACE * 1000, GRACE * 1000, milliseconds)
  return socket:connect(address) and socket
end

-- Waits without a connection, by looking from time to time.
local function watch(engine, exchange, seconds)
  local ends, pause = core.now() + seconds, FIRST_PAUSE
  while engine:flying(exchange) and core.now() < ends do
    ngx.sleep(pause)
    pause = math.min(pause * 2, LONGEST_PAUSE)
  end
end

--- Sends an exchange and waits for its end.
-- @param exchange what session:prepare or session:call made
-- @tparam number seconds what is left until the call's deadline
function _M.exchange(exchange, seconds)
  local engine = core.engine()
  local longest = math.min(seconds + GRACE, LONGEST)
  local socket = connect(engine, longest * 1000)
  if socket then
    local ticket = engine:submit(exchange, seconds, true)
    if socket:send(ticket) and socket:receive(1) then
      socket:setkeepalive(KEPT_FOR, KEPT)
      return
    end
    socket:close()
    engine:cancel(exchange)
    longest = GRACE
  else
    engine:submit(exchange, seconds)
  end
  watch(engine, exchange, longest)
end

--- Waits.
-- @tparam number seconds not above 0: not at all
function _M.sleep(seconds)
  if seconds > 0 then ngx.sleep(seconds) end
end

--- Runs functions side by side, in light threads, and comes back when all have ended.
-- @tparam table functions
-- @tparam integer concurrency so many at once
-- @tparam function ended(index, ok, ...) is called at the end of each: true and its results, or false and its error
function _M.all(functions, concurrency, ended)
  local following = 1
  local function work()
    while following <= #functions do
      local index = following
      following = index + 1
      ended(index, pcall(functions[index]))
    end
  end
  local threads = {}
  for i = 1, math.min(concurrency, #functions) - 1 do threads[i] = ngx.thread.spawn(work) end
  work()
  for _, thread in ipairs(threads) do ngx.thread.wait(thread) end
end

return _M
