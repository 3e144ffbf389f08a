--- Many commands in few requests: fifty each, in order, with references from one to another.
--
--    local batch = client:batch()
--    local group = batch:call("sonet_group.create", { NAME = "Rocket", SCRUM_MASTER_ID = 6 })
--    local backlog = batch.scrum.backlog_add{ groupId = group:ref(), createdBy = 6 }
--    local ok, failed = batch:run()
--
-- Decides nothing about how a request is sent (call.perform) nor about arguments and encoding (bitrix.core).
-- @module bitrix.batch
local call = require "bitrix.call"
local core = require "bitrix.core"

local _M = {}

local methods = core.methods()

-- The portal's own limit.
local MOST = 50
-- A body of this size no server is known to refuse. A command that is longer is sent alone.
local MAX_BYTES = 1024 * 1024
-- What a command takes in the body beside its text and key: quotes, colon, comma.
local AROUND = 6

-- After these the next request would end alike.
local HOPELESS = {
  overload_limit = true, portal_deleted = true, connect = true, connect_timeout = true, dns = true, tls = true,
}

--- Whether an error of one request says that there is no use in sending others.
function _M.is_hopeless(err)
  return err.kind == "auth" or HOPELESS[err.reason] or false
end

--- A command of a batch. Its outcome is here after `batch:run()`:
-- @table Command
-- @field status "pending" before it ran; then "ok"; "failed": it ran or may have run, see `error.executed`;
-- "not_executed": it certainly did not run, because an earlier one failed (`halt`), or its request was refused
-- @field result as the plain call returns it; nil unless the status is "ok"
-- @field error an error object as the plain call has it; nil when the status is "ok"
-- @field info { status, time, total, next, attempts, timings } as of the plain call; nil where nothing was answered
-- @field method "tasks.api.scrum.backlog.add"
-- @field idempotent whether running it twice does no more than running it once, as far as the catalog knows
local Command = {}
Command.__index = Command
Command.__name = "bitrix.command"

function Command:__tostring()
  return ("bitrix.command (%s, %s)"):format(self.method, self.status)
end

-- reference → { command = whose result it is in, path = the way to it }.
local origin_of = core.origin

--- What stands for this command's result, or a part of it, in the parameters of a later command.
-- `cmd:ref("id")` is the field `id`, `cmd:ref(0, "ID")` the field `ID` of the list's first row, `cmd:ref()` the result
-- itself. When the result has no such part, or the command failed, the portal puts an empty text there.
-- @function Command:ref
-- @param ... names, and indexes of lists, which count from 0 as the portal's do
-- @return a value that any parameter of a later command of the batch takes
function Command:ref(...)
  if getmetatable(self) ~= Command then error("bad call of 'ref': write cmd:ref(...), with a colon", 2) end
  local reference, problem = core.reference({ command = self, path = { ... } }, self.key, ...)
  if not reference then error(problem, 2) end
  return reference
end

-- What the way finds in a result. The portal's lists count from 0, Lua's from 1; a map can have numbers as names.
local function find(value, path)
  for _, key in ipairs(path) do
    if type(value) ~= "table" then return nil end
    local number = tonumber(key)
    local inner = value[key]
    if number and value[number + 1] ~= nil and #value > 0 then
      inner = value[number + 1]
    elseif inner == nil then
      inner = value[tostring(key)]
    end
    value = inner
  end
  return value
end

-- A copy of parameters with references in them, as the caller may use the table for the next command; and the
-- references.
local function snapshot(value, references)
  if type(value) == "userdata" and origin_of(value) then
    references[#references + 1] = value
    return value
  elseif type(value) ~= "table" then
    return value
  end
  local copy = {}
  for key, inner in pairs(value) do copy[key] = snapshot(inner, references) end
  return copy
end

-- For the settling of an add whose answer was lost: whose backlog it was to be.
local function backlog_of(params)
  local fields = type(params.fields) == "table" and params.fields or params
  local group, author = tonumber(fields.groupId), tonumber(fields.createdBy)
  return group and author and { groupId = group, createdBy = author } or nil
end

--- Makes a command.
-- @treturn[1] table the command, "pending"
-- @return[2] nil, a message about the arguments
local function new_command(session, key, how, what, params)
  local text, method, idempotent, references = session[how](session, what, params)
  if not text then return nil, method end
  local command = setmetatable({
    key = key, text = text, method = method, idempotent = idempotent, status = "pending",
    number = how == "command" and what or nil,
  }, Command)
  if references > 0 then
    command.references = {}
    command.params = snapshot(params, command.references)
  elseif method == "tasks.api.scrum.backlog.add" then
    command.backlog = backlog_of(params)
  end
  return command
end

--- The names of a client whose functions make commands instead of calls.
-- @tparam table target gets `scrum` and the others
-- @tparam function make make(how, what, params) → command; or nil, message
function _M.add_names(target, make)
  for number, row in ipairs(methods) do
    local space = target[row.space] or {}
    target[row.space] = space
    space[row.name] = function(params)
      if params == space then
        error(("bad call of '%s': write batch.%s.%s{...}, with a dot"):format(row.name, row.space, row.name), 2)
      end
      local command, problem = make("command", number, params)
      if not command then error(problem, 2) end
      return command
    end
  end
  return target
end

-- The text of a command in a request that begins behind `before`, the commands that are answered; or nil and the
-- command without whose result it makes no sense.
local function text_of(session, command, within)
  local values = {}
  for _, reference in ipairs(command.references or {}) do
    local origin = origin_of(reference)
    if not within[origin.command] then
      if origin.command.status == "pending" then
        error(("bad call of 'run': %s refers to a command of a batch that was not run"):format(tostring(command)), 0)
      end
      -- Its request failed as a whole, or was never sent.
      if origin.command.lost then return nil, origin.command end
      local value = find(origin.command.result, origin.path)
      values[reference] = value == nil and "" or value
    end
  end
  if next(values) == nil then return command.text end
  local how = command.number and "command" or "command_call"
  return assert(session[how](session, command.number or command.method, command.params, values))
end

-- What happened to a request, said of one of its commands.
local function failure_of(session, command, err, executed)
  local copy = session:failure(command.method, {
    kind = err.kind, reason = err.reason, executed = executed, code = err.code, message = err.message,
    status = err.status, body = err.body, validation = err.validation,
  })
  copy.attempts, copy.wait = err.attempts, err.wait
  return copy
end

local function set_failed(command, status, err, lost)
  command.status, command.error, command.lost = status, err, lost
end

-- The whole request came to nothing.
local function set_lost(session, commands, err)
  -- "yes" is what is known of the batch, and not of its commands.
  local executed = err.executed == "no" and "no" or "unknown"
  local status = executed == "no" and "not_executed" or "failed"
  for _, command in ipairs(commands) do
    set_failed(command, status, failure_of(session, command, err, executed), true)
  end
end

local function section(result, name)
  local value = result[name]
  return type(value) == "table" and value or {}
end

local function halted_error(session, method)
  return session:failure(method, {
    kind = "api", reason = "halted", executed = "no",
    message = "an earlier command failed, and the batch was to halt there",
  })
end

local function silence_error(session, method, status)
  return session:failure(method, {
    kind = "protocol", reason = "bad_shape", executed = "unknown", status = status,
    message = "the answer to the batch says nothing about this command",
  })
end

-- Server time is counted by method, in a batch, too.
local function observe(state, command, time, reason)
  if state.limiter then state.limiter:observe_command(command.method, time, reason) end
end

local function set_outcomes(state, commands, halt, result, info)
  local session = state.session
  local results, errors = section(result, "result"), section(result, "result_error")
  local totals, nexts = section(result, "result_total"), section(result, "result_next")
  local times = section(result, "result_time")
  local halted = false
  for _, command in ipairs(commands) do
    local key = command.key
    local value, entry = results[key], errors[key]
    command.info = session:clean{ time = times[key], total = totals[key], next = nexts[key] }
    command.info.status, command.info.attempts, command.info.timings = info.status, info.attempts, info.timings
    if entry ~= nil then
      if type(entry) ~= "table" then entry = { error = "", error_description = entry } end
      local err = session:command_error(command.method, entry, info.status)
      err.attempts = info.attempts
      set_failed(command, "failed", err)
      observe(state, command, times[key], err.reason)
      halted = halted or halt
    elseif value ~= nil or times[key] ~= nil then
      -- A null is absent after decoding; that it ran is seen by its time.
      if value == nil then value = core.null end
      command.status, command.result = "ok", session:command_result(command.number, value)
      observe(state, command, times[key])
    else
      local err = halted and halted_error(session, command.method)
        or silence_error(session, command.method, info.status)
      err.attempts = info.attempts
      set_failed(command, halted and "not_executed" or "failed", err)
    end
  end
  return halted
end

local function has_sections(result)
  return type(result) == "table" and (type(result.result) == "table" or type(result.result_error) == "table")
end

--- Sends commands in one request and gives each its outcome.
-- @tparam table state the client's
-- @tparam table commands at most fifty
-- @tparam boolean halt whether the portal is to stop at the first that fails
-- @treturn ?table the error object when the whole request failed
-- @treturn boolean whether it halted
function _M.send(state, commands, halt)
  local session = state.session
  local exchange, problem = session:batch(commands, 1, #commands, halt)
  if not exchange then error(problem, 0) end
  local idempotent, names = true, {}
  for i, command in ipairs(commands) do
    idempotent = idempotent and command.idempotent
    names[i] = command.method
  end
  local options = { idempotent = idempotent, methods = names }
  local result, more = call.perform(state, exchange, nil, options)
  if type(more) == "string" then error(more, 0) end -- nobody can wait here
  if result ~= nil and not has_sections(result) then
    local attempts = more.attempts
    result, more = nil, session:failure("batch", {
      kind = "protocol", reason = "bad_shape", executed = "unknown", status = more.status,
      message = "the answer to the batch has no results",
    })
    more.attempts = attempts
  end
  if result == nil then
    set_lost(session, commands, more)
    return more, false
  end
  return nil, set_outcomes(state, commands, halt, result, more)
end

--- Collects commands for requests: fifty each, and no larger than `max_bytes`.
-- @tparam table state the client's
-- @tparam number max_bytes
-- @treturn table { commands, add(command) → whether it was taken, fits(count, size) → whether so many would be }. A
-- command that needs a result which is lost is taken, gets its outcome and is not among `commands`
function _M.request(state, max_bytes)
  local commands, within, bytes = {}, {}, #'{"halt":0,"cmd":{}}'
  local function fits(count, size)
    return #commands + count <= MOST and (#commands == 0 or bytes + size <= max_bytes)
  end
  local function add(command)
    local text, missing = text_of(state.session, command, within)
    if not text then
      set_failed(command, "not_executed", failure_of(state.session, command, missing.error, "no"), true)
      command.orphan = true
      return true
    end
    local size = #text + #command.key + AROUND
    if not fits(1, size) then return false end
    command.text = text
    commands[#commands + 1] = command
    within[command] = true
    bytes = bytes + size
    return true
  end
  return { commands = commands, add = add, fits = fits }
end

local Batch = {}
Batch.__index = Batch
Batch.__name = "bitrix.batch"

function Batch:__tostring()
  return ("bitrix.batch (%d to run)"):format(#self._commands)
end

local function check(self, name)
  if getmetatable(self) ~= Batch then
    error(("bad call of '%s': write batch:%s(...), with a colon"):format(name, name), 3)
  end
end

--- Adds a command that is named as in the reference.
-- @function Batch:call
-- @tparam string method "tasks.task.add"
-- @tparam[opt] table params as in the reference; references in them
-- @treturn Command the command
-- @raise a string when an argument is wrong
function Batch:call(method, params)
  check(self, "call")
  local command, problem = self._make("command_call", method, params)
  if not command then error(problem, 2) end
  return command
end

-- Ends the commands from `first` on that will not be sent any more.
local function give_up(session, commands, first, err)
  for i = first, #commands do
    set_failed(commands[i], "not_executed", failure_of(session, commands[i], err, "no"), true)
  end
end

--- Runs the commands that were added since the last run, in order: fifty a request, fewer where a body would grow
-- beyond `max_bytes`. Each request is a call of its own to limits, retries and the deadline. A request that fails does
-- not keep the next from being sent, unless the portal cannot be reached or refuses the credentials.
-- Never raises because of what the portal answers: each command has its `status`, `result`, `error`.
-- @function Batch:run
-- @treturn boolean whether every command is "ok"
-- @treturn {Command,...} those that are not, in order
-- @raise a string when the client is closed
function Batch:run()
  check(self, "run")
  local commands, state, halt = self._commands, self._state, self._halt
  self._commands = {}
  local i = 1
  while i <= #commands do
    local request = _M.request(state, self._max_bytes)
    while commands[i] and request.add(commands[i]) do i = i + 1 end
    local err, halted
    if #request.commands > 0 then err, halted = _M.send(state, request.commands, halt) end
    if halted then err = halted_error(state.session, "batch") end
    if err and (halt or _M.is_hopeless(err)) then
      give_up(state.session, commands, i, err)
      break
    end
  end
  local failed = {}
  for _, command in ipairs(commands) do
    if command.status ~= "ok" then failed[#failed + 1] = command end
  end
  return #failed == 0, failed
end

local OPTIONS = { halt = "boolean", max_bytes = "number" }

--- Checks a table of options.
-- @return nil; or what is wrong
function _M.check_options(options, known)
  if options == nil then return nil end
  if type(options) ~= "table" then return ("table expected, got %s"):format(type(options)) end
  for name, value in pairs(options) do
    local expected = known[name]
    if not expected then return ("unknown option '%s'"):format(tostring(name)) end
    if not (" " .. expected .. " "):find(" " .. type(value) .. " ", 1, true) then
      return ("option '%s': %s expected, got %s"):format(name, (expected:gsub(" ", " or ")), type(value))
    end
    if type(value) == "number" then
      local least = name == "after" and 0 or 1
      if not (value >= least and value < math.huge) then
        return ("option '%s': a positive number expected, got %s"):format(name, tostring(value))
      end
    end
  end
end

--- Makes a batch.
-- @function client:batch
-- @tparam[opt] table options
--
-- - `halt` (boolean, false) true: nothing runs after the first command that fails, in later requests neither
-- - `max_bytes` (1 MiB) of a request's body; a longer command is sent alone
-- @treturn Batch with the names of the client: `batch.scrum.backlog_add{...}`, `batch:call(method, params)`; each
-- returns a `Command`
-- @raise a string that names the option
function _M.new(state, options)
  local problem = _M.check_options(options, OPTIONS)
  if problem then return nil, ("bad argument #1 to 'batch' (%s)"):format(problem) end
  options = options or {}
  local self = setmetatable({
    _state = state, _commands = {}, _count = 0, _halt = options.halt or false,
    _max_bytes = options.max_bytes or MAX_BYTES,
  }, Batch)
  function self._make(how, what, params)
    -- Keys are ours and no numbers: PHP makes a list of what has the keys 0, 1, 2.
    local command, why = new_command(state.session, "c" .. self._count + 1, how, what, params)
    if not command then return nil, why end
    self._count = self._count + 1
    self._commands[#self._commands + 1] = command
    return command
  end
  return _M.add_names(self, self._make)
end

--- Bytes of a command in a body.
function _M.size(command) return #command.text + #command.key + AROUND end

_M.new_command = new_command
_M.MAX_BYTES, _M.MOST = MAX_BYTES, MOST

return _M
