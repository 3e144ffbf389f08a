--- Which runtime a call waits in: nginx's, the task scheduler's, or plain Lua's. Waits for nothing itself.
-- The runtimes are tables with `name` ("nginx", "tasks", "blocking"), `exchange(exchange, seconds)` and
-- `sleep(seconds)`.
local blocking = require "bitrix.runtime.blocking"
local nginx = require "bitrix.runtime.nginx"
local tasks = require "bitrix.runtime.tasks"

local _M = {}

local in_nginx = nginx.inside()

--- The runtime of the place that this is called from. To be asked before each call: one Lua state can be in several.
-- @treturn[1] table
-- @treturn[2] nil inside nginx, where nothing can wait
-- @treturn[2] string what to do about it: a usage error
function _M.current()
  if in_nginx then
    local ok, problem = nginx.usable()
    if not ok then return nil, problem end
    return nginx
  end
  return tasks.count > 0 and tasks.inside() and tasks or blocking
end

return _M
