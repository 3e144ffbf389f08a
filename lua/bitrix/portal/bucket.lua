-- The portal's limit of intensity: a counter for each source address, one up a request, some down a second, a refusal
-- above the edge. Pure arithmetic; the clock is the caller's.

local check = require "bitrix.portal.check"
local random = require "bitrix.portal.random"

local M = {}

local Bucket = {}
Bucket.__index = Bucket

local FIELDS = { burst = "number", rate = check.SECONDS, counts_refused = "boolean", phase = check.SECONDS,
  tick = check.SECONDS }
local KNOWN = { standard = { burst = 50, rate = 2 }, enterprise = { burst = 250, rate = 5 } }

--- Reads the option `limit`. Raises what is wrong with it, without a position.
-- @param given nil or false: no limit; "standard", "enterprise", or a table, see doc/emulator.md
-- @treturn ?table for `new`; nil: no limit
function M.read(given)
  if not given then
    return nil
  end
  local fields = KNOWN[given] or given
  if type(fields) == "string" then
    check.fail("option 'limit': \"standard\", \"enterprise\" or a table expected, got %q", given)
  end
  check.table("limit field", fields, FIELDS)
  local tick = fields.tick or 1
  if tick == 0 then
    check.fail("limit field 'tick': more than 0 expected")
  end
  return {
    burst = fields.burst or KNOWN.standard.burst,
    rate = fields.rate or KNOWN.standard.rate,
    counts_refused = fields.counts_refused or false,
    tick = tick,
    -- Nobody can know when within a second the portal counts down.
    phase = fields.phase or tick * random.integer(0, 999) / 1000,
  }
end

--- Makes empty counters.
-- @tparam table settings what `read` returned: `burst` (the highest count that passes), `rate` (off the count at each
--   tick), `tick` (seconds), `phase` (seconds: a tick is whenever `(now - phase) / tick` is a whole number),
--   `counts_refused` (whether a refused request counts)
function M.new(settings)
  return setmetatable({ settings = settings, sources = {} }, Bucket)
end

--- Counts a request.
-- @tparam string source its address
-- @tparam number now seconds
-- @treturn boolean whether it may pass
function Bucket:take(source, now)
  local settings = self.settings
  local tick = math.floor((now - settings.phase) / settings.tick)
  local seen = self.sources[source]
  if not seen then
    seen = { count = 0, tick = tick }
    self.sources[source] = seen
  end
  local count = seen.count
  if tick > seen.tick then
    count = math.max(0, count - settings.rate * (tick - seen.tick))
    seen.tick = tick
  end
  local passes = count + 1 <= settings.burst
  seen.count = (passes or settings.counts_refused) and count + 1 or count
  return passes
end

return M
