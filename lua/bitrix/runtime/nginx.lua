--- The runtime of nginx: a call waits in its handler only, the worker goes on with other requests.
-- libcurl runs on the engine's thread; here a call waits on a cosocket from a pool of connections to that thread, over
-- which its ticket goes and a byte comes back when the answer is there. What nginx does with any cosocket works
-- therefore: a handler that is aborted closes it, and that cancels the transfer.
local core = require "bitrix.core"

local ngx = ngx

local _M = { name = "nginx" }

-- What the pool keeps, and how long (milliseconds). Its default, lua_socket_pool_size, is 30: calls above that would connect
-- each time.
local KEPT, KEPT_FOR = 256, 10000

-- The engine ends a transfer when its time is over. These are for an engine that does not: seconds.
local GRACE = 5
local LONGEST = 1e6

local REFUSALS = {
  init = "no call can wait in init_by_lua, which runs before there are workers; make calls in handlers, or use a timer "
    .. "from init_worker_by_lua (ngx.timer.at(0, ...))",
  init_worker = "no call can wait in init_worker_by_lua; use a timer (ngx.timer.at(0, ...))",
  set = "no call can wait in set_by_lua; use rewrite_by_lua or access_by_lua, and ngx.var.name = value",
  header_filter = "no call can wait in header_filter_by_lua; call in content_by_lua or access_by_lua and keep the answer "
    .. "in ngx.ctx, or use a timer (ngx.timer.at(0, ...))",
  log = "no call can wait in log_by_lua; use a timer (ngx.timer.at(0, ...))",
  balancer = "no call can wait in balancer_by_lua; call in access_by_lua and keep the answer in ngx.ctx",
  exit_worker = "no call can wait in exit_worker_by_lua: the worker is about to end",
}
REFUSALS.body_filter = REFUSALS.header_filter:gsub("header_filter", "body_filter")

local INSIDE_C = "no call can wait here, inside a function that C code calls (string.gsub, table.sort, require, a "
  .. "metamethod, ...); call outside of it and hand the answer in"
local OTHER_PHASE = "no call can wait in this phase of nginx (%s); use a timer (ngx.timer.at(0, ...))"

--- Whether this is nginx at all, of any phase.
function _M.inside()
  return ngx ~= nil and ngx.socket ~= nil and ngx.get_phase ~= nil
end

return _M
