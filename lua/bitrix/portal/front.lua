-- What stands before the methods: tells addresses apart, counts for the rate limit, lets fault.lua spoil the answer.
-- Takes a request as the journal's table, says how it is to be answered. Knows no nginx.

local fault = require "bitrix.portal.fault"
local json = require "bitrix.portal.json"
local request = require "bitrix.portal.request"

local M = {}

local Front = {}
Front.__index = Front

local NOT_FOUND = {
  status = 404, body = "<html><head><title>404 Not Found</title></head><body>404 Not Found</body></html>\n",
}

local TOO_MANY = { error = "QUERY_LIMIT_EXCEEDED", error_description = "Too many requests" }

--- Makes the front.
-- @tparam table options `entrance` (of rest.lua); `clock` (a function: seconds since 1970); `bucket` (of bucket.lua;
--   nil: no limit)
-- @treturn table an object with `order` and `answer`
function M.new(options)
  return setmetatable({
    entrance = options.entrance, clock = options.clock, bucket = options.bucket, rules = fault.queue(),
  }, Front)
end

--- Takes an order of the portal's owner.
-- @tparam table order a rule as fault.prepared returns it, or `{ clear = true }`: forget the rules
function Front:order(order)
  if order.clear then
    self.rules:clear()
  else
    self.rules:push(order)
  end
end

-- The answer of the portal itself; what was done is written into the entry.
local function real_answer(self, address, entry)
  if not address then
    return NOT_FOUND
  end
  local status, body, done = self.entrance:handle(address, entry.params, self.clock)
  entry.executed, entry.commands = done.executed, done.commands
  return { status = status, body = json.encode(body) }
end

--- Answers a request.
-- @tparam table entry `path`, `query`, `headers`, `body`, `ip`; it gets `method`, `user`, `params`, `status`,
--   `executed`, `commands`, `refused`, which are explained in doc/emulator.md
-- @treturn table a plan, see fault.plan
function Front:answer(entry)
  local address = request.parse_path(entry.path)
  entry.params = request.parse_params(entry.query, entry.headers["content-type"], entry.body)
  entry.executed = false
  if address then
    entry.method, entry.user = address.method, address.user
  end
  local plan
  if address and self.bucket and not self.bucket:take(entry.ip, self.clock()) then
    entry.refused = true
    plan = fault.plan(nil, { status = 503, body = json.encode(TOO_MANY) })
  else
    local rule = self.rules:take(entry.method)
    plan = fault.plan(rule, (not rule or fault.runs(rule)) and real_answer(self, address, entry) or nil)
  end
  entry.status = not plan.drop and plan.status or nil
  return plan
end

return M
