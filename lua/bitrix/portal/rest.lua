-- The REST entrance: checks webhook or token, finds the method, checks its parameters, runs it, wraps the answer.
-- Knows no nginx and no JSON: answers are a status and a Lua table.

local batch = require "bitrix.portal.batch"
local date = require "bitrix.portal.date"
local php = require "bitrix.portal.php"

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
-- @tparam table options `domain`; `user` (the webhook's and the token's, an integer); `secret` (the webhook's); `token`
--   (an OAuth 2.0 access token, nil: there is none); `methods` (a list of tables of method rows, see methods.lua)
-- @treturn table an object with `handle` and `call`
function M.new(options)
  local self = setmetatable({
    domain = options.domain, user = options.user, secret = options.secret, token = options.token, methods = {},
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
-- @treturn integer HTTP status
-- @treturn table `{ result = ... }`, with `total` and `next` for a list, or `{ error = ..., error_description = ... }`
-- @treturn boolean whether the method was run
function Rest:call(name, params, now)
  local row = self.methods[name:lower()]
  if not row then
    return failure(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
  end
  local bound, problem = bind(row, params)
  if not bound then
    return failure(400, "100", problem)
  end
  local result, more, code = row.run(self.domain, self.user, bound, now)
  if result == nil then
    return 400, { error = code or 0, error_description = more }, true
  end
  return 200, { result = result, total = more and more.total, next = more and more.next }, true
end

-- Runs something that returns a status, a body and what was run, and writes into a good body how long it took.
local function timed(clock, run)
  local start = clock()
  local status, body, ran = run(start)
  if body.error == nil then
    local finish = clock()
    body.time = {
      start = start,
      finish = finish,
      duration = finish - start,
      processing = finish - start,
      date_start = date.format(start),
      date_finish = date.format(finish),
      operating = 0,
      operating_reset_at = math.floor(finish) + 600,
    }
  end
  return status, body, ran
end

-- The answer to who may not call; nothing for who may.
local function refuse(self, address, params)
  if address.secret then
    if address.user ~= self.user or address.secret ~= self.secret then
      return failure(401, "NO_AUTH_FOUND", "Wrong authorization data")
    end
  elseif params.auth == nil or params.auth == "" then
    return failure(401, "NO_AUTH_FOUND", "Wrong authorization data")
  elseif params.auth ~= self.token then
    return failure(401, "invalid_token", "Unable to get application by token")
  end
end

-- Runs a batch; its commands are written down in `commands`.
local function run_batch(self, params, clock, commands)
  return batch.run(params, function(method, inner)
    local _, body, executed = timed(clock, function(start) return self:call(method, inner, start) end)
    commands[#commands + 1] = { method = method, executed = executed }
    return body
  end)
end

--- Answers a request.
-- @tparam table address what request.parse_path returned
-- @tparam table params
-- @tparam function clock gives the seconds since 1970
-- @treturn integer HTTP status
-- @treturn table the body
-- @treturn table what was done: `executed` (boolean: the method was run), and for a batch `commands`, a list of
--   `{ method =, executed = }`, one for each command that was not refused as a command
function Rest:handle(address, params, clock)
  local done = { executed = false }
  local refused, problem = refuse(self, address, params)
  if refused then
    return refused, problem, done
  end
  local status, body = timed(clock, function(now)
    if address.method:lower() ~= "batch" then
      local status, body
      status, body, done.executed = self:call(address.method, params, now)
      return status, body
    end
    done.executed, done.commands = true, {}
    return 200, { result = run_batch(self, params, clock, done.commands) }
  end)
  return status, body, done
end

return M
