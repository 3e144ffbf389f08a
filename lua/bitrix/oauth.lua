--- OAuth 2.0: from an authorization code to tokens, and tokens that are renewed once for all who need it.
--
--    local b24 = bitrix.new{ oauth = {
--      client_id = "local.65f0", client_secret = secret, domain = "acme.bitrix24.com",
--      access_token = tokens.access_token, refresh_token = tokens.refresh_token, member_id = tokens.member_id,
--      store = require("bitrix.store.file").new("/var/lib/acme/tokens.json"),
--    } }
--
-- Waits only by a runtime; what may be followed when a portal moves is move.lua's to say.
-- @module bitrix.oauth
local core = require "bitrix.core"
local memory = require "bitrix.store.memory"
local move = require "bitrix.move"
local warn = require "bitrix.warn"

local _M = {}

local TOKEN_URL = "https://oauth.bitrix.info/oauth/token/"

-- The holder of a lock asks for tokens no longer than it surely has the lock.
local LOCK, REQUEST = 30, 20 -- seconds
local PAUSE_FIRST, PAUSE_MOST = 0.01, 0.2 -- seconds between two looks at a lock that another has
local SEEDS = 16 -- how many refresh tokens of options are remembered

-- What is kept of the token host's answer.
local KEPT = { "access_token", "refresh_token", "expires", "expires_in", "client_endpoint", "server_endpoint", "domain",
  "member_id", "scope", "status", "user_id" }

local function is_text(value) return type(value) == "string" and value ~= "" end

local function tokens_of(record)
  local tokens = {}
  for _, name in ipairs(KEPT) do tokens[name] = record[name] end
  return tokens
end

-- ---- options ----

local FIELDS = {
  client_id = "string", client_secret = "string", domain = "string", endpoint = "string", access_token = "string",
  refresh_token = "string", member_id = "string", key = "string", store = "table", token_url = "string",
  on_refresh = "function", refresh = "function",
}

--- The REST address of a portal.
-- @tparam string domain "acme.bitrix24.com", also with "https://" before it
-- @treturn string "https://acme.bitrix24.com/rest/"
local function endpoint_of(domain)
  local address = domain:find("://", 1, true) and domain or "https://" .. domain
  return (address:gsub("/+$", "")) .. "/rest/"
end

-- Without a portal's address: what the store says comes in its place before anything is sent.
local NOWHERE = "https://portal.invalid/rest/"

local function host_of(endpoint) return endpoint:match("^%a+://([^/]*)") or endpoint end

--- Reads the option `oauth`.
-- @tparam table given the option
-- @tparam[opt] table options all options of the client: `store` is a default
-- @treturn[1] table the fields checked, with `endpoint`, `key`, `store` and `token_url` filled in
-- @return[2] nil, message that names the field
function _M.check(given, options)
  if type(given) ~= "table" then return nil, "option 'oauth': table expected, got " .. type(given) end
  local config = {}
  for name, value in pairs(given) do
    local expected = FIELDS[name]
    -- A name is shown, redacted: a mistake may have put a secret there. A value never is.
    if not expected then return nil, ("option 'oauth': unknown field '%s'"):format(core.redact(tostring(name))) end
    if type(value) ~= expected or value == "" then
      return nil, ("option 'oauth': field '%s': %s expected, got %s"):format(name, expected, value == "" and "''" or type(value))
    end
    config[name] = value
  end
  config.store = config.store or options and options.store
  if config.domain and config.endpoint then return nil, "option 'oauth': either 'domain' or 'endpoint' expected, not both" end
  if config.domain and config.domain:find("[^%w.:/%-%[%]]") then
    return nil, "option 'oauth': field 'domain': a host's name expected, like acme.bitrix24.com"
  end
  if config.domain then config.endpoint = endpoint_of(config.domain) end
  local store = config.store
  if store and not (store.load and store.save and store.lock) then
    return nil, "option 'oauth': field 'store': a store expected: an object with load, save and lock"
  end
  if not config.endpoint and not (store and (config.member_id or config.key)) then
    return nil, "option 'oauth': field 'domain' or 'endpoint' expected (or 'store' with 'member_id')"
  end
  if not (config.access_token or store or config.refresh) then
    return nil, "option 'oauth': field 'access_token', 'store' or 'refresh' expected"
  end
  if (store or config.refresh_token) and not config.refresh then
    for _, name in ipairs{ "client_id", "client_secret" } do
      if not config[name] then return nil, ("option 'oauth': field '%s': string expected, got nil"):format(name) end
    end
  end
  config.token_url = config.token_url or TOKEN_URL
  -- One authorization, one key: two clients with the same key share their tokens.
  config.key = config.key or ("%s:%s"):format(config.client_id or "", config.member_id or host_of(config.endpoint))
  config.store = store or memory.new()
  return config
end

--- What bitrix.core's session is to know of it, as its option `oauth`.
function _M.session_option(config)
  return { endpoint = config.endpoint or NOWHERE, client_secret = config.client_secret,
    access_token = config.access_token, refresh_token = config.refresh_token }
end

-- ---- failures ----

-- A failure as it is kept and told to others: no error object, each who is told gets their own.
local function kept_failure(err, refresh_token)
  return {
    id = core.random(8), kind = err.kind, reason = err.reason, message = err.message, code = err.code, status = err.status,
    -- For good: asking again with this refresh token comes to the same.
    final_for = err.reason == "invalid_grant" and refresh_token or nil,
  }
end

local function failure(exchange, kept)
  local err = exchange:failure{ kind = kept.kind, reason = kept.reason, executed = "no", message = kept.message or "" }
  err.message = kept.message and err.message
  err.code, err.status, err.phase = kept.code, kept.status, "refresh"
  return err
end

local function own_failure(reason, message) return { kind = "auth", reason = reason, message = message } end

local function store_failure(problem) return own_failure("store", "the store of tokens failed: " .. tostring(problem)) end

local LATE = { kind = "timeout", reason = "deadline", message = "the deadline passed while the access token was renewed" }

-- ---- asking the token host ----

-- @return what it answers, checked; or nil, kept failure
local function ask(rt, session, address, fields, seconds, member_id)
  local form, problem = session:form(address, fields)
  if not form then return nil, own_failure("token_url", "the token host's address: " .. problem) end
  rt.exchange(form, seconds)
  local answer, err = form:result()
  form:close()
  if answer == nil then return nil, kept_failure(err, fields.refresh_token) end
  if not is_text(answer.access_token) then
    return nil, { id = core.random(8), kind = "protocol", reason = "bad_shape", message = "the token host's answer has no access_token" }
  end
  if member_id and answer.member_id ~= nil and answer.member_id ~= member_id then
    return nil, { id = core.random(8), kind = "auth", reason = "wrong_portal", message = "the tokens are another portal's (member_id)" }
  end
  return answer
end

-- ---- the tokens of a client ----

--- Makes what keeps a client's tokens.
-- @tparam table config from `check`
-- @param session bitrix.core's
-- @treturn table `current`, `renew`, `ready`; its fields hold no secret
function _M.tokens(config, session)
  local store, key = config.store, config.key
  local seed = config.access_token and { access_token = config.access_token, refresh_token = config.refresh_token } or nil
  local current  -- the record in use
  local unsaved  -- a record that the store did not take yet
  local loaded = false
  local flight   -- the renewal under way in this Lua state, or the last one: { ends, done, failure }
  local self = {}

  local function use(record)
    current = record
    return session:set_token(record.access_token, record.refresh_token)
  end

  local function is_dead(record)
    return record.failure ~= nil and record.failure.final_for ~= nil and record.failure.final_for == record.refresh_token
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
    if saved and not is_text(saved.access_token) then saved = nil end
    local record = saved
    if seed and (not saved or is_dead(saved) and seed.refresh_token and not was_seed(saved)) then
      local seeds = saved and saved.seeds or {}
      if #seeds >= SEEDS then table.remove(seeds, 1) end
      seeds[#seeds + 1] = seed.refresh_token
      record = { access_token = seed.access_token, refresh_token = seed.refresh_token, member_id = config.member_id, seeds = seeds }
    end
    if record and (not current or record.access_token ~= current.access_token) then
      local ok, problem = use(record)
      if not ok then return nil, own_failure("bad_token", problem) end
    elseif record then
      current = record
    end
    return true
  end

  -- Tokens are saved before they are used. A store that fails must not cost those that were given out once.
  local function save(record)
    unsaved = record
    local saved, problem = store:save(key, record)
    if not saved then return nil, store_failure(problem) end
    unsaved = nil
    return use(record)
  end

  local function tell(record)
    if not config.on_refresh then return end
    local ok, problem = pcall(config.on_refresh, tokens_of(record))
    if not ok then warn("on_refresh", "on_refresh failed: " .. core.redact(tostring(problem))) end
  end

  -- The application's own way to new tokens.
  local function ask_application()
    local ok, answer, problem = pcall(config.refresh, current and tokens_of(current) or {})
    if not ok then answer, problem = nil, answer end
    if is_text(answer) then answer = { access_token = answer } end
    if type(answer) == "table" and is_text(answer.access_token) then return answer end
    local shown = type(problem) == "table" and problem.message or problem or "no access_token came back"
    return nil, { id = core.random(8), kind = "auth", reason = "refresh_failed", message = "refresh: " .. core.redact(tostring(shown)) }
  end

  -- Under the lock, with `saved` read under it: new tokens, saved; or nil, kept failure.
  local function renew_now(rt, saved, ends)
    local started = core.now()
    local old = current or {}
    local answer, failed
    if config.refresh then
      answer, failed = ask_application()
    else
      answer, failed = ask(rt, session, config.token_url, {
        grant_type = "refresh_token", client_id = config.client_id, client_secret = config.client_secret,
        refresh_token = old.refresh_token,
      }, math.min(REQUEST, math.max(ends - started, 0)), config.member_id)
    end
    if core.now() - started > LOCK then
      -- The lock was another's in the meantime: what it has saved is newer.
      saved = store:load(key)
      if saved and saved.access_token ~= old.access_token and not is_dead(saved) then return adopt(saved) end
    end
    if not answer then
      local record = saved or current or {}
      record.failure = failed
      store:save(key, record) -- told to those who wait; whether it arrives changes nothing for us
      if current then current.failure = failed end
      return nil, failed
    end
    local record = tokens_of(answer)
    record.refresh_token = record.refresh_token or old.refresh_token
    record.member_id = record.member_id or config.member_id
    record.seeds = old.seeds
    local ok, problem = save(record)
    if not ok then return nil, type(problem) == "table" and problem or own_failure("bad_token", problem) end
    return true, record
  end

  -- What another process has come to since: true, tokens to use; false, a failure; nil: nothing.
  local function news(saved, used, seen)
    if not saved then return nil end
    if is_text(saved.access_token) and saved.access_token ~= used and not is_dead(saved) then
      local ok, problem = adopt(saved)
      if not ok then return false, problem end
      return true
    end
    if is_dead(saved) then
      if not adopt(saved) or current.access_token == used then return false, saved.failure end
      return true
    end
    if saved.failure and seen ~= nil and saved.failure.id ~= seen then return false, saved.failure end
    return nil
  end

  -- One process of all that share the store. The same outcomes as `news`.
  local function renew_alone(rt, used, ends)
    local saved, problem = store:load(key)
    if problem then return false, store_failure(problem) end
    local outcome, failed = news(saved, used)
    local seen = saved and saved.failure and saved.failure.id or ""
    local pause = PAUSE_FIRST
    while outcome == nil do
      local unlock, why = store:lock(key, LOCK)
      if not unlock and why ~= "locked" then return false, store_failure(why) end
      if not unlock then
        local left = ends - core.now()
        if left <= 0 then return false, LATE end
        rt.sleep(math.min(pause, left))
        pause = math.min(2 * pause, PAUSE_MOST)
      end
      saved, problem = store:load(key)
      if problem then
        outcome, failed = false, store_failure(problem)
      else
        outcome, failed = news(saved, used, seen)
      end
      local record
      if unlock and outcome == nil then
        outcome, record = renew_now(rt, saved, ends)
        if not outcome then outcome, failed = false, record end
      end
      if unlock then unlock() end
      if type(record) == "table" and outcome then tell(record) end
    end
    return outcome, failed
  end

  local function can_renew() return config.refresh ~= nil or config.client_id ~= nil and current ~= nil and is_text(current.refresh_token) end

  -- Waits for the renewal that another coroutine is at. nil: there is none (any more).
  local function wait_for_flight(rt, ends)
    local theirs, pause = flight, PAUSE_FIRST
    if not theirs or theirs.done then return nil end
    while not theirs.done do
      local now = core.now()
      if now >= theirs.ends then return nil end -- its coroutine was abandoned
      if now >= ends then return false, LATE end
      rt.sleep(math.min(pause, ends - now))
      pause = math.min(2 * pause, PAUSE_MOST)
    end
    if theirs.failure then return false, theirs.failure end
    return true
  end

  --- Renews the tokens, once for all who ask with the same access token.
  -- @param exchange the call that needs it; errors are about it
  -- @tparam table rt the runtime
  -- @tparam ?string used the access token that was refused
  -- @tparam number left seconds until the deadline
  -- @treturn[1] boolean true: there are others
  -- @return[2] nil, error object
  -- @return[3] nil: there is no way to renew them
  function self:renew(exchange, rt, used, left) -- luacheck: ignore self
    local ends = core.now() + left
    if current and current.access_token ~= used then return true end
    local outcome, failed = wait_for_flight(rt, ends)
    if outcome == nil then
      if current and current.access_token ~= used then return true end
      if not can_renew() then return nil end
      local mine = { ends = core.now() + LOCK, done = false }
      flight = mine
      outcome, failed = renew_alone(rt, used, ends)
      mine.done, mine.failure = true, failed
      -- That one caller was in a hurry is nothing to the others.
      if failed == LATE then mine.failure = nil end
    end
    if outcome then return true end
    return nil, failure(exchange, failed)
  end

  --- Looks whether another process has saved other tokens than those that were refused.
  -- @return true: there are; nil: no; nil, error object
  function self:reload(exchange, used) -- luacheck: ignore self
    if current and current.access_token ~= used then return true end
    local saved, problem = store:load(key)
    if problem then return nil, failure(exchange, store_failure(problem)) end
    if news(saved, used) == true then return true end
    return nil
  end

  --- Sees to it that there are tokens to call with.
  -- @return true; or nil, error object
  function self:ready(exchange, rt, left)
    if unsaved then
      local ok, problem = save(unsaved)
      if not ok then return nil, failure(exchange, problem) end
    end
    if loaded and current then return true end
    local saved, problem = store:load(key)
    if problem then return nil, failure(exchange, store_failure(problem)) end
    local ok, bad = adopt(saved)
    if not ok then return nil, failure(exchange, bad) end
    loaded = true
    if not current and config.refresh then
      local renewed, err = self:renew(exchange, rt, nil, left)
      if not renewed then return nil, err end
    end
    if not current then
      return nil, failure(exchange, own_failure("no_tokens", "there are no tokens of this portal yet: exchange an authorization code"))
    end
    if not config.endpoint then
      local moved, why = session:move(current.client_endpoint or "")
      if not moved then
        current = nil
        return nil, failure(exchange, own_failure("no_tokens", "the store does not say where the portal is: client_endpoint: " .. why))
      end
    end
    return true
  end

  --- The tokens in use.
  -- @treturn ?table a copy: access_token, refresh_token, expires, ...; secrets
  function self:current() -- luacheck: ignore self
    return current and tokens_of(current)
  end

  return self
end

-- ---- what call.lua asks ----

local renewed = setmetatable({}, { __mode = "k" }) -- the calls under way that were renewed for

--- Before a call's first attempt: what it is sent with.
-- @tparam table state a client's: `session`, `move`, `tokens` (with OAuth)
-- @param exchange the call
-- @tparam table rt the runtime
-- @tparam number left seconds until the deadline
-- @return[1] true
-- @return[2] nil, error object
function _M.before(state, exchange, rt, left)
  if state.tokens then
    local ok, err = state.tokens:ready(exchange, rt, left)
    if not ok then return nil, err end
  end
  local problem = move.recall(state)
  if problem then return nil, failure(exchange, store_failure(problem)) end
  return true
end

--- After a failed attempt: whether to send the exchange again at once, with another token or to another place. Each call is
-- renewed for once.
-- @tparam table state a client's: `session`, `move`, `tokens` (with OAuth)
-- @param exchange the call
-- @tparam table err its error object; the reason why a redirect was not followed is added to its message
-- @tparam table rt the runtime
-- @tparam number left seconds until the deadline
-- @return[1] "again"
-- @return[2] nil: the failure stands
-- @return[3] nil, error object in place of the failure
function _M.after_failure(state, exchange, err, rt, left)
  if err.reason == "redirect_refused" and err.executed == "no" and err.redirect and state.move then
    local followed, why = move.follow(state, exchange, err.redirect)
    if followed then return "again" end
    err.message = ("%s: %s"):format(err.message, why)
    return nil
  end
  if not state.tokens or renewed[exchange] then return nil end
  local ok, problem
  if err.reason == "expired_token" then
    ok, problem = state.tokens:renew(exchange, rt, exchange:token(), left)
  elseif err.reason == "invalid_token" then
    -- Not a reason to ask for new ones; but another process may have done so.
    ok, problem = state.tokens:reload(exchange, exchange:token())
  else
    return nil
  end
  renewed[exchange] = true
  if ok then return "again" end
  return nil, problem
end

-- ---- before there is a client ----

local EXCHANGE = { client_id = true, client_secret = true, code = true, refresh_token = true, token_url = true, store = true,
  member_id = true, key = true }

-- The options of bitrix.core's session for a request to the token host.
local function session_options(options)
  local given = { oauth = { endpoint = NOWHERE, client_secret = options.client_secret } }
  for name, value in pairs(options) do
    if not EXCHANGE[name] then given[name] = value end
  end
  return given
end

local function bad(name, message) error(("bad argument #1 to '%s' (%s)"):format(name, message), 4) end

local function check_table(name, options)
  if type(options) ~= "table" then bad(name, "table expected, got " .. type(options)) end
end

local function check_texts(name, options, names)
  for _, field in ipairs(names) do
    if not is_text(options[field]) then bad(name, ("field '%s': string expected, got %s"):format(field, type(options[field]))) end
  end
end

-- @return tokens, info; or nil, error object; a mistake of the program is raised two levels up
local function exchange(options)
  check_table("exchange", options)
  check_texts("exchange", options, { "client_id", "client_secret", options.refresh_token and "refresh_token" or "code" })
  if options.code and options.refresh_token then bad("exchange", "either 'code' or 'refresh_token' expected, not both") end
  local address = options.token_url or TOKEN_URL
  local session, deadline = core.session(session_options(options))
  if not session then bad("exchange", deadline) end
  local form, problem = session:form(address, {
    grant_type = options.code and "authorization_code" or "refresh_token", client_id = options.client_id,
    client_secret = options.client_secret, code = options.code, refresh_token = options.refresh_token,
  })
  if not form then bad("exchange", "field 'token_url': " .. problem) end
  local rt, obstacle = _M.runtime()
  if not rt then error(obstacle, 3) end
  rt.exchange(form, type(deadline) == "table" and deadline.deadline or deadline)
  local answer, more, attempt = form:result()
  attempt.waited = 0
  more.attempts = { attempt }
  local err
  if answer == nil then
    err = more
  elseif not is_text(answer.access_token) then
    err = form:failure{ kind = "protocol", reason = "bad_shape", executed = "unknown",
      message = "the token host's answer has no access_token" }
  elseif options.member_id and answer.member_id ~= options.member_id then
    err = form:failure{ kind = "auth", reason = "wrong_portal", executed = "no",
      message = "the tokens are another portal's (member_id)" }
  elseif options.store then
    local key = options.key or ("%s:%s"):format(options.client_id, answer.member_id or host_of(answer.client_endpoint or ""))
    local saved, trouble = options.store:save(key, tokens_of(answer))
    if not saved then
      err = form:failure{ kind = "auth", reason = "store", executed = "no",
        message = "the store of tokens failed: " .. tostring(trouble) }
    end
  end
  form:close()
  session:close()
  if err then
    err.attempts = more.attempts
    return nil, err
  end
  return tokens_of(answer), more
end

local function authorize_url(options)
  check_table("authorize_url", options)
  check_texts("authorize_url", options, { "client_id", options.endpoint and "endpoint" or "domain" })
  if options.state ~= nil then check_texts("authorize_url", options, { "state" }) end
  local endpoint = options.endpoint or endpoint_of(options.domain)
  local root = endpoint:match("^(https?://.*/)rest/$") or endpoint:match("^(https?://.*/)rest/api/$")
  if not root or endpoint:find("[%s?#@]") then bad("authorize_url", "the portal's address expected, like acme.bitrix24.com") end
  local function escape(text)
    return (text:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
  end
  local state = options.state or core.random(16)
  return ("%soauth/authorize/?client_id=%s&state=%s"):format(root, escape(options.client_id), escape(state)), state
end

--- The runtime to wait by; replaced where another is to be used.
function _M.runtime() return require("bitrix.runtime").current() end

--- The functions of a face.
-- @tparam function finish the face's: what it does with an outcome
-- @treturn table
function _M.face(finish)
  local face = {}

  --- Turns an authorization code into tokens. Secrets go in a form, never in an address.
  -- @function exchange
  -- @tparam table options
  -- @tparam string options.client_id
  -- @tparam string options.client_secret
  -- @tparam string options.code what came to the application's address behind `code=`; it works once, for half a minute
  -- @tparam[opt] string options.refresh_token in place of `code`: to see whether tokens that somebody sent are real
  -- @tparam[opt] string options.member_id whose tokens they must be; others are the error `wrong_portal`
  -- @tparam[opt] table options.store where to save them, under the key of a client with the same `client_id` and `member_id`
  -- @tparam[opt] string options.key the key to save them under
  -- @tparam[opt] string options.token_url the token host's address (https://oauth.bitrix.info/oauth/token/)
  -- @param[opt] options.timeout and the other options of `bitrix.new` about a connection
  -- @treturn table tokens: `access_token`, `refresh_token`, `expires_in` (seconds), `member_id`, `client_endpoint`, ...
  -- @treturn table info, as for `call`
  -- @raise an error object of kind "auth" with the reason `invalid_grant`, `invalid_client`, ...; a string when an argument is wrong
  function face.exchange(options)
    if options == face then error("bad call of 'exchange': write bitrix.oauth.exchange{...}, with a dot", 2) end
    return finish(exchange(options))
  end

  --- The address to send a user to, who then comes back with a code.
  -- @function authorize_url
  -- @tparam table options
  -- @tparam string options.client_id
  -- @tparam string options.domain of the portal, acme.bitrix24.com; or `endpoint`, https://acme.bitrix24.com/rest/
  -- @tparam[opt] string options.state comes back beside the code; compare it with `core.equal`; default: 32 random digits
  -- @treturn string the address
  -- @treturn string the state
  function face.authorize_url(options)
    if options == face then error("bad call of 'authorize_url': write bitrix.oauth.authorize_url{...}, with a dot", 2) end
    return authorize_url(options)
  end

  return face
end

return _M
