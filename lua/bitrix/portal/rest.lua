-- The REST entrance: checks the webhook, finds the method, checks its parameters, runs it, wraps the answer.
-- Knows no nginx and no JSON: answers are a status and a Lua table.

local php = require "bitrix.portal.php"

local M = {}

local Rest = {}
Rest.__index = Rest

local general = {}

general["profile"] = {
  params = {},
  run = function(domain, user)
    return { ID = tostring(user), ADMIN = domain:get("users", user).admin, NAME = "User", LAST_NAME = tostring(user) }
  end,
}

general["server.time"] = {
  params = {},
  run = function(_, _, _, now)
    return M.date(now)
  end,
}

--- A point in time as the portal writes it.
-- @tparam number seconds since 1970
-- @treturn string `2024-04-03T12:50:17+00:00`
function M.date(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%S+00:00", math.floor(seconds))
end

--- Makes an entrance.
-- @tparam table options `domain`; `user` (the webhook's, an integer); `secret` (the webhook's); `methods` (a list of
--   tables of method rows, see scrum.lua)
-- @treturn table an object with `handle` and `call`
function M.new(options)
  local self = setmetatable({ domain = options.domain, user = options.user, secret = options.secret }, Rest)
  -- The portal compares method names without case.
  self.methods = {}
  self:register(general)
  for _, rows in ipairs(options.methods) do
    self:register(rows)
  end
  return self
end

--- Adds methods.
-- @tparam table rows name → row, see scrum.lua
function Rest:register(rows)
  for name, row in pairs(rows) do
    self.methods[name:lower()] = row
  end
end

local function failure(status, code, text)
  return status, { error = code, error_description = text }
end

local function shown(value)
  return type(value) == "table" and "Array" or tostring(value)
end

-- The value as the declared type, or nil.
local function converted(value, kind)
  if kind == "array" then
    return type(value) == "table" and value or nil
  end
  if type(value) == "table" or type(value) == "boolean" or not php.is_numeric(value) then
    return nil
  end
  local number = tonumber((tostring(value):gsub("^%s*%+", "")))
  return number % 1 == 0 and php.to_integer(number) or nil
end

-- The parameters of a row in their types, or nil and the text of the error.
local function bind(row, params)
  local bound = setmetatable({}, { __index = params })
  for _, param in ipairs(row.params) do
    local value = params[param.name]
    if value == nil then
      return nil, ("Could not find value for parameter {%s}"):format(param.name)
    end
    bound[param.name] = converted(value, param.type)
    if rawget(bound, param.name) == nil then
      return nil, ("Invalid value {%s} to match with parameter {%s}. Should be value of type %s."):format(
        shown(value), param.name, param.type)
    end
  end
  return bound
end

--- Runs a method for a user whose right to call has been checked.
-- @tparam string name the method
-- @tparam table params
-- @tparam number now seconds since 1970
-- @treturn integer HTTP status
-- @treturn table `{ result = ... }` or `{ error = ..., error_description = ... }`
function Rest:call(name, params, now)
  local row = self.methods[name:lower()]
  if not row then
    return failure(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
  end
  local bound, problem = bind(row, params)
  if not bound then
    return failure(400, "100", problem)
  end
  local result, text = row.run(self.domain, self.user, bound, now)
  if result == nil then
    return failure(400, 0, text)
  end
  return 200, { result = result }
end

--- Answers a request.
-- @tparam table address what request.parse_path returned
-- @tparam table params
-- @tparam function clock gives the seconds since 1970
-- @treturn integer HTTP status
-- @treturn table the body
function Rest:handle(address, params, clock)
  if address.user ~= self.user or address.secret ~= self.secret then
    return failure(401, "NO_AUTH_FOUND", "Wrong authorization data")
  end
  local start = clock()
  local status, body = self:call(address.method, params, start)
  if body.error == nil then
    local finish = clock()
    body.time = {
      start = start,
      finish = finish,
      duration = finish - start,
      processing = finish - start,
      date_start = M.date(start),
      date_finish = M.date(finish),
      operating = 0,
      operating_reset_at = math.floor(finish) + 600,
    }
  end
  return status, body
end

return M
