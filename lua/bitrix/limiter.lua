--- Lets calls out when the portal's limits allow it: one limiter for all clients of a portal in this Lua state.
-- What is allowed, limit.lua and operating.lua decide; where the count is kept, a store does: this state's own memory,
-- a lua_shared_dict of all workers, Redis. Waits only through the runtime it is given.
local core = require "bitrix.core"
local limit = require "bitrix.limit"
local operating = require "bitrix.operating"
local warn = require "bitrix.warn"

local _M = {}

local PLANS = { standard = { burst = 50, rate = 2 }, enterprise = { burst = 250, rate = 5 } }
local OPERATING = 480 -- seconds in ten minutes
local FIELDS = { burst = true, rate = true, store = true, operating = true }
local PAUSE = 5 -- seconds without a store that has failed

-- ---- the option ----

local function check_number(option, name, least, most)
  local value = option[name]
  if value == nil then return nil end
  if type(value) ~= "number" then return ("field '%s': number expected, got %s"):format(name, type(value)) end
  if not (value >= least and value <= most) then
    return ("field '%s': a number from %g to %g expected, got %s"):format(name, least, most, tostring(value))
  end
end

--- Checks the option `limit` of a client.
-- @return nil; or what was expected
function _M.check(option)
  if option == nil or option == false then return nil end
  if type(option) == "string" then
    if PLANS[option] then return nil end
    return ("\"standard\", \"enterprise\", a table or false expected, got \"%s\""):format(option)
  end
  if type(option) ~= "table" then
    return ("\"standard\", \"enterprise\", a table or false expected, got %s"):format(tostring(option))
  end
  for name in pairs(option) do
    if not FIELDS[name] then return ("unknown field '%s'"):format(tostring(name)) end
  end
  local store = option.store
  if store ~= nil and (type(store) ~= "table" or type(store.limit) ~= "function") then
    return "field 'store': a store that can count expected (bitrix.store.redis, bitrix.store.dict)"
  end
  local problem = check_number(option, "burst", 1, 1e6) or check_number(option, "rate", 0.01, 1e6)
    or check_number(option, "operating", 1, 1e6)
  if problem then return problem end
  if option.burst and option.burst % 1 ~= 0 then
    return ("field 'burst': an integer expected, got %s"):format(option.burst)
  end
end

-- ---- where the count is ----

-- Of this Lua state alone.
local function own_counter(burst, rate)
  local state = limit.new(burst, rate)
  return {
    enter = function(most) return limit.enter(state, core.now(), most) end,
    go = function(number, epoch) return limit.go(state, core.now(), number, epoch) end,
    refused = function(number, epoch) limit.refused(state, core.now(), number, epoch) end,
  }
end

-- In a store; while it fails, in this state's own memory, so that calls go on.
local function shared_counter(store, key, burst, rate)
  local own, resume = own_counter(burst, rate), 0
  local function ask(operation, ...)
    if core.now() < resume then return false end
    local ok, first, second, third = store:limit(key, burst, rate, operation, ...)
    if ok then return true, first, second, third end
    resume = core.now() + PAUSE
    warn("limit store", ("the store of the limit does not answer (%s); this process counts by itself meanwhile"):format(
      core.redact(tostring(first))))
    return false
  end
  return {
    enter = function(most)
      local ok, wait, number, epoch = ask("enter", most)
      if ok then return wait, number, epoch end
      wait, number, epoch = own.enter(most)
      return wait, number, epoch and "own " .. epoch
    end,
    go = function(number, epoch)
      local own_epoch = tonumber(tostring(epoch):match("^own (.*)"))
      if own_epoch then
        local wait, newer = own.go(number, own_epoch)
        return wait, "own " .. newer
      end
      local ok, wait, newer = ask("go", number, epoch)
      if ok then return wait, newer end
      return 0, epoch
    end,
    refused = function(number, epoch)
      local own_epoch = tonumber(tostring(epoch):match("^own (.*)"))
      if own_epoch then own.refused(number, own_epoch) else ask("refused", number, epoch) end
    end,
  }
end

-- Without a store in nginx: the dictionary of all workers if there is one, else this worker's share.
local function nginx_counter(place, burst, rate)
  if ngx.shared and ngx.shared.bitrix then
    return shared_counter(require("bitrix.store.dict").new("bitrix"), place, burst, rate)
  end
  local workers = ngx.worker and ngx.worker.count and ngx.worker.count() or 1
  if workers < 2 then return own_counter(burst, rate) end
  warn("limit share",
    ("there is no 'lua_shared_dict bitrix 1m;': each of %d workers takes its share of the portal's limit"):format(
    workers))
  return own_counter(math.max(math.floor(burst / workers), 1), rate / workers)
end

local function new_counter(place, option, burst, rate)
  if option.store then return shared_counter(option.store, place, burst, rate) end
  if ngx and ngx.get_phase then return nginx_counter(place, burst, rate) end
  return own_counter(burst, rate)
end

-- ---- the limiter ----

local Limiter = {}
Limiter.__index = Limiter

-- The longest that any of the methods of a call has to wait for its share of server time.
local function operating_wait(self, methods)
  local now = core.now()
  if type(methods) == "string" then return operating.wait(self.operating, now, methods) end
  local wait = 0
  for _, method in ipairs(methods) do wait = math.max(wait, operating.wait(self.operating, now, method)) end
  return wait
end

--- Waits until a call may go out.
-- @tparam table runtime
-- @tparam string|table methods the method, or those in a batch
-- @tparam number most seconds until the call's deadline
-- @treturn[1] number seconds waited
-- @treturn[1] table for `observe`
-- @treturn[2] nil it would have to wait longer; it takes no place
-- @treturn[2] number so long
function Limiter:acquire(runtime, methods, most)
  -- In init_by_lua there are no workers to count yet.
  local counter = self.counter
  if not counter then
    counter = new_counter(self.place, self.option, self.burst, self.rate)
    self.counter = counter
  end
  local waited = operating_wait(self, methods)
  if waited > 0 then
    if waited > most then return nil, waited end
    runtime.sleep(waited)
  end
  local wait, number, epoch = counter.enter(most - waited)
  if not wait then return nil, waited + number end
  while wait > 0 do
    if waited + wait > most then return nil, waited + wait end
    runtime.sleep(wait)
    waited = waited + wait
    wait, epoch = counter.go(number, epoch)
  end
  return waited, { number = number, epoch = epoch, method = type(methods) == "string" and methods or "batch" }
end

--- An attempt has ended.
-- @tparam table token of `acquire`
-- @param result as of exchange:result(); nil: it failed
-- @tparam table more info, or the error object
function Limiter:observe(token, result, more)
  if result ~= nil then
    operating.seen(self.operating, core.now(), token.method, more.time)
  elseif more.reason == "query_limit_exceeded" then
    self.counter.refused(token.number, token.epoch)
  elseif more.reason == "operation_time_limit" then
    operating.refused(self.operating, core.now(), token.method)
  end
end

--- A command of a batch has ended.
-- @tparam string method
-- @tparam ?table time its own, if the portal said it
-- @tparam[opt] string reason of its error
function Limiter:observe_command(method, time, reason)
  if reason == "operation_time_limit" then
    operating.refused(self.operating, core.now(), method)
  else
    operating.seen(self.operating, core.now(), method, time)
  end
end

-- place and numbers → limiter; those with a store are kept in it. Kept when the client goes: the portal's count stays,
-- too.
local limiters = {}

--- The limiter of a portal.
-- @tparam string place scheme, host and port
-- @param option nil or "standard", "enterprise", { burst, rate, store, operating }; checked before
-- @treturn table
function _M.get(place, option)
  if type(option) ~= "table" then option = PLANS[option or "standard"] end
  local burst, rate = option.burst or PLANS.standard.burst, option.rate or PLANS.standard.rate
  local family = limiters
  if option.store then
    -- With the store they go, when that is dropped.
    family = rawget(option.store, "limiters") or {}
    rawset(option.store, "limiters", family)
  end
  local key = ("%s %g %g %g"):format(place, burst, rate, option.operating or OPERATING)
  local self = family[key]
  if not self then
    self = setmetatable({
      place = place, option = option, burst = burst, rate = rate, operating = operating.new(option.operating
        or OPERATING),
    }, Limiter)
    family[key] = self
  end
  return self
end

return _M
