-- Scripted answers: which rule is next, and what it makes of the real answer. Pure tables in, a plan out;
-- knows no nginx. How a plan is carried out is server.lua's business.

local json = require "bitrix.portal.json"

local M = {}

local FIELDS = {
  status = "number", body = { "string", "table" }, headers = "table", delay = "number", cut = "number",
  reset = "boolean", close = "boolean", redirect = "string", chunked = "boolean", gzip = "boolean",
  execute = "boolean", pass = "boolean", body_size = "number", depth = "number", times = "number",
  method = "string", error = "string",
}

-- Rules with one of these do not need the method's own answer, so the method is not run unless `execute` says so.
local REPLACES = { "status", "body", "error", "reset", "close", "redirect", "body_size", "depth" }

local function allowed(value, kinds)
  if type(kinds) == "string" then
    return type(value) == kinds
  end
  for _, kind in ipairs(kinds) do
    if type(value) == kind then
      return true
    end
  end
  return false
end

local function check_number(name, value, least)
  if value ~= value or value < least then
    return nil, ("rule field '%s': at least %d expected, got %s"):format(name, least, tostring(value))
  end
  if name ~= "delay" and value % 1 ~= 0 then
    return nil, ("rule field '%s': integer expected, got %s"):format(name, tostring(value))
  end
  return true
end

-- The system errors whose status is another than 400; PORTAL_DELETED and others have been seen with several.
local STATUSES = {
  QUERY_LIMIT_EXCEEDED = 503, OPERATION_TIME_LIMIT = 429, OVERLOAD_LIMIT = 503, INTERNAL_SERVER_ERROR = 500,
  ERROR_UNEXPECTED_ANSWER = 500, expired_token = 401, invalid_token = 401, NO_AUTH_FOUND = 401,
  insufficient_scope = 403, INVALID_CREDENTIALS = 403, user_access_error = 403, ACCESS_DENIED = 403,
  ERROR_BATCH_METHOD_NOT_ALLOWED = 405, ERROR_METHOD_NOT_FOUND = 404, ERROR_MANIFEST_IS_NOT_AVAILABLE = 404,
  PORTAL_DELETED = 410, PAYMENT_REQUIRED = 402, invalid_client = 401, wrong_client = 200,
}

local LEAST = { status = 200, delay = 0, cut = 0, body_size = 13, depth = 1, times = 1 }

--- Checks a rule.
-- @tparam table rule see doc/emulator.md
-- @return true, or nil and what is wrong
function M.check(rule)
  if type(rule) ~= "table" then
    return nil, "rule: table expected, got " .. type(rule)
  end
  for name, value in pairs(rule) do
    local kinds = FIELDS[name]
    if not kinds then
      return nil, ("unknown rule field '%s'"):format(tostring(name))
    end
    if not allowed(value, kinds) then
      local expected = type(kinds) == "table" and table.concat(kinds, " or ") or kinds
      return nil, ("rule field '%s': %s expected, got %s"):format(name, expected, type(value))
    end
    if LEAST[name] then
      local ok, problem = check_number(name, value, LEAST[name])
      if not ok then
        return nil, problem
      end
    end
  end
  if rule.status and rule.status > 599 then
    return nil, "rule field 'status': at most 599 expected, got " .. tostring(rule.status)
  end
  if type(rule.body) == "table" then
    local ok, problem = pcall(json.encode, rule.body)
    if not ok then
      return nil, "rule field 'body': " .. tostring(problem)
    end
  end
  for name, value in pairs(rule.headers or {}) do
    if type(name) ~= "string" or not (type(value) == "string" or type(value) == "number") then
      return nil, "rule field 'headers': names and values must be strings"
    end
  end
  return true
end

--- A rule as the server wants it: with the body as text, and an `error` as what the portal sends with it.
-- @tparam table rule one that `check` has let pass
-- @treturn table
function M.prepared(rule)
  local result = {}
  for name, value in pairs(rule) do
    result[name] = value
  end
  if rule.error then
    result.status = rule.status or STATUSES[rule.error] or 400
    result.body = rule.body or json.encode { error = rule.error, error_description = "scripted: " .. rule.error }
  end
  if type(rule.body) == "table" then
    result.body = json.encode(rule.body)
  end
  return result
end

local Queue = {}
Queue.__index = Queue

--- Makes an empty queue of rules.
function M.queue()
  return setmetatable({ rules = {} }, Queue)
end

--- Appends a rule.
function Queue:push(rule)
  table.insert(self.rules, { rule = rule, left = rule.times or 1 })
end

--- Forgets all rules.
function Queue:clear()
  self.rules = {}
end

local function normal(method)
  return (method:lower():gsub("%.json$", ""))
end

--- Takes the rule for a request: the first that is for any method, or for this one.
-- @tparam ?string method the request's, nil when it calls none
-- @treturn ?table nil when the request is to be answered as usual
function Queue:take(method)
  for i, held in ipairs(self.rules) do
    local wanted = held.rule.method
    if not wanted or method and normal(wanted) == normal(method) then
      held.left = held.left - 1
      if held.left == 0 then
        table.remove(self.rules, i)
      end
      return held.rule
    end
  end
  return nil
end

--- Whether the method is to be run under a rule.
function M.runs(rule)
  if rule.execute or rule.pass then
    return true
  end
  for _, name in ipairs(REPLACES) do
    if rule[name] ~= nil and rule[name] ~= false then
      return false
    end
  end
  return true
end

-- A body is { head, filler = count of "a" after it, tail }, so that a huge one is never in memory.
local function body_of(rule, real)
  if rule.body_size then
    local head, tail = '{"result":"', '"}'
    return { head = head, filler = rule.body_size - #head - #tail, tail = tail }
  elseif rule.depth then
    return { head = '{"result":' .. ("["):rep(rule.depth), filler = 0, tail = ("]"):rep(rule.depth) .. "}" }
  elseif rule.body then
    return { head = rule.body, filler = 0, tail = "" }
  end
  return { head = real and real.body or "", filler = 0, tail = "" }
end

local function content_type(body)
  return body.head:find("^%s*<") and "text/html; charset=UTF-8" or "application/json; charset=utf-8"
end

--- Says how a request is to be answered.
-- @tparam ?table rule a prepared one; nil: as usual
-- @tparam ?table real the portal's own answer, `{ status = integer, body = string, location = string or nil }`
-- @treturn table `drop` ("reset", "close" or nil), `status`, `headers` (list of {name, value}), `body` ({head, filler,
--   tail}), `length` (of the whole body), `send` (bytes of it to send, nil: all), `delay` (seconds), `chunked`, `gzip`
function M.plan(rule, real)
  rule = rule or {}
  if rule.pass then
    rule = { delay = rule.delay, headers = rule.headers, gzip = rule.gzip, chunked = rule.chunked }
  end
  local body = body_of(rule, real)
  local plan = {
    delay = rule.delay,
    drop = rule.reset and "reset" or rule.close and "close" or nil,
    status = rule.status or rule.redirect and 302 or real and real.status or 200,
    body = body,
    length = #body.head + body.filler + #body.tail,
    send = rule.cut,
    chunked = rule.chunked,
    gzip = rule.gzip,
    headers = { { "Content-Type", content_type(body) } },
  }
  local location = rule.redirect or real and real.location
  if location then
    plan.headers[#plan.headers + 1] = { "Location", location }
  end
  for name, value in pairs(rule.headers or {}) do
    plan.headers[#plan.headers + 1] = { name, value }
  end
  return plan
end

return M
