-- A clock with fractions of a second that the owner and the server share; plain Lua has none of its own.

local files = require "bitrix.portal.file"

local M = {}

--- Seconds since the machine was started, in hundredths.
function M.now()
  return tonumber((files.read("/proc/uptime") or ""):match("^%S+")) or 0
end

return M
