--- The runtime of plain Lua: a call blocks until its answer is there.
-- A runtime is the only code that waits; everything above it is the same in all of them.
local core = require "bitrix.core"

local _M = { name = "blocking" }

--- Sends an exchange and waits for its end.
-- @param exchange what session:prepare or session:call made
-- @tparam number seconds what is left until the call's deadline
function _M.exchange(exchange, seconds)
  exchange:perform(seconds)
end

--- Waits.
-- @tparam number seconds not above 0: not at all
function _M.sleep(seconds)
  core.sleep(seconds)
end

return _M
