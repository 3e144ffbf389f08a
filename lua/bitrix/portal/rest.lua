-- The REST entrance: checks webhook or token, finds the method, looks at what it has used, checks its parameters, runs
-- it, wraps the answer. Knows no nginx and no JSON: answers are a status and a Lua table.

local batch = require "bitrix.portal.batch"
local date = require "bitrix.portal.date"
local php = require "bitrix.portal.php"
local replay = require "bitrix.portal.replay"
local v3 = require "bitrix.portal.v3"

local M = {}

local Rest = {}
Rest.__index = Rest

-- What only the entrance knows.
local function own_methods(self)
  return {
    ["methods"] = {
      params = {},
      run = function()
        local names = {}
        for _, row in pairs(self.methods) do
          names[#names + 1] = row.name
        end
        table.sort(names)
        return names
      end,
    },
    ["method.get"] = {
      params = {},
      run = function(_, _, params)
        local known = type(params.name) == "string" and self.methods[params.name:lower()] ~= nil
        return { isExisting = known, isAvailable = known }
      end,
    },
  }
end

--- Makes an entrance.
-- @tparam table options `domain`; `user` (the webhook's, an integer); `secret` (the webhook's); `oauth` (of oauth.lua,
--   nil: there are no tokens); `operating` (of operating.lua; nil: nothing is counted; false: nor answered);
--   `methods` (a list of tables of method rows, see methods.lua)
-- @treturn table an object with `handle` and `call`
function M.new(options)
  local self = setmetatable({
    domain = options.domain, user = options.user, secret = options.secret, oauth = options.oauth,
    operating = options.operating, replay = replay.new(), methods = {},
  }, Rest)
  self:register(own_methods(self))
  for _, rows in ipairs(options.methods) do
    self:register(rows)
  end
  return self
end

--- Adds methods.
-- @tparam table rows name → row, see methods.lua
function Rest:register(rows)
  for name, row in pairs(rows) do
    -- The portal compares method names without case.
    self.methods[name:lower()] = { name = name, params = row.params, run = row.run }
  end
end

local function failure(status, code, text)
  return status, { error = code, error_description = text }, false
end

local function shown(value)
  return type(value) == "table" and "Array" or tostring(value)
end

-- The value as the declared type, or nil.
local function converted(value, kind)
  if kind == "array" then
    return type(value) == "table" and value or nil
  end
  local number = php.to_number(value)
  return number and number % 1 == 0 and php.to_integer(number) or nil
end

-- The parameters of a row in their types, or nil and the text of the error.
local function bind(row, params)
  local bound = setmetatable({}, { __index = params })
  for _, param in ipairs(row.params) do
    local value = params[param.name]
    if value == nil and not param.optional then
      return nil, ("Could not find value for parameter {%s}"):format(param.name)
    end
    if value ~= nil then
      bound[param.name] = converted(value, param.type)
      if rawget(bound, param.name) == nil then
        return nil, ("Invalid value {%s} to match with parameter {%s}. Should be value of type %s."):format(
          shown(value), param.name, param.type)
      end
    end
  end
  return bound
end

--- Runs a method for a user whose right to call has been checked.
-- @tparam string name the method
-- @tparam table params
-- @tparam number now seconds since 1970
-- @tparam[opt] integer user default: the webhook's
-- @treturn integer HTTP status
-- @treturn table `{ result = ... }`, with `total` and `next` for a list, or `{ error = ..., error_description = ... }`
-- @treturn boolean whether the method was run
function Rest:call(name, params, now, user)
  local row = self.methods[name:lower()]
  if not row then
    return failure(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
  end
  local bound, problem = bind(row, params)
  if not bound then
    return failure(400, "100", problem)
  end
  local result, more, code = row.run(self.domain, user or self.user, bound, now)
  if result == nil then
    return 400, { error = code or 0, error_description = more }, true
  end
  return 200, { result = result, total = more and more.total, next = more and more.next }, true
end

-- The time of an answer. `key` and `method` say whose seconds are told, nil: nobody's.
local function time_of(self, start, finish, key, method)
  local time = {
    start = start,
    finish = finish,
    duration = finish - start,
    processing = finish - start,
    date_start = date.format(start),
    date_finish = date.format(finish),
  }
  if self.operating and key then
    time.operating, time.operating_reset_at = self.operating:used(key, method, finish)
  elseif self.operating ~= false then
    time.operating, time.operating_reset_at = 0, math.floor(finish) + 600
  end
  return time
end

-- Runs a method for a caller, unless it has used too much. Returns status, body, whether it was run, what it used.
local function run(self, caller, method, params, clock)
  local start, account = clock(), self.operating
  if account and not account:allows(caller.key, method, start) then
    return failure(429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.")
  end
  local status, body, executed = self:call(method, params, start, caller.user)
  local finish = clock()
  local seconds = account and executed and account:add(caller.key, method, finish - start, finish)
  if body.error == nil then
    body.time = time_of(self, start, finish, caller.key, method)
  end
  return status, body, executed, seconds or nil
end

-- Runs a batch; its commands are written down in `done`.
local function run_batch(self, caller, params, clock, done)
  local start, account = clock(), self.operating and self.operating.batch_counts and self.operating or nil
  if account and not account:allows(caller.key, "batch", start) then
    return failure(429, "OPERATION_TIME_LIMIT", "Method is blocked due to operation time limit.")
  end
  local used = 0
  done.executed, done.commands = true, {}
  local result = batch.run(params, function(method, inner)
    local _, body, executed, seconds = run(self, caller, method, inner, clock)
    table.insert(done.commands, { method = method, executed = executed })
    used = used + (seconds or 0)
    return body
  end)
  local finish = clock()
  if account then
    account:add(caller.key, "batch", used, finish)
  end
  return 200, { result = result, time = time_of(self, start, finish, account and caller.key, "batch") }
end

-- Who calls: `key` (of the webhook or the application), `user`; or nil and the answer to who may not.
local function caller_of(self, address, params, clock)
  if address.secret then
    if address.user ~= self.user or address.secret ~= self.secret then
      return nil, failure(401, "NO_AUTH_FOUND", "Wrong authorization data")
    end
    return { key = "webhook", user = self.user }
  elseif params.auth == nil or params.auth == "" then
    return nil, failure(401, "NO_AUTH_FOUND", "Wrong authorization data")
  elseif not self.oauth then
    return nil, failure(401, "invalid_token", "Unable to get application by token")
  end
  local user, code, text = self.oauth:user_of(params.auth, clock())
  if not user then
    return nil, failure(401, code, text)
  end
  return { key = "application", user = user }
end

-- Runs a call of a caller. Returns status and body; what was done is written down in `done`.
local function answer(self, caller, method, params, clock, done)
  if method:lower() == "batch" then
    return run_batch(self, caller, params, clock, done)
  end
  local status, body
  status, body, done.executed = run(self, caller, method, params, clock)
  return status, body
end

-- The same for a write of v3 with an Idempotency-Key: what is known is not run.
local function answer_once(self, caller, address, params, clock, done, idempotency)
  local what = address.method:lower() .. "\n" .. idempotency.body
  local kept = self.replay:find(caller.key, idempotency.key, what)
  if kept then
    done.replayed = true
    return kept.status, kept.body
  elseif kept == false then
    return failure(422, v3.KEY_REUSED, "The idempotency key was used with another request")
  end
  local status, body = answer(self, caller, address.method, params, clock, done)
  if done.executed then
    self.replay:keep(caller.key, idempotency.key, what, { status = status, body = body })
  end
  return status, body
end

--- Answers a request.
-- @tparam table address what request.parse_path returned
-- @tparam table params
-- @tparam function clock gives the seconds since 1970
-- @tparam[opt] table idempotency `key` and the raw `body` that it came with; looked at by writes of v3
-- @treturn integer HTTP status
-- @treturn table the body
-- @treturn table what was done: `executed` (boolean: the method was run), `replayed` (true: answered as before), and
--   for a batch `commands`, a list of `{ method =, executed = }`, one for each command that could be one
function Rest:handle(address, params, clock, idempotency)
  local done = { executed = false }
  local caller, status, body = caller_of(self, address, params, clock)
  if caller and address.version == 3 and idempotency and replay.is_write(address.method) then
    status, body = answer_once(self, caller, address, params, clock, done, idempotency)
  elseif caller then
    status, body = answer(self, caller, address.method, params, clock, done)
  end
  return status, address.version == 3 and v3.body(body) or body, done
end

return M
