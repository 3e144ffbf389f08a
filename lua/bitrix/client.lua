--- One call from beginning to end, the clients that make calls, and the faces over both.
-- Decides nothing about arguments, HTTP or errors (bitrix.core does) and does not wait itself (a runtime does).
local core = require "bitrix.core"
local runtime = require "bitrix.runtime"
local scrum = require "bitrix.scrum"

local _M = {}

local methods = core.methods()
local ENVIRONMENT = "BITRIX24_WEBHOOK_URL"

-- What a client is inside: { session = bitrix.core's session, policy = { deadline = seconds, retry = boolean } }.
-- The default client, shared by both faces, starts empty and opens at its first call.
local default = {}

local Client = {}
Client.__index = Client

--- Sends the exchange until its outcome is final.
-- @tparam[opt] number seconds what is left until the deadline; the client's own deadline if not given
-- @return result, info; or nil, error object
local function run(state, exchange, seconds)
  runtime.current().exchange(exchange, seconds or state.policy.deadline)
  local result, more, attempt = exchange:result()
  attempt.waited = 0
  more.attempts = { attempt }
  exchange:close()
  return result, more
end

--- Opens a session into `state`.
-- @return true; or nil and a message about the options
local function open(state, options)
  local webhook = options.webhook == nil and os.getenv(ENVIRONMENT) or nil
  if webhook then
    local complete = { webhook = webhook }
    for name, value in pairs(options) do complete[name] = value end
    options = complete
  end
  local session, policy_or_problem = core.session(options)
  if not session then
    return nil, webhook and policy_or_problem:gsub("option 'webhook'", ENVIRONMENT) or policy_or_problem
  end
  state.session, state.policy = session, policy_or_problem
  return true
end

--- Makes an exchange of `state`'s session by session:prepare or session:call.
-- @return the exchange; or nil and a message about the arguments, or that no call can wait here
local function prepare(state, how, what, params)
  local runs, obstacle = runtime.current()
  if not runs then return nil, obstacle end
  local session = state.session
  if not session then
    local ok, problem = open(state, {})
    if not ok then return nil, "bitrix: " .. problem .. " (or call bitrix.configure first)" end
    session = state.session
  end
  return session[how](session, what, params)
end

local function with_a_dot(space, name)
  return ("bad call of '%s': write %s.%s{...}, with a dot"):format(name, space, name)
end

--- The features of a space as functions: the same outcomes as a call, within one deadline.
local function add_features(space, numbers, state, finish)
  function space.backlog_ensure(params)
    if params == space then error(with_a_dot("scrum", "backlog_ensure"), 2) end
    local started = core.now()
    local function call(name, what)
      local exchange, problem = prepare(state, "prepare", numbers[name], what)
      if not exchange then return nil, problem end
      return run(state, exchange, state.policy.deadline - (core.now() - started))
    end
    local backlog, more, info = scrum.backlog_ensure(call, params)
    if backlog ~= nil then return backlog, more, info end
    if type(more) == "string" then error((more:gsub("'backlog_add'", "'backlog_ensure'")), 2) end
    return finish(nil, more)
  end
end

--- The catalog's methods as functions in tables, by the name of their space: { scrum = { backlog_add = ... } }.
local function add_spaces(target, state, finish)
  local numbers = {}
  for number, row in ipairs(methods) do
    numbers[row.name] = number
    local space = target[row.space] or {}
    target[row.space] = space
    space[row.name] = function(params)
      if params == space then error(with_a_dot(row.space, row.name), 2) end
      local exchange, problem = prepare(state, "prepare", number, params)
      if not exchange then error(problem, 2) end
      return finish(run(state, exchange))
    end
  end
  add_features(target.scrum, numbers, state, finish)
  return target
end

--- Calls any method of the portal by its name.
-- @tparam string method as in the reference, "user.current"
-- @tparam[opt] table params as in the reference; nested tables, bitrix.null for null
-- @return[1] the answer's `result`; bitrix.null where the portal sent null or nothing
-- @treturn[1] table info { status, time, total, next, attempts, timings }
-- @raise a string when an argument is wrong or the client is closed; otherwise as the face: an error object is
-- raised (`bitrix`) or returned behind nil (`bitrix.safe`)
function Client:call(method, params)
  local state = type(self) == "table" and rawget(self, "_state")
  if not state then error("bad call of 'call': write client:call(method, params), with a colon", 2) end
  local exchange, problem = prepare(state, "call", method, params)
  if not exchange then error(problem, 2) end
  return state.finish(run(state, exchange))
end

--- Closes the kept connections. Calls on a closed client raise an error; closing twice is fine.
-- A client that is collected closes by itself, and so does one in a `<close>` variable of Lua 5.4.
function Client:close()
  if type(self) ~= "table" or not rawget(self, "_state") then
    error("bad call of 'close': write client:close(), with a colon", 2)
  end
  self._state.session:close()
end

function Client:__tostring()
  return ("bitrix.client (%s)"):format(self._state.session:place() or "closed")
end

Client.__close = Client.close
Client.__name = "bitrix.client"

local function check_options(options, name)
  if options == nil then return {} end
  if type(options) ~= "table" then
    error(("bad argument #1 to '%s' (table expected, got %s)"):format(name, type(options)), 3)
  end
  return options
end

--- The functions of a face.
-- @tparam function finish what it does with an outcome: gets (result, info) or (nil, error object)
-- @treturn table the module
function _M.face(finish)
  local face = add_spaces({
    _VERSION = core._VERSION,
    null = core.null,
    is_error = core.is_error,
    redact = core.redact,
  }, default, finish)

  function face.new(options)
    if options == face then error("bad call of 'new': write bitrix.new{...}, with a dot", 2) end
    local state = { finish = finish }
    local ok, problem = open(state, check_options(options, "new"))
    if not ok then error(("bad argument #1 to 'new' (%s)"):format(problem), 2) end
    return setmetatable(add_spaces({ _state = state }, state, finish), Client)
  end

  function face.configure(options)
    if options == face then error("bad call of 'configure': write bitrix.configure{...}, with a dot", 2) end
    local ok, problem = open(default, check_options(options, "configure"))
    if not ok then error(("bad argument #1 to 'configure' (%s)"):format(problem), 2) end
  end

  function face.call(method, params)
    local exchange, problem = prepare(default, "call", method, params)
    if not exchange then error(problem, 2) end
    return finish(run(default, exchange))
  end

  return face
end

return _M
