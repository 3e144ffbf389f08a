--- The tokens of one client: used until the portal says that they have expired, then renewed once for all who need it.
--
-- Within this Lua state one coroutine renews and the others wait; of all processes that share a store, the one that
-- has its lock. New tokens are saved before they are used. What went wrong is saved as well, so that those who
-- waited need not ask. Waits only by a runtime.
local core = require "bitrix.core"
local warn = require "bitrix.warn"

local _M = {}

-- The holder of a lock asks for tokens no longer than it surely has the lock.
local LOCK, REQUEST = 30, 20 -- seconds
local PAUSE_FIRST, PAUSE_MOST = 0.01, 0.2 -- seconds between two looks at what somebody else is at
local SEEDS = 16 -- how many refresh tokens of options are remembered

-- What is kept of the token host's answer.
local KEPT = {
  "access_token", "refresh_token", "expires", "expires_in", "client_endpoint", "server_endpoint", "domain", "member_id",
  "scope", "status", "user_id",
}

--- Whether a value is a string with something in it.
function _M.is_text(value) return type(value) == "string" and value ~= "" end

local is_text = _M.is_text

--- A copy with what is known of tokens.
function _M.copy(record)
  local tokens = {}
  for _, name in ipairs(KEPT) do tokens[name] = record[name] end
  return tokens
end

-- ---- failures: plain tables; each who is told of one gets an error object of their own ----

local function failed(kind, reason, message)
  return { id = core.random(8), kind = kind, reason = reason, message = message }
end

local function failed_store(problem)
  return failed("auth", "store", "the store of tokens failed: " .. tostring(problem))
end

local function is_late(failure) return failure ~= nil and failure.reason == "deadline" end

local function too_late()
  return failed("timeout", "deadline", "the deadline passed while the access token was renewed")
end

local function from_error(err, refresh_token)
  local failure = failed(err.kind, err.reason, err.message)
  failure.code, failure.status = err.code, err.status
  -- For good: asking again with this refresh token comes to the same.
  failure.final_for = err.reason == "invalid_grant" and refresh_token or nil
  return failure
end

-- Whether the record's refresh token was refused for good.
local function is_dead(record)
  local final_for = record.failure and record.failure.final_for
  return final_for ~= nil and final_for == record.refresh_token
end

--- Asks the token host.
-- @tparam table rt the runtime
-- @param session bitrix.core's
-- @tparam string address
-- @tparam table fields of the form
-- @tparam ?number seconds it may take
-- @tparam ?string member_id whose tokens they must be
-- @treturn[1] table what it answers, with an access_token
-- @return[2] nil, failure
-- @return also its attempt, where there was one
function _M.ask(rt, session, address, fields, seconds, member_id)
  local form, problem = session:form(address, fields)
  if not form then return nil, failed("auth", "token_url", "the token host's address: " .. problem) end
  rt.exchange(form, seconds)
  local answer, more, attempt = form:result()
  form:close()
  if answer == nil then return nil, from_error(more, fields.refresh_token), attempt, more end
  if not is_text(answer.access_token) then
    return nil, failed("protocol", "bad_shape", "the token host's answer has no access_token"), attempt
  end
  if member_id and answer.member_id ~= member_id then
    return nil, failed("auth", "wrong_portal", "these are another portal's tokens: not of this member_id"), attempt
  end
  return answer, more, attempt
end

--- An error object of a failure. The call was not executed: it was refused, or not sent.
function _M.error(session, method, failure)
  return session:failure(method, {
    kind = failure.kind, reason = failure.reason, executed = "no", message = failure.message, code = failure.code,
    status = failure.status,
  })
end

-- ---- the tokens of a client ----

--- Makes what keeps a client's tokens.
-- @tparam table config from oauth.lua's `check`
-- @tparam table state the client's: `session`; `on_place` is called when the portal turns out to be elsewhere
-- @treturn table `current`, `ready`, `renew`, `reload`. What is secret is in upvalues: a table that is printed with all
-- that is in it shows none
function _M.new(config, state)
  local store, key, session = config.store, config.key, state.session
  local seed -- what the options say
  if config.access_token then seed = { access_token = config.access_token, refresh_token = config.refresh_token } end
  local current  -- the record in use
  local unsaved  -- a record that the store did not take yet
  local loaded = false
  local flight   -- the renewal under way in this Lua state, or the last one: { ends, done, failure }
  local tokens = {}

  local function use(record)
    current = record
    local ok, problem = session:set_token(record.access_token, record.refresh_token)
    if not ok then return nil, failed("auth", "bad_token", problem) end
    return true
  end

  local function was_seed(record)
    for _, token in ipairs(record.seeds or {}) do
      if token == seed.refresh_token then return true end
    end
    return false
  end

  -- Takes what is saved, or what the options say: these only where nothing is saved that works, and only once, because
  -- they are old as soon as the store has been written.
  local function adopt(saved)
    local record = saved and is_text(saved.access_token) and saved or nil
    if seed and (not record or is_dead(record) and seed.refresh_token and not was_seed(record)) then
      local seeds = record and record.seeds or {}
      if #seeds >= SEEDS then table.remove(seeds, 1) end
      seeds[#seeds + 1] = seed.refresh_token
      record = {
        access_token = seed.access_token, refresh_token = seed.refresh_token, member_id = config.member_id,
        seeds = seeds,
      }
    end
    if not record then return true end
    if current and record.access_token == current.access_token then
      current = record
      return true
    end
    return use(record)
  end

  -- Tokens are saved before they are used. A store that fails must not cost those that are given out only once.
  local function save(record)
    unsaved = record
    local saved, problem = store:save(key, record)
    if not saved then return nil, failed_store(problem) end
    unsaved = nil
    return use(record)
  end

  local function tell(record)
    if not config.on_refresh then return end
    local ok, problem = pcall(config.on_refresh, _M.copy(record))
    -- A listener that fails must not cost the caller the outcome of a call.
    if not ok then warn("on_refresh", "on_refresh failed: " .. core.redact(tostring(problem))) end
  end

  -- The application's own way to new tokens.
  local function ask_application()
    local ok, answer, problem = pcall(config.refresh, current and _M.copy(current) or {})
    if not ok then answer, problem = nil, answer end
    if is_text(answer) then answer = { access_token = answer } end
    if type(answer) == "table" and is_text(answer.access_token) then return answer end
    local shown = type(problem) == "table" and problem.message or problem or "it returned no access_token"
    return nil, failed("auth", "refresh_failed", "refresh: " .. core.redact(tostring(shown)))
  end

  local function ask_token_host(rt, refresh_token, seconds)
    return _M.ask(rt, session, config.token_url, {
      grant_type = "refresh_token", client_id = config.client_id, client_secret = config.client_secret,
      refresh_token = refresh_token,
    }, seconds, config.member_id)
  end

  -- Under the lock, with `saved` read under it: true, record; or false, failure.
  local function renew_now(rt, saved, ends)
    local started, old = core.now(), current or {}
    local answer, failure
    if config.refresh then
      answer, failure = ask_application()
    else
      answer, failure = ask_token_host(rt, old.refresh_token, math.max(math.min(REQUEST, ends - started), 0))
    end
    if core.now() - started > LOCK then
      -- The lock was another's in the meantime: what it has saved is newer.
      local newer = store:load(key)
      if newer and newer.access_token ~= old.access_token and not is_dead(newer) and adopt(newer) then return true end
    end
    if not answer then
      if is_late(failure) then return false, failure end
      local record = saved and saved.refresh_token == old.refresh_token and saved or current or {}
      record.failure = failure
      store:save(key, record) -- told to those who wait; whether it arrives changes nothing for this call
      return false, failure
    end
    local record = _M.copy(answer)
    record.refresh_token = record.refresh_token or old.refresh_token
    record.member_id = record.member_id or config.member_id
    record.seeds = old.seeds
    local ok, problem = save(record)
    if not ok then return false, problem end
    return true, record
  end

  -- What another process has come to since: true: there are other tokens; false, failure; nil: nothing.
  -- seen: the id of the failure that was there before we waited.
  local function news(saved, used, seen)
    if not saved then return nil end
    if is_dead(saved) then
      local ok, problem = adopt(saved)
      if not ok then return false, problem end
      if current.access_token ~= used then return true end
      -- Not the dead one but the options', which nobody has tried.
      if current.refresh_token ~= saved.refresh_token then return nil end
      return false, saved.failure
    end
    if is_text(saved.access_token) and saved.access_token ~= used then
      local ok, problem = adopt(saved)
      if not ok then return false, problem end
      return true
    end
    if saved.failure and seen ~= nil and saved.failure.id ~= seen then return false, saved.failure end
    return nil
  end

  -- One process of all that share the store.
  -- @return true, the record if it was us who renewed; or false, failure
  local function renew_alone(rt, used, ends)
    local saved, problem = store:load(key)
    if problem then return false, failed_store(problem) end
    local outcome, more = news(saved, used)
    local seen = saved and saved.failure and saved.failure.id or ""
    local pause = PAUSE_FIRST
    while outcome == nil do
      local unlock, why = store:lock(key, LOCK)
      if not unlock then
        if why ~= "locked" then return false, failed_store(why) end
        local left = ends - core.now()
        if left <= 0 then return false, too_late() end
        rt.sleep(math.min(pause, left))
        pause = math.min(2 * pause, PAUSE_MOST)
      end
      saved, problem = store:load(key)
      if problem then
        outcome, more = false, failed_store(problem)
      else
        outcome, more = news(saved, used, seen)
      end
      if unlock then
        if outcome == nil then outcome, more = renew_now(rt, saved, ends) end
        unlock()
      end
    end
    return outcome, more
  end

  local function can_renew()
    return config.refresh ~= nil or config.client_secret ~= nil and current ~= nil and is_text(current.refresh_token)
  end

  -- Waits for the renewal that another coroutine is at.
  -- @return true: it is over, well or not at all; false, failure; nil: nobody is at it
  local function wait_for_flight(rt, ends)
    local theirs, pause = flight, PAUSE_FIRST
    if not theirs or theirs.done then return nil end
    while not theirs.done do
      local now = core.now()
      if now >= theirs.ends then return nil end -- its coroutine was abandoned
      if now >= ends then return false, too_late() end
      rt.sleep(math.min(pause, ends - now))
      pause = math.min(2 * pause, PAUSE_MOST)
    end
    -- That one caller was in a hurry is nothing to the others.
    if theirs.failure and not is_late(theirs.failure) then return false, theirs.failure end
    return true
  end

  local function error_of(exchange, failure, phase)
    local err = _M.error(session, exchange:method(), failure)
    err.phase = phase
    return err
  end

  --- Renews the tokens, once for all who ask with the same access token.
  -- @param exchange the call that needs it: an error is about this call
  -- @tparam table rt the runtime
  -- @tparam ?string used the access token that was refused
  -- @tparam number left seconds until the deadline
  -- @treturn[1] boolean true: there are others
  -- @return[2] nil, error object, with `phase = "refresh"`
  -- @return[3] nil: there is no way to renew them
  function tokens:renew(exchange, rt, used, left) -- luacheck: ignore self
    local ends = core.now() + left
    repeat
      if current and current.access_token ~= used then return true end
      local outcome, failure = wait_for_flight(rt, ends)
      if outcome == false then return nil, error_of(exchange, failure, "refresh") end
    until outcome == nil
    if not can_renew() then return nil end
    local mine = { ends = core.now() + LOCK, done = false }
    flight = mine
    local outcome, more = renew_alone(rt, used, ends)
    mine.done = true
    if outcome then
      if more then tell(more) end
      return true
    end
    mine.failure = more
    return nil, error_of(exchange, more, "refresh")
  end

  --- Looks whether another process has saved other tokens than those that were refused.
  -- @return[1] true
  -- @return[2] nil
  -- @return[3] nil, error object
  function tokens:reload(exchange, used) -- luacheck: ignore self
    if current and current.access_token ~= used then return true end
    local saved, problem = store:load(key)
    if problem then return nil, error_of(exchange, failed_store(problem)) end
    return news(saved, used) or nil
  end

  --- Sees to it that there are tokens to call with.
  -- @return[1] true
  -- @return[2] nil, error object
  function tokens:ready(exchange, rt, left)
    if unsaved then
      local ok, failure = save(unsaved)
      if not ok then return nil, error_of(exchange, failure) end
    end
    if loaded and current then return true end
    local saved, problem = store:load(key)
    if problem then return nil, error_of(exchange, failed_store(problem)) end
    local ok, failure = adopt(saved)
    if not ok then return nil, error_of(exchange, failure) end
    loaded = true
    if not current and config.refresh then
      local renewed, err = self:renew(exchange, rt, nil, left)
      if not renewed then return nil, err end
    end
    if not current then
      return nil, error_of(exchange, failed("auth", "no_tokens",
        "there are no tokens for this portal yet: exchange an authorization code"))
    end
    if not config.endpoint then
      local moved, why = session:move(current.client_endpoint or "")
      if not moved then
        current = nil
        return nil, error_of(exchange, failed("auth", "no_tokens",
          "the saved tokens do not say where the portal is: " .. why))
      end
      state.on_place()
    end
    return true
  end

  --- The tokens in use.
  -- @treturn ?table a copy: access_token, refresh_token, expires, ...; secrets
  function tokens:current() -- luacheck: ignore self
    return current and _M.copy(current)
  end

  return tokens
end

return _M
