--- One command for each item of a long list, in batches, at the pace that the portal allows, and never twice.
--
--    local summary = client:bulk(groups, function(batch, group)
--      return batch.scrum.backlog_add{ groupId = group.id, createdBy = 6 }
--    end, { journal = "backlogs.journal" })
--
-- Decides what becomes of an item; how a request is sent is batch.lua's and call.perform's business, what is on the
-- disk journal.lua's.
-- @module bitrix.bulk
local batch = require "bitrix.batch"
local core = require "bitrix.core"
local journal = require "bitrix.journal"
local runtime = require "bitrix.runtime"
local tasks = require "bitrix.runtime.tasks"

local _M = {}

local CONCURRENCY = 4
-- How often a command is sent again because of failures that may pass, each time behind all the repeats of a call.
local TRIES = 3
-- A limit on what a method may take is over after ten minutes at the latest.
local LIMIT_TRIES, LIMIT_PAUSE = 15, 60

local backlog_get
for number, row in ipairs(core.methods()) do
  if row.name == "backlog_get" then backlog_get = number end
end

local Job = {}
Job.__index = Job

-- ---- items and their commands ----

-- What the function gets: the names of a client, which make commands for the item that is its turn.
local function new_builder(self)
  local function make(how, what, params)
    local made = self.made
    local key = ("i%d_%d"):format(self.ordinal, #made + 1)
    local command, problem = batch.new_command(self.state.session, key, how, what, params)
    if not command then
      self.refused = problem
      return nil, problem
    end
    made[#made + 1] = command
    return command
  end
  local builder = {}
  function builder.call(this, method, params)
    if this ~= builder then error("bad call of 'call': write batch:call(method, params), with a colon", 2) end
    local command, problem = make("command_call", method, params)
    if not command then error(problem, 2) end
    return command
  end
  return batch.add_names(builder, make)
end

local function next_item(self)
  if self.ended then return nil end
  local item
  if self.items then item = self.items[self.ordinal + 1] else item = self.source() end
  if item == nil then
    self.ended = true
    return nil
  end
  self.ordinal = self.ordinal + 1
  return item
end

local function new_task(self)
  local item = next_item(self)
  if item == nil then return nil end
  self.made, self.refused = {}, nil
  local ok, main = pcall(self.f, self.builder, item)
  local task = {
    ordinal = self.ordinal, item = item, commands = self.made, main = ok and main or nil, tries = 0, reads = 0,
  }
  if not ok then
    -- What the client refuses is the item's fault; what else is raised is the function's.
    if not self.refused or not tostring(main):find(self.refused, 1, true) then error(main, 0) end
    task.problem = main
    return task
  end
  local own = main == nil and #self.made == 0
  for _, command in ipairs(self.made) do own = own or command == main end
  if not own then
    error("bitrix: the function given to 'bulk' must return the command that it made, or nil to skip the item", 0)
  end
  local texts = {}
  for i, command in ipairs(self.made) do texts[i] = command.text end
  task.fingerprint = core.fingerprint(self.key and tostring(self.key(item)) or table.concat(texts, "\n"))
  return task
end

-- The next item as a task: { ordinal, item, commands, main = the command that counts }; nil at the end.
-- `problem`: an argument was wrong.
local function next_task(self, rt)
  -- The source of items can make calls itself (client:list), and lets other workers run meanwhile.
  while self.taking do rt.sleep(0.002) end
  self.taking = true
  local ok, task = pcall(new_task, self)
  self.taking = false
  if not ok then error(task, 0) end
  return task
end

-- ---- outcomes ----

local function session_error(self, task, what)
  local err = self.state.session:failure(task.main.method, what)
  err.attempts = what.attempts or {}
  return err
end

local KEPT = { "kind", "reason", "executed", "code", "message", "status", "body", "validation" }

-- Puts down what a task came to, for `report`.
local function finish(self, task, ok, value)
  task.ok, task.value = ok, value
  self.finished[#self.finished + 1] = task
end

local function fail(self, task, err) finish(self, task, false, err) end

local function count(self, task)
  local summary = self.summary
  summary.done = summary.done + 1
  if task.main == nil and not task.problem then
    summary.skipped = summary.skipped + 1
  elseif task.ok then
    summary.ok = summary.ok + 1
  elseif core.is_error(task.value) and task.value.executed == "unknown" then
    summary.unknown = summary.unknown + 1
  else
    summary.failed = summary.failed + 1
  end
  if task.replayed then summary.replayed = summary.replayed + 1 end
end

local function check_journal(ok, problem)
  if not ok then error("bitrix: the journal cannot be written: " .. problem, 0) end
end

-- Writes down what is finished, and then tells of it.
local function report(self)
  local finished = self.finished
  if #finished == 0 then return end
  self.finished = {}
  if self.journal then
    local rows = {}
    for _, task in ipairs(finished) do
      if task.main and not task.replayed then
        local value = task.value
        if not task.ok then
          value = {}
          for _, name in ipairs(KEPT) do value[name] = task.value[name] end
        end
        rows[#rows + 1] = { ordinal = task.ordinal, fingerprint = task.fingerprint, ok = task.ok, value = value }
      end
    end
    check_journal(self.journal:write_outcomes(rows))
  end
  for _, task in ipairs(finished) do
    self.lost[task] = nil
    count(self, task)
    if self.on_result and (task.main or task.problem) then
      if task.ok then
        self.on_result(task.item, task.value, nil, task.replayed)
      else
        self.on_result(task.item, nil, task.value, task.replayed)
      end
    end
  end
  if self.on_progress then
    local summary = self.summary
    self.on_progress(summary.done, self.total, summary.failed + summary.unknown, summary.replayed)
  end
end

-- ---- what becomes of a task ----

local function send_again(self, task)
  for _, command in ipairs(task.commands) do
    command.status, command.result, command.error, command.lost, command.info = "pending", nil, nil, nil, nil
  end
  task.reading = nil
  self.queue[#self.queue + 1] = task
end

local function read_back(self, task)
  local command = assert(batch.new_command(self.state.session, ("r%d"):format(task.ordinal), "command", backlog_get,
    { groupId = task.main.backlog.groupId }))
  task.reading = command
  self.queue[#self.queue + 1] = task
end

local function is_idempotent(task)
  for _, command in ipairs(task.commands) do
    if not command.idempotent then return false end
  end
  return true
end

local function stop(self, err) self.stopped = self.stopped or err end

-- The portal may have run it.
local function settle(self, task, err)
  self.lost[task] = err
  if #task.commands == 1 and task.main.backlog then return read_back(self, task) end
  if is_idempotent(task) and task.tries < TRIES then return send_again(self, task) end
  fail(self, task, err)
end

-- What was read says what became of an add whose answer was lost. A group has one backlog: with our author it is ours.
local function settle_by(self, task)
  local command = task.reading
  local wanted, found = task.main.backlog, command.result
  if command.status == "ok" and type(found) == "table" then
    self.summary.settled = self.summary.settled + 1
    if tonumber(found.createdBy) == wanted.createdBy then return finish(self, task, true, found) end
    return fail(self, task, session_error(self, task, {
      kind = "api", reason = "backlog_already_added", executed = "yes", code = "0", message = "Backlog already added",
      attempts = command.info.attempts,
    }))
  end
  local err = command.error
  if err and err.reason == "backlog_not_found" then
    if task.tries >= TRIES then return fail(self, task, self.lost[task]) end
    self.summary.settled = self.summary.settled + 1
    return send_again(self, task)
  end
  if err and command.lost then
    task.reads = task.reads + 1
    if batch.is_hopeless(err) or task.reads >= TRIES then return stop(self, err) end
    return read_back(self, task)
  end
  fail(self, task, session_error(self, task, {
    kind = "protocol", reason = "not_settled", executed = "unknown",
    message = "the answer was lost, and what is there cannot be read: "
      .. (err and err.message or "no backlog in the answer"),
  }))
end

-- Whether another command of the task may have run.
local function has_begun(task)
  for _, command in ipairs(task.commands) do
    if command.status == "ok" or command.error and command.error.executed ~= "no" then return true end
  end
  return false
end

local function conclude(self, task)
  if task.reading then return settle_by(self, task) end
  local failed
  for _, command in ipairs(task.commands) do
    if command.status ~= "ok" then
      failed = command
      break
    end
  end
  if not failed then return finish(self, task, true, task.main.result) end
  local err = failed.error
  task.tries = task.tries + 1
  if failed.orphan then return fail(self, task, err) end
  if err.executed == "unknown" then return settle(self, task, err) end
  if self.lost[task] and err.reason == "backlog_already_added" then return settle(self, task, err) end
  if err.executed == "no" and not has_begun(task) then
    if failed.lost and not self.lost[task] then self.back[#self.back + 1] = task end
    if failed.lost and err.wait and task.tries < LIMIT_TRIES then
      -- The limit would have let the request out only after its deadline. There is none for the whole.
      self.pause_until = core.now() + err.wait
      return send_again(self, task)
    elseif failed.lost then
      -- The whole request, and all the repeats of its call.
      if batch.is_hopeless(err) or task.tries >= TRIES then return stop(self, err) end
      return send_again(self, task)
    end
    if err.kind == "limit" and task.tries < LIMIT_TRIES then
      -- Where there is a limiter it knows, and waits.
      if not self.state.limiter then self.pause_until = core.now() + LIMIT_PAUSE end
      return send_again(self, task)
    end
  end
  fail(self, task, err)
end

-- ---- requests ----

local function size_of(commands)
  local size = 0
  for _, command in ipairs(commands) do size = size + batch.size(command) end
  return size
end

local function commands_to_send(task) return task.reading and { task.reading } or task.commands end

-- What the journal knows of a new task. True when there is nothing to send.
local function look_up(self, task)
  if task.problem then
    fail(self, task, task.problem)
    return true
  elseif not task.main then
    finish(self, task, true)
    return true
  elseif not self.journal then
    return false
  end
  local state, fingerprint = self.journal:state(task.ordinal)
  if state and fingerprint ~= task.fingerprint then
    error(("bitrix: the journal '%s' was written for other items: item %d is not what it was"):format(self.journal.path,
      task.ordinal), 0)
  end
  if state == "done" then
    local ok, _, value = self.journal:outcome(task.ordinal)
    task.replayed = true
    if ok then finish(self, task, true, value) else fail(self, task, session_error(self, task, value)) end
    return true
  elseif state == "sent" then
    task.tries = 1
    settle(self, task, session_error(self, task, {
      kind = "network", reason = "interrupted", executed = "unknown",
      message = "an earlier run was interrupted after this was sent",
    }))
    return true
  end
  return false
end

-- Takes tasks while they fit: first what is to be sent again or read back, then what did not fit before, then new ones.
local function fill(self, rt, request)
  while not self.stopped do
    local task = table.remove(self.queue, 1) or table.remove(self.held, 1)
    if not task then
      task = next_task(self, rt)
      if not task then return end
      if look_up(self, task) then
        -- A long journal is told of as it is read.
        if #self.finished >= batch.MOST and not self.quiet then report(self) end
        task = nil
      end
    end
    if task then
      local commands = commands_to_send(task)
      if #commands > batch.MOST then
        error(("bitrix: the function given to 'bulk' made %d commands for one item; %d at most"):format(#commands,
          batch.MOST), 0)
      end
      if not request.fits(#commands, size_of(commands)) then
        self.held[#self.held + 1] = task
        return
      end
      request.tasks[#request.tasks + 1] = task
      for _, command in ipairs(commands) do request.add(command) end
    end
  end
end

local function send(self, request)
  if self.journal then
    local new = {}
    for _, task in ipairs(request.tasks) do
      if not task.reading then new[#new + 1] = task end
    end
    check_journal(self.journal:write_sent(new))
  end
  self.summary.requests = self.summary.requests + 1
  if #request.commands > 0 then batch.send(self.state, request.commands, false) end
  self.back = {}
  for _, task in ipairs(request.tasks) do conclude(self, task) end
  if self.journal then check_journal(self.journal:write_back(self.back)) end
  report(self)
end

local function work(self)
  local rt = assert(runtime.current())
  while not self.stopped do
    local pause = (self.pause_until or 0) - core.now()
    if pause > 0 then rt.sleep(pause) end
    local request = batch.request(self.state, self.max_bytes)
    request.tasks = {}
    fill(self, rt, request)
    if #request.tasks == 0 then break end
    send(self, request)
  end
  report(self)
end

-- Runs the workers; an error that one raises ends the others behind their next request, and then all.
local function work_together(self)
  local rt, problem = runtime.current()
  if not rt then error(problem, 0) end
  if self.concurrency == 1 then return work(self) end
  if rt.name == "blocking" then rt = tasks end
  local workers, raised = {}, nil
  for i = 1, self.concurrency do
    workers[i] = function() work(self) end
  end
  rt.all(workers, self.concurrency, function(_, ok, err)
    if not ok then
      raised = raised or { err }
      stop(self, err)
    end
  end)
  if raised then error(raised[1], 0) end
end

-- ---- the job ----

--- Runs it.
-- @return summary; or nil, error object
function Job:run()
  local started = core.now()
  local ok, problem = pcall(work_together, self)
  self.summary.seconds = core.now() - started
  if ok and self.stopped and not self.journal then
    -- Nobody will settle these any more.
    for task, err in pairs(self.lost) do fail(self, task, err) end
    ok, problem = pcall(report, self)
  end
  if self.journal then self.journal:close() end
  if not ok then error(problem, 0) end
  if self.stopped then
    self.stopped.summary = self.summary
    return nil, self.stopped
  end
  return self.summary
end

--- The first request that `run` would send, as an exchange; nil when there is nothing to send. Sends nothing, writes
-- nothing.
function Job:preview()
  self.quiet = true
  local request = batch.request(self.state, self.max_bytes)
  request.tasks = {}
  fill(self, assert(runtime.current()), request)
  if self.journal then self.journal:close() end
  if #request.commands == 0 then return nil end
  return assert(self.state.session:batch(request.commands, 1, #request.commands, false))
end

local OPTIONS = {
  on_result = "function", on_progress = "function", journal = "string", key = "function", total = "number",
  concurrency = "number", max_bytes = "number",
}

local function bad(number, text, ...)
  return nil, ("bad argument #%d to 'bulk' (%s)"):format(number, text:format(...))
end

local function is_callable(value)
  if type(value) == "function" then return true end
  local meta = getmetatable(value)
  return type(meta) == "table" and meta.__call ~= nil
end

--- Makes a command for each item and runs them all, fifty a request. What the portal refuses is that item's outcome and
-- stops nothing. When the portal cannot be reached or refuses the credentials, the run ends with that error; whatever
-- was done until then is reported and, with a journal, the same call goes on from there.
-- @function client:bulk
-- @param items a list; or a function that returns the next item, nil after the last (io.lines, an iterator of
-- `client:list`)
-- @tparam function f f(batch, item) makes commands, `batch.scrum.backlog_add{...}` or `batch:call(method, params)`, and
-- returns the one that counts, or nil: nothing is to be done for this item. Several commands of one item stand in one
-- request, and references lead from one to the other. With a journal it must make the same command for the same item
-- each time
-- @tparam[opt] table options
--
-- - `on_result` (function) on_result(item, result, err, replayed): what an item came to: `err` is an error object, or a
-- string when an argument was wrong; `err.executed == "unknown"` where nobody can know. Not always in the order of
-- the items. With a journal it is written down before; `replayed`: in an earlier run, which told of it, or was killed
-- just before
-- - `on_progress` (function) on_progress(done, total, failed, replayed) after each request; `total` is nil where it is
-- not known
-- - `journal` (string) path of a file, made if it is not there, that what is done is written down in. After whatever
-- end, also kill -9, the same call with the same items goes on where it stopped. What was sent and not answered is
-- settled by reading back (backlogs), sent again (what is idempotent), or reported as unknown and left alone. One
-- program at a time
-- - `key` (function) key(item) → string by which the journal knows the item (default: its commands)
-- - `total` (number) how many items there are (default: the length of a list)
-- - `concurrency` (4) requests at once
-- - `max_bytes` (1 MiB) of a request's body
-- @treturn table summary: `done`, `ok`, `failed`, `unknown`, `skipped`, `replayed` (in the journal), `settled` (lost
-- answers that were read back), `requests`, `seconds`
-- @raise an error object with `summary`, when it had to stop; a string when an argument is wrong, the journal cannot be
-- written or is of other items; and what the functions raise
function _M.new(state, items, f, options)
  local is_list = type(items) == "table" and not is_callable(items)
  if not is_list and not is_callable(items) then return bad(1, "list or function expected, got %s", type(items)) end
  if not is_callable(f) then return bad(2, "function expected, got %s", type(f)) end
  local problem = batch.check_options(options, OPTIONS)
  if problem then return bad(3, "%s", problem) end
  options = options or {}
  local self = setmetatable({
    state = state, f = f, items = is_list and items or nil, source = not is_list and items or nil, ordinal = 0,
    on_result = options.on_result, on_progress = options.on_progress, key = options.key,
    total = options.total or is_list and #items or nil,
    concurrency = options.concurrency or CONCURRENCY, max_bytes = options.max_bytes or batch.MAX_BYTES,
    queue = {}, held = {}, finished = {}, lost = {}, back = {},
    summary = { done = 0, ok = 0, failed = 0, unknown = 0, skipped = 0, replayed = 0, settled = 0, requests = 0 },
  }, Job)
  self.builder = new_builder(self)
  if options.journal then
    self.journal, problem = journal.open(options.journal, state.session:place())
    if not self.journal then return bad(3, "option 'journal': %s", problem) end
  end
  return self
end

return _M
