--- Clients, their options, and the faces over both: what a user of the module touches.
-- Decides nothing about arguments, HTTP or errors (bitrix.core does), nor how a call is made (call.lua does).
local batch = require "bitrix.batch"
local bulk = require "bitrix.bulk"
local call = require "bitrix.call"
local core = require "bitrix.core"
local event = require "bitrix.event"
local limiter = require "bitrix.limiter"
local list = require "bitrix.list"
local move = require "bitrix.move"
local oauth = require "bitrix.oauth"
local parallel = require "bitrix.parallel"
local policy = require "bitrix.policy"
local scrum = require "bitrix.scrum"
local stats = require "bitrix.stats"
local tasks = require "bitrix.runtime.tasks"

local _M = {}

local methods = core.methods()
local ENVIRONMENT = "BITRIX24_WEBHOOK_URL"

-- What a client is inside: { session = bitrix.core's, policy = policy.lua's, limiter, stats, finish = the face's }.
-- The default client, shared by both faces, starts empty and opens at its first call.
local default = {}

local Client = {}
Client.__index = Client

--- Opens a session into `state`.
-- @return true; or nil and a message about the options
local function open(state, options)
  local webhook = options.webhook == nil and options.oauth == nil and os.getenv(ENVIRONMENT) or nil
  if webhook then
    local complete = { webhook = webhook }
    for name, value in pairs(options) do complete[name] = value end
    options = complete
  end
  local moves, wrong = move.options(options)
  if not moves then return nil, wrong end
  local config
  if options.oauth ~= nil then
    config, wrong = oauth.check(options.oauth, options)
    if not config then return nil, wrong end
    options = oauth.with_session(options, config)
  end
  local session, deadline_or_problem = core.session(options)
  if not session then
    return nil, webhook and deadline_or_problem:gsub("option 'webhook'", ENVIRONMENT) or deadline_or_problem
  end
  local rules, problem = policy.of(options, deadline_or_problem)
  if not rules then return nil, problem end
  wrong = config and oauth.check_address(config, session)
  if wrong then return nil, wrong end
  state.session, state.policy = session, rules
  function state.on_place()
    state.limiter = rules.limit ~= false and limiter.get(session:place(), rules.limit) or nil
  end
  state.on_place()
  state.move = moves
  state.tokens = config and oauth.tokens(config, state)
  state.stats = stats.new()
  state.v3 = (options.webhook or options.oauth.endpoint):find("/rest/api/", 1, true) ~= nil
  return true
end

--- The session of `state`, opened if it is not.
-- @return the session; or nil and a message
local function session_of(state)
  if not state.session then
    local ok, problem = open(state, {})
    if not ok then return nil, "bitrix: " .. problem .. " (or call bitrix.configure first)" end
  end
  return state.session
end

--- Makes an exchange of `state`'s session by session:prepare or session:call.
-- @return the exchange; or nil and a message about the arguments
local function prepare(state, how, what, params)
  local session, problem = session_of(state)
  if not session then return nil, problem end
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
    local function step(name, what)
      local exchange, problem = prepare(state, "prepare", numbers[name], what)
      if not exchange then return nil, problem end
      return call.perform(state, exchange, state.policy.deadline - (core.now() - started))
    end
    local backlog, more, info = scrum.backlog_ensure(step, params)
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
    local settle = scrum.settle[row.name]
    local options = { method = row.method, settle = settle, numbers = numbers }
    space[row.name] = function(params)
      if params == space then error(with_a_dot(row.space, row.name), 2) end
      local exchange, problem = prepare(state, "prepare", number, params)
      if not exchange then error(problem, 2) end
      local result, more = call.perform(state, exchange, nil, options, settle and scrum.keep(params))
      if result == nil and type(more) == "string" then error(more, 2) end
      return finish(result, more)
    end
  end
  add_features(target.scrum, numbers, state, finish)
  return target
end

--- Calls any method by its name. A mistake of the program is raised at the line of who called our caller.
local function call_by_name(state, method, params, options)
  local exchange, problem = prepare(state, "call", method, params)
  if not exchange then error(problem, 3) end
  local how, seconds = call.options(exchange, options, state.v3)
  if not how then error(("bad argument #3 to 'call' (%s)"):format(seconds), 3) end
  local result, more = call.perform(state, exchange, seconds, how)
  if result == nil and type(more) == "string" then error(more, 3) end
  return result, more
end

-- The state of a client; what is none was called with a dot.
local function state_of(self, name)
  local state = type(self) == "table" and rawget(self, "_state")
  if not state then error(("bad call of '%s': write client:%s(...), with a colon"):format(name, name), 3) end
  return state
end

--- Calls any method of the portal by its name.
-- @tparam string method as in the reference, "user.current"
-- @tparam[opt] table params as in the reference; nested tables, bitrix.null for null
-- @tparam[opt] table options `idempotent` (boolean: running it twice does no more than once, so it may be repeated
-- after any
-- failure; default: as the method's name tells), `idempotency_key` (string of 1 to 255 printable ASCII characters, sent
-- as the header Idempotency-Key; REST v3), `deadline` (seconds, the client's)
-- @return[1] the answer's `result`; bitrix.null where the portal sent null or nothing
-- @treturn[1] table info { status, time, total, next, attempts, timings }
-- @raise a string when an argument is wrong or the client is closed; otherwise as the face: an error object is
-- raised (`bitrix`) or returned behind nil (`bitrix.safe`)
function Client:call(method, params, options)
  local state = state_of(self, "call")
  local result, more = call_by_name(state, method, params, options)
  return state.finish(result, more)
end

--- Runs a function for each item of a list, some at once. See `bitrix.map`.
function Client:map(items, f, options)
  local results, problem = state_of(self, "map").parallel.map_at(3, items, f, options)
  return results, problem
end

--- What the client has done so far.
-- @treturn table `calls`, `attempts`, `retries`, `failures`, `waits`, `waited` (seconds), `seconds` (of all attempts),
-- `limited`
-- (answers QUERY_LIMIT_EXCEEDED), `settled` (lost answers that were settled by reading back), `sent`, `received` (bytes
-- of bodies), and `methods`: the same by a method's name. A copy.
function Client:stats()
  local state = state_of(self, "stats")
  return state.session:clean(stats.report(state.stats))
end

--- For another event loop (cqueues, luv): the descriptor to poll for reading; when it is readable, call `pump`.
-- @treturn integer
function Client:fd()
  state_of(self, "fd")
  return core.engine():fd()
end

--- For another event loop: lets the tasks of `bitrix.spawn` go on that can, without waiting.
-- @treturn integer how many tasks have not ended
-- @treturn ?number seconds after which to call again at the latest; nil: when `fd` is readable
function Client:pump()
  state_of(self, "pump")
  return tasks.pump()
end

-- The features for many calls: each makes its object from a client's state, or says what is wrong with an argument.
local FEATURES = { batch = batch.new, bulk = bulk.new, list = list.new }

-- Makes the object of a feature. A mistake of the program is raised at the line of who called our caller.
local function make(name, state, ...)
  local session, problem = session_of(state)
  local object
  if session then object, problem = FEATURES[name](state, ...) end
  if object == nil then error(problem, 3) end
  return object
end

for name in pairs(FEATURES) do
  Client[name] = function(self, ...)
    local object = make(name, state_of(self, name), ...)
    if name == "bulk" then return self._state.finish(object:run()) end
    return object
  end
end

--- Closes the kept connections. Calls on a closed client raise an error; closing twice is fine.
-- A client that is collected closes by itself, and so does one in a `<close>` variable of Lua 5.4.
function Client:close()
  state_of(self, "close").session:close()
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
  local side_by_side = parallel.face(function(problem) return finish(nil, problem) end)
  local face = add_spaces({
    _VERSION = core._VERSION,
    null = core.null,
    is_error = core.is_error,
    redact = core.redact,
    oauth = oauth.face(finish),
    event = event,
    parallel = side_by_side.parallel,
    parallel_settled = side_by_side.parallel_settled,
    map = side_by_side.map,
    spawn = parallel.spawn,
  }, default, finish)

  function face.new(options)
    if options == face then error("bad call of 'new': write bitrix.new{...}, with a dot", 2) end
    local state = { finish = finish, parallel = side_by_side }
    local ok, problem = open(state, check_options(options, "new"))
    if not ok then error(("bad argument #1 to 'new' (%s)"):format(problem), 2) end
    return setmetatable(add_spaces({ _state = state }, state, finish), Client)
  end

  function face.configure(options)
    if options == face then error("bad call of 'configure': write bitrix.configure{...}, with a dot", 2) end
    local ok, problem = open(default, check_options(options, "configure"))
    if not ok then error(("bad argument #1 to 'configure' (%s)"):format(problem), 2) end
  end

  function face.call(method, params, options)
    local result, more = call_by_name(default, method, params, options)
    return finish(result, more)
  end

  --- What the default client has done so far. See `client:stats`.
  function face.stats()
    local report = stats.report(default.stats or stats.new())
    return default.session and default.session:clean(report) or report
  end

  for name in pairs(FEATURES) do
    face[name] = function(...)
      if ... == face then error(("bad call of '%s': write bitrix.%s(...), with a dot"):format(name, name), 2) end
      -- Errors are reported as this face does it, whoever opened the default client.
      local object = make(name, setmetatable({ finish = finish }, { __index = default }), ...)
      if name == "bulk" then return finish(object:run()) end
      return object
    end
  end

  return face
end


return _M
