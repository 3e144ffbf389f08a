--- One call from beginning to end: wait for the limit, send, and after a failure settle, renew, wait and send again.
-- The only loop that sends. Decides nothing about limits (limiter.lua) or retries (retry.lua) and does not wait itself (a
-- runtime does).
local core = require "bitrix.core"
local oauth = require "bitrix.oauth"
local retry = require "bitrix.retry"
local runtime = require "bitrix.runtime"
local stats = require "bitrix.stats"
local warn = require "bitrix.warn"

local _M = {}

-- Tells the listener of the client's events, which is there.
local function tell(state, event)
  local ok, problem = pcall(state.policy.on_event, event)
  -- A listener that fails must not cost the caller the outcome of a call that was made.
  if not ok then warn("on_event", "on_event failed: " .. core.redact(tostring(problem))) end
end

-- What one call has come to so far.
--   attempts  what the caller gets to see
--   sent      attempts of the call itself, without what was read to settle it
--   lost      whether the portal may have run it without our knowing
--   last      the last failure
local function new_history() return { attempts = {}, sent = 0, lost = false } end

local function keep(history, row, waited)
  row.waited = waited
  history.attempts[#history.attempts + 1] = row
end

-- One attempt and what it says.
local function attempt(state, rt, exchange, left, history, waited, token)
  rt.exchange(exchange, left)
  local result, more, row, sent, received = exchange:result()
  local failed = result == nil
  local method = exchange:method()
  keep(history, row, waited)
  history.sent = history.sent + 1
  state.limiter:observe(token, result, more, row)
  stats.attempt(state.stats, method, row.seconds, sent, received, failed and more.reason == "query_limit_exceeded")
  stats.wait(state.stats, method, waited)
  if state.policy.on_event then
    tell(state, {
      type = "attempt", request_id = exchange:id(), method = method, attempt = history.sent, status = row.status, code = row.code,
      kind = failed and more.kind or nil, reason = failed and more.reason or nil,
      executed = failed and more.executed or "yes", seconds = row.seconds, waited = waited, sent = sent, received = received,
    })
  end
  if failed then
    history.lost = history.lost or more.executed == "unknown"
    history.last = more
  end
  return result, more
end

-- The limit does not let the call out before its deadline. What an earlier attempt came to stays the answer.
local function held_back(exchange, history, wait, left)
  local err = history.last or exchange:failure{
    kind = "limit", reason = "deadline", executed = "no",
    message = ("the portal's limit lets this call out in %.3g s, and its deadline ends in %.3g s"):format(wait, left),
  }
  err.wait = wait
  return err
end

-- What is to be done after a failure: "again" and the seconds to wait before; or "done", result, info; or nil, error object.
local function after_failure(state, rt, exchange, err, history, idempotent, ends, settle)
  local rules = state.policy.retry
  local again, problem = oauth.after_failure(state, exchange, err, rt, ends - core.now())
  if again then return "again", 0 end
  if problem then return nil, problem end
  if not rules then return nil, err end
  if settle and history.lost and (err.executed == "unknown" or err.reason == "backlog_already_added") then
    local outcome, a, b, c = settle(function(number, params)
      local reading = state.session:prepare(number, params)
      local result, more = _M.perform(state, reading, ends - core.now())
      for _, row in ipairs(type(more) == "table" and more.attempts or {}) do keep(history, row, row.waited) end
      return result, more
    end)
    if outcome == "done" then
      b.settled = true
      return "done", a, b
    elseif outcome == "failed" then
      history.lost = false -- the portal's word, if only now
      return nil, exchange:failure{ kind = a, reason = b, message = c, executed = "yes" }
    elseif outcome == "again" then
      idempotent = true -- should the lost one still come in late, the portal refuses the second
    end
  end
  local decision = retry.decide{ error = err, attempt = history.sent, idempotent = idempotent, policy = rules }
  if not decision or decision.wait >= ends - core.now() then return nil, err end
  return "again", decision.wait
end

-- Whether the call may run twice. REST v3 runs one that has a key once, however often it comes.
local function may_run_twice(state, exchange, options)
  if options.idempotent or exchange:idempotent() then return true end
  if not state.v3 then return false end
  assert(exchange:header("Idempotency-Key", exchange:id()))
  return true
end

-- Waits for the limit, sends, and goes on until the outcome is final.
local function run(state, rt, exchange, ends, history, options)
  local idempotent = may_run_twice(state, exchange, options)
  local backoff = 0
  local ready, obstacle = oauth.before(state, exchange, rt, ends - core.now())
  if not ready then return nil, obstacle end
  while true do
    local left = ends - core.now()
    local waited, token = state.limiter:acquire(rt, options.methods or exchange:method(), left)
    if not waited then return nil, held_back(exchange, history, token, left) end
    local result, more = attempt(state, rt, exchange, ends - core.now(), history, waited + backoff, token)
    if result ~= nil then return result, more end
    local step, first, second = after_failure(state, rt, exchange, more, history, idempotent, ends, options.settle)
    if step == "done" then return first, second end
    if step ~= "again" then return nil, first end
    stats.retry(state.stats, exchange:method())
    if state.policy.on_event then
      tell(state, {
        type = "retry", request_id = exchange:id(), method = exchange:method(), attempt = history.sent, kind = more.kind,
        reason = more.reason, wait = first,
      })
    end
    backoff = first
    if backoff > 0 then rt.sleep(backoff) end
  end
end

--- Sends the exchange until its outcome is final.
-- @tparam table state a client's
-- @param exchange what session:prepare or session:call made; it is closed at the end
-- @tparam[opt] number left seconds until the deadline; the client's own if not given
-- @tparam[opt] table options `idempotent` (boolean: running it twice does no more than once), `settle` (see scrum.lua),
-- `methods` (list of what a batch calls)
-- @return[1] result, info
-- @return[2] nil, error object
-- @return[3] nil, message: nothing was sent because nobody can wait here
function _M.perform(state, exchange, left, options)
  local rt, problem = runtime.current()
  if not rt then return nil, problem end
  options = options or {}
  local history = new_history()
  local result, more = run(state, rt, exchange, core.now() + (left or state.policy.deadline), history, options)
  if result == nil and history.lost and more.executed == "no" then
    -- What an earlier attempt left open is not closed by a later one that did nothing.
    more.executed = "unknown"
  end
  more.attempts = history.attempts
  more.request_id = exchange:id()
  stats.call(state.stats, exchange:method(), result == nil, more.settled)
  if state.policy.on_event then
    tell(state, {
      type = "call", request_id = more.request_id, method = exchange:method(), ok = result ~= nil, attempts = history.sent, status = more.status,
      kind = more.kind, reason = more.reason, executed = result == nil and more.executed or "yes", settled = more.settled,
    })
  end
  exchange:close()
  return result, more
end

-- What may stand in an Idempotency-Key.
local function is_key(text) return type(text) == "string" and #text >= 1 and #text <= 255 and not text:find("[^ -~]") end

--- Reads the options of `client:call`.
-- @return[1] what `perform` takes as options, seconds until the deadline (nil: the client's)
-- @return[2] nil, message about an option
function _M.options(exchange, options)
  if options == nil then return {} end
  if type(options) ~= "table" then return nil, "table expected, got " .. type(options) end
  for name, value in pairs(options) do
    local got = ", got " .. type(value)
    if name == "idempotent" then
      if type(value) ~= "boolean" then return nil, "option 'idempotent': boolean expected" .. got end
    elseif name == "deadline" then
      if type(value) ~= "number" or not (value > 0 and value <= 1000000) then
        return nil, "option 'deadline': a positive number of seconds expected" .. (type(value) == "number" and ", got " .. value or got)
      end
    elseif name == "idempotency_key" then
      if not is_key(value) then return nil, "option 'idempotency_key': a string of 1 to 255 printable ASCII characters expected" .. got end
      exchange:header("Idempotency-Key", value)
    else
      return nil, ("unknown option '%s'"):format(tostring(name))
    end
  end
  return { idempotent = options.idempotent or options.idempotency_key ~= nil }, options.deadline
end

return _M
