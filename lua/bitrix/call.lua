--- One call from beginning to end: wait for the limit, send, and after a failure settle, renew, wait and send again.
-- The only loop that sends. Decides nothing about limits (limiter.lua) or retries (retry.lua) and does not wait itself
-- (a runtime does).
local core = require "bitrix.core"
local oauth = require "bitrix.oauth"
local retry = require "bitrix.retry"
local runtime = require "bitrix.runtime"
local stats = require "bitrix.stats"
local warn = require "bitrix.warn"

local _M = {}

local NONE = {}

-- Tells the listener of the client's events, if there is one.
local function tell(state, event)
  local listener = state.policy.on_event
  if not listener then return end
  -- A method's name is the caller's: one who calls a secret does not find it in his logs.
  local ok, problem = pcall(listener, state.session:clean(event))
  -- A listener that fails must not cost the caller the outcome of a call that was made.
  if ok then return end
  local told, text = pcall(tostring, problem)
  warn("on_event", "on_event failed: " .. (told and core.redact(text) or "with an error that is no text"))
end

-- One call, from its first failure on.
--   attempts    what the caller gets to see
--   sent        attempts of the call itself, without what was read to settle it
--   lost        whether the portal may have run it without our knowing
--   idempotent  whether running it twice does no more than once

-- The limit does not let the call out before its deadline. What an earlier attempt came to stays the answer.
local function held_back(exchange, last, wait, left)
  local err = last or exchange:failure{
    kind = "limit", reason = "deadline", executed = "no",
    message = ("the portal's limit lets this call out in %.3g s, and its deadline ends in %.3g s"):format(wait, left),
  }
  err.wait = wait
  return err
end

-- Adds an attempt to what is counted for its method.
local function count(counts, result, more, row, sent, received)
  counts.seconds = counts.seconds + row.seconds
  counts.sent = counts.sent + sent
  counts.received = counts.received + received
  local waited = row.waited
  if waited > 0 then counts.waits, counts.waited = counts.waits + 1, counts.waited + waited end
  if result == nil and more.reason == "query_limit_exceeded" then counts.limited = counts.limited + 1 end
end

local function tell_attempt(state, exchange, method, result, more, history)
  local row = history.attempts[#history.attempts]
  local failed = result == nil
  tell(state, {
    type = "attempt", request_id = exchange:id(), method = method, attempt = history.sent, status = row.status,
    code = row.code, kind = failed and more.kind or nil, reason = failed and more.reason or nil,
    executed = failed and more.executed or "yes", seconds = row.seconds, waited = row.waited,
  })
end

-- Reads back what a lost call may have done. "done", result, info; "failed", error object; "again"; or nil: still open.
local function settle(state, exchange, history, ends, options, params)
  local outcome, a, b, c = options.settle(params, function(name, what)
    local reading = state.session:prepare(options.numbers[name], what)
    if not reading then return nil end -- the client was closed meanwhile
    local result, more = _M.perform(state, reading, ends - core.now())
    for _, row in ipairs(type(more) == "table" and more.attempts or NONE) do
      history.attempts[#history.attempts + 1] = row
    end
    return result, more
  end)
  if outcome == "done" then
    b.settled = true
    return "done", a, b
  elseif outcome == "failed" then
    history.lost = false -- the portal's word, if only now
    return "failed", exchange:failure{ kind = a, reason = b, message = c, executed = "yes" }
  end
  return outcome
end

-- What is to be done after a failure: "again" and the seconds to wait before; "done", result, info; or nil, error
-- object.
local function after_failure(state, rt, exchange, err, history, ends, options, params)
  local rules = state.policy.retry
  local again, problem = oauth.after_failure(state, exchange, err, rt, ends - core.now())
  if again then return "again", 0 end
  if problem then return nil, problem end
  if not rules then return nil, err end
  local idempotent = history.idempotent
  if options.settle and history.lost and (err.executed == "unknown" or err.reason == "backlog_already_added") then
    local outcome, first, second = settle(state, exchange, history, ends, options, params)
    if outcome == "done" then return outcome, first, second end
    if outcome == "failed" then return nil, first end
    -- Should the lost one still come in late, the portal refuses the second.
    idempotent = outcome == "again" or idempotent
  end
  local decision = retry.decide{
    error = err, attempt = history.sent, idempotent = idempotent, paced = state.limiter ~= nil, policy = rules,
  }
  if not decision or decision.wait >= ends - core.now() then return nil, err end
  return "again", decision.wait
end

-- Goes on from a first failure until the outcome is final.
local function go_on(state, rt, exchange, method, err, history, ends, options, params, counts)
  while true do
    history.sent = history.sent + 1
    history.lost = history.lost or err.executed == "unknown"
    tell_attempt(state, exchange, method, nil, err, history)
    local step, first, second = after_failure(state, rt, exchange, err, history, ends, options, params)
    if step == "done" then return first, second end
    if step ~= "again" then return nil, first end
    counts.retries = counts.retries + 1
    tell(state, {
      type = "retry", request_id = exchange:id(), method = method, attempt = history.sent, kind = err.kind,
      reason = err.reason, wait = first,
    })
    if first > 0 then rt.sleep(first) end
    local left, waited, token = ends - core.now(), 0, nil
    if state.limiter then
      waited, token = state.limiter:acquire(rt, options.methods or method, left)
      if not waited then return nil, held_back(exchange, err, token, left) end
    end
    rt.exchange(exchange, ends - core.now())
    local result, more, row, sent, received = exchange:result()
    row.waited = waited + first
    history.attempts[#history.attempts + 1] = row
    if token then state.limiter:observe(token, result, more) end
    count(counts, result, more, row, sent, received)
    if result ~= nil then
      history.sent = history.sent + 1
      tell_attempt(state, exchange, method, result, more, history)
      return result, more
    end
    err = more
  end
end

-- REST v3 runs a write that has a key once, however often it comes.
local function may_run_twice(state, exchange, options)
  if options.idempotent or exchange:idempotent() then return true end
  if not state.v3 then return false end
  assert(exchange:header("Idempotency-Key", core.random(16)))
  return true
end

local function tell_call(state, exchange, method, result, more, sent)
  tell(state, {
    type = "call", request_id = exchange:id(), method = method, ok = result ~= nil, attempts = sent,
    status = more.status, kind = more.kind, reason = more.reason, executed = result == nil and more.executed or "yes",
    settled = more.settled,
  })
end

-- Ends a call of which nothing went out.
local function not_sent(state, exchange, method, counts, err)
  err.attempts, err.request_id = {}, exchange:id()
  counts.failures = counts.failures + 1
  counts.held = counts.held + 1
  tell_call(state, exchange, method, nil, err, 0)
  exchange:close()
  return nil, err
end

--- Sends the exchange until its outcome is final.
-- @tparam table state a client's
-- @param exchange what session:prepare or session:call made; it is closed at the end
-- @tparam[opt] number left seconds until the deadline; the client's own if not given
-- @tparam[opt] table options `method` (its name on the wire, where it is known), `idempotent` (boolean: running it
-- twice does no more than once), `settle` and `numbers` (see scrum.lua), `methods` (list of what a batch calls)
-- @tparam[opt] table params for `settle`
-- @return[1] result, info
-- @return[2] nil, error object
-- @return[3] nil, message: nothing was sent because nobody can wait here
function _M.perform(state, exchange, left, options, params)
  local rt, problem = runtime.current()
  if not rt then return nil, problem end
  options = options or NONE
  local policy, limiter, waited, token = state.policy, state.limiter, 0, nil
  left = left or policy.deadline
  local method = options.method or exchange:method()
  local counts = state.stats[method] or stats.of(state.stats, method)
  counts.calls = counts.calls + 1
  local idempotent = state.v3 and may_run_twice(state, exchange, options)
  -- The clock is not asked where nothing has taken time yet.
  local ends
  if state.tokens or not state.move.recalled then
    ends = core.now() + left
    local ready, obstacle = oauth.before(state, exchange, rt, left)
    if not ready then return not_sent(state, exchange, method, counts, obstacle) end
    left = ends - core.now()
  end
  if limiter then
    ends = ends or core.now() + left
    waited, token = limiter:acquire(rt, options.methods or method, left)
    if not waited then return not_sent(state, exchange, method, counts, held_back(exchange, nil, token, left)) end
    if waited > 0 then left = ends - core.now() end
  end
  rt.exchange(exchange, left)
  local result, more, row, sent, received = exchange:result()
  row.waited = waited
  if token then limiter:observe(token, result, more) end
  count(counts, result, more, row, sent, received)
  local attempts, history = { row }, nil
  if result == nil then
    ends = ends or core.now() + left - row.seconds
    history = { attempts = attempts, sent = 0, idempotent = idempotent or may_run_twice(state, exchange, options) }
    result, more = go_on(state, rt, exchange, method, more, history, ends, options, params, counts)
    if result == nil then
      -- What an earlier attempt left open is not closed by a later one that did nothing.
      if history.lost and more.executed == "no" then more.executed = "unknown" end
      counts.failures = counts.failures + 1
      more.request_id = exchange:id()
    elseif more.settled then
      counts.settled = counts.settled + 1
    end
  elseif policy.on_event then
    tell_attempt(state, exchange, method, result, more, { attempts = attempts, sent = 1 })
  end
  more.attempts = attempts
  if policy.on_event then tell_call(state, exchange, method, result, more, history and history.sent or 1) end
  exchange:close()
  return result, more
end

-- What may stand in an Idempotency-Key.
local function is_key(text)
  return type(text) == "string" and #text >= 1 and #text <= 255 and not text:find("[^ -~]")
end

--- Reads the options of `client:call`.
-- @tparam boolean v3 whether the address is of REST v3: only there a key keeps a write from running twice
-- @return[1] what `perform` takes as options, seconds until the deadline (nil: the client's)
-- @return[2] nil, message about an option
function _M.options(exchange, options, v3)
  if options == nil then return {} end
  if type(options) ~= "table" then return nil, "table expected, got " .. type(options) end
  for name, value in pairs(options) do
    local got = ", got " .. type(value)
    if name == "idempotent" then
      if type(value) ~= "boolean" then return nil, "option 'idempotent': boolean expected" .. got end
    elseif name == "deadline" then
      if type(value) ~= "number" or not (value > 0 and value <= 1000000) then
        return nil, "option 'deadline': a positive number of seconds expected"
          .. (type(value) == "number" and ", got " .. value or got)
      end
    elseif name == "idempotency_key" then
      if not is_key(value) then
        return nil, "option 'idempotency_key': a string of 1 to 255 printable ASCII characters expected" .. got
      end
      exchange:header("Idempotency-Key", value)
    else
      return nil, ("unknown option '%s'"):format(tostring(name))
    end
  end
  return { idempotent = options.idempotent or v3 and options.idempotency_key ~= nil }, options.deadline
end

return _M
