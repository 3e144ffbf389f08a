-- The portal's limit of resources: how many seconds a method has used within the last ten minutes, kept in baskets of a
-- minute. Pure arithmetic; the clock is the caller's.

local check = require "bitrix.portal.check"

local M = {}

local Operating = {}
Operating.__index = Operating

local FIELDS = { limit = check.SECONDS, method_seconds = { "table", check.SECONDS }, window = check.SECONDS,
  baskets = "number", batch_counts = "boolean" }

--- Reads the option `operating`. Raises what is wrong with it, without a position.
-- @param given nil: nothing is counted; false: nor answered; a table, see doc/emulator.md
-- @return nil, false, or a table for `new`
function M.read(given)
  if given == nil or given == false then
    return given
  end
  check.table("operating field", given, FIELDS)
  local seconds = given.method_seconds
  local costs = {}
  for method, cost in pairs(type(seconds) == "table" and seconds or {}) do
    if type(method) ~= "string" or type(cost) ~= "number" or not (cost >= 0 and cost < math.huge) then
      check.fail("operating field 'method_seconds': method names and seconds expected")
    end
    -- As the portal compares names.
    costs[method:lower()] = cost
  end
  local settings = {
    limit = given.limit or 480,
    window = given.window or 600,
    baskets = given.baskets or 10,
    cost = type(seconds) == "number" and seconds or nil,
    costs = costs,
    batch_counts = given.batch_counts or false,
  }
  if settings.window == 0 or settings.baskets == 0 then
    check.fail("operating field '%s': more than 0 expected", settings.window == 0 and "window" or "baskets")
  end
  return settings
end

--- Makes an empty account.
-- @tparam table settings what `read` returned
function M.new(settings)
  return setmetatable({
    settings = settings, length = settings.window / settings.baskets, accounts = {},
    batch_counts = settings.batch_counts,
  }, Operating)
end

-- The baskets of a caller's method, without those that have left.
local function baskets_of(self, caller, method, now)
  local key = caller .. "\n" .. method:lower()
  local list = self.accounts[key]
  if not list then
    list = {}
    self.accounts[key] = list
  end
  local oldest = math.floor(now / self.length) - self.settings.baskets + 1
  while list[1] and list[1].number < oldest do
    table.remove(list, 1)
  end
  return list
end

--- How much a method has used.
-- @tparam string caller the webhook or the application
-- @tparam string method
-- @tparam number now seconds since 1970
-- @treturn number seconds
-- @treturn integer when the oldest of them will be forgotten, or would be if some were used now; seconds since 1970
function Operating:used(caller, method, now)
  local list, sum = baskets_of(self, caller, method, now), 0
  for _, basket in ipairs(list) do
    sum = sum + basket.seconds
  end
  local oldest = list[1] and list[1].number or math.floor(now / self.length)
  return sum, math.ceil((oldest + self.settings.baskets) * self.length)
end

--- Whether a method may be called: not while more than the limit is used.
function Operating:allows(caller, method, now)
  return (self:used(caller, method, now)) <= self.settings.limit
end

--- Writes down that a method has run.
-- @tparam string caller
-- @tparam string method
-- @tparam number seconds how long it took; `method_seconds` knows better if it names the method
-- @tparam number now seconds since 1970
function Operating:add(caller, method, seconds, now)
  seconds = self.settings.costs[method:lower()] or self.settings.cost or seconds
  local list = baskets_of(self, caller, method, now)
  local number = math.floor(now / self.length)
  local last = list[#list]
  -- A clock that is set back puts it into the basket that is there.
  if not last or last.number < number then
    last = { number = number, seconds = 0 }
    list[#list + 1] = last
  end
  last.seconds = last.seconds + seconds
  return seconds
end

return M
