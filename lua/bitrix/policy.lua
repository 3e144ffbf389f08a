--- The options of a client that are Lua's business: checked here, with their defaults. C checks all others.
local limiter = require "bitrix.limiter"

local _M = {}

local RETRY = { attempts = 5, base = 0.5, cap = 30 }

local RETRY_RANGES = { attempts = { 1, 100, true }, base = { 0, 3600 }, cap = { 0, 3600 } }

-- The `retry` option as { attempts, base, cap }, or false; or nil and what was expected.
local function retry_of(option)
  if option == nil or option == true then return RETRY end
  if option == false then return false end
  if type(option) ~= "table" then return nil, "option 'retry': table or boolean expected, got " .. type(option) end
  local retry = {}
  for name, value in pairs(RETRY) do retry[name] = value end
  for name, value in pairs(option) do
    local range = RETRY_RANGES[name]
    if not range then return nil, ("option 'retry': unknown field '%s'"):format(tostring(name)) end
    if type(value) ~= "number" or not (value >= range[1] and value <= range[2]) or range[3] and value % 1 ~= 0 then
      return nil, ("option 'retry': %s: %s from %d to %d expected, got %s"):format(name,
        range[3] and "an integer" or "a number of seconds", range[1], range[2], tostring(value))
    end
    retry[name] = value
  end
  return retry
end

--- @tparam table options of a client
-- @tparam number deadline seconds, checked by C
-- @treturn[1] table { deadline, retry = { attempts, base, cap } or false, limit = the option, on_event }
-- @return[2] nil, message that names the option
function _M.of(options, deadline)
  local retry, problem = retry_of(options.retry)
  if problem then return nil, problem end
  problem = limiter.check(options.limit)
  if problem then return nil, "option 'limit': " .. problem end
  return { deadline = deadline, retry = retry, limit = options.limit, on_event = options.on_event }
end

return _M
