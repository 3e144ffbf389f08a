-- What stands before the methods: tells addresses apart, counts for the rate limit, sends callers of a moved portal on,
-- asks the token host, lets fault.lua spoil the answer. Takes a request as the journal's table, says how it is to be
-- answered. Knows no nginx.

local fault = require "bitrix.portal.fault"
local json = require "bitrix.portal.json"
local request = require "bitrix.portal.request"
local v3 = require "bitrix.portal.v3"

local M = {}

local Front = {}
Front.__index = Front

local function page(status, title)
  local text = "<html><head><title>%s</title></head><body>%s</body></html>\n"
  return { status = status, body = text:format(title, title) }
end

local TOO_MANY = { error = "QUERY_LIMIT_EXCEEDED", error_description = "Too many requests" }

--- Makes the front.
-- @tparam table options `entrance` (of rest.lua); `oauth` (of oauth.lua); `clock` (a function: seconds since 1970);
--   `bucket` (of bucket.lua; nil: no limit)
-- @treturn table an object with `order` and `answer`
function M.new(options)
  return setmetatable({
    entrance = options.entrance, oauth = options.oauth, clock = options.clock, bucket = options.bucket,
    rules = fault.queue(), moves = {},
  }, Front)
end

local ORDERS = {
  -- A rule as fault.prepared returns it.
  rule = function(self, rule) self.rules:push(rule) end,
  clear = function(self) self.rules:clear() end,
  -- `url` (nil: back again), `host` (nil: whatever host is asked for).
  move = function(self, move) self.moves[move.host or ""] = move.url end,
  tokens = function(self, tokens, age) self.oauth:accept(tokens, self.clock() - age) end,
  code = function(self, code, age) self.oauth:accept_code(code.code, code.user, self.clock() - age) end,
  expire = function(self) self.oauth:expire() end,
}

--- Takes an order of the portal's owner.
-- @tparam table order one of ORDERS → what it is about
-- @tparam[opt] number age how many seconds ago it was given
function Front:order(order, age)
  for name, value in pairs(order) do
    local obey = ORDERS[name]
    if obey then
      obey(self, value, age or 0)
    end
  end
end

-- Where the portal is now that was called by this host name, if it has moved.
local function moved_to(self, entry)
  local host = (entry.headers.host or ""):lower():gsub(":%d+$", "")
  return self.moves[host] or self.moves[""]
end

-- The address of this portal as who asks for tokens may know it.
local function address_of(self, entry)
  local domain = self.oauth.app.domain or entry.headers.host or "127.0.0.1"
  return moved_to(self, entry) or ("%s://%s/"):format(entry.tls and "https" or "http", domain)
end

local function token_answer(self, entry)
  local status, body, executed = self.oauth:answer(entry.params, self.clock(), address_of(self, entry))
  entry.executed = executed
  return { status = status, body = json.encode(body) }
end

local function redirection(entry, target)
  local answer = page(302, "302 Found")
  answer.location = target .. entry.path:sub(2) .. (entry.query ~= "" and "?" .. entry.query or "")
  return answer
end

-- The answer of the portal itself; what was done is written into the entry.
local function real_answer(self, address, entry)
  if not address then
    return page(404, "404 Not Found")
  elseif address.method == request.TOKEN then
    return token_answer(self, entry)
  end
  local target = moved_to(self, entry)
  if target then
    return redirection(entry, target)
  end
  local key = entry.headers["idempotency-key"]
  local status, body, done = self.entrance:handle(address, entry.params, self.clock,
    key and { key = key, body = entry.body } or nil)
  entry.executed, entry.commands, entry.replayed = done.executed, done.commands, done.replayed
  return { status = status, body = json.encode(body) }
end

local function has_room(self, address, entry)
  return not self.bucket or not address or address.method == request.TOKEN
    or self.bucket:take(entry.ip, self.clock())
end

--- Answers a request.
-- @tparam table entry `path`, `query`, `headers`, `body`, `ip`, `tls`; it gets `method`, `user`, `params`, `status`,
--   `executed`, `commands`, `refused`, `replayed`, which are explained in doc/emulator.md
-- @treturn table a plan, see fault.plan
function Front:answer(entry)
  local address = request.parse_path(entry.path)
  entry.params = request.parse_params(entry.query, entry.headers["content-type"], entry.body)
  entry.executed = false
  if address then
    entry.method, entry.user = address.method, address.user
  end
  local plan
  if has_room(self, address, entry) then
    local rule = self.rules:take(entry.method)
    plan = fault.plan(rule, (not rule or fault.runs(rule)) and real_answer(self, address, entry) or nil)
  else
    entry.refused = true
    local body = address.version == 3 and v3.body(TOO_MANY) or TOO_MANY
    plan = fault.plan(nil, { status = 503, body = json.encode(body) })
  end
  entry.status = not plan.drop and plan.status or nil
  return plan
end

return M
