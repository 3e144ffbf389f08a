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
local runtime = require "bitrix.runtime"
local tokens = require "bitrix.tokens"

local _M = {}

local TOKEN_URL = "https://oauth.bitrix.info/oauth/token/"

local is_text = tokens.is_text

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

-- One authorization, one key: clients with the same key share their tokens.
local function key_of(client_id, member_id, endpoint, key)
  return key or ("%s:%s"):format(client_id or "", member_id or (endpoint or ""):match("^%a+://([^/]*)") or "")
end

local function is_store(value)
  return type(value) == "table" and value.load ~= nil and value.save ~= nil and value.lock ~= nil
end

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
      local got = value == "" and "''" or type(value)
      return nil, ("option 'oauth': field '%s': %s expected, got %s"):format(name, expected, got)
    end
    config[name] = value
  end
  config.store = config.store or options and options.store
  if config.domain and config.endpoint then
    return nil, "option 'oauth': either 'domain' or 'endpoint' expected, not both"
  end
  if config.domain and config.domain:find("[^%w.:/%-%[%]]") then
    return nil, "option 'oauth': field 'domain': a host's name expected, like acme.bitrix24.com"
  end
  if config.domain then config.endpoint = endpoint_of(config.domain) end
  local store = config.store
  if store and not is_store(store) then
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
  config.key = key_of(config.client_id, config.member_id, config.endpoint, config.key)
  config.store = store or memory.new()
  return config
end

--- A client's options with what bitrix.core's session is to know in place of the option `oauth`.
-- @tparam table options
-- @tparam table config from `check`
-- @treturn table a copy
function _M.with_session(options, config)
  local copy = {}
  for name, value in pairs(options) do copy[name] = value end
  copy.oauth = {
    endpoint = config.endpoint or NOWHERE, client_secret = config.client_secret, access_token = config.access_token,
    refresh_token = config.refresh_token,
  }
  return copy
end

-- What is wrong with the token host's address, or nil.
local function wrong_token_url(session, address)
  local form, problem = session:form(address, {})
  if not form then return "field 'token_url': " .. problem end
  form:close()
end

--- What is wrong with the token host's address of a config.
-- @treturn ?string message that names the field
function _M.check_address(config, session)
  local wrong = wrong_token_url(session, config.token_url)
  return wrong and "option 'oauth': " .. wrong
end

--- Makes what keeps a client's tokens, see tokens.lua.
_M.tokens = tokens.new

-- ---- what call.lua asks ----

-- What was done for the calls under way: "renewed", "reloaded".
local done = setmetatable({}, { __mode = "k" })

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
  if not problem then return true end
  return nil, state.session:failure(exchange:method(), { kind = "auth", reason = "store", executed = "no",
    message = "the store of the portal's address failed: " .. tostring(problem) })
end

--- After a failed attempt: whether to send the exchange again at once, with another token or to another place. Each
-- call is renewed for once.
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
  local was = done[exchange]
  if not state.tokens or was == "renewed" then return nil end
  local ok, problem
  if err.reason == "expired_token" then
    done[exchange] = "renewed"
    ok, problem = state.tokens:renew(exchange, rt, exchange:token(), left)
  elseif err.reason == "invalid_token" and not was then
    -- Not a reason to ask for new ones; but another process may have done so.
    done[exchange] = "reloaded"
    ok, problem = state.tokens:reload(exchange, exchange:token())
  end
  if ok then return "again" end
  return nil, problem
end

-- ---- before there is a client ----

local EXCHANGE = {
  client_id = true, client_secret = true, code = true, refresh_token = true, token_url = true, store = true,
  member_id = true, key = true,
}

-- The options of bitrix.core's session for a request to the token host.
local function session_options(options)
  local given = { oauth = { endpoint = NOWHERE, client_secret = options.client_secret } }
  for name, value in pairs(options) do
    if not EXCHANGE[name] then given[name] = value end
  end
  return given
end

-- What is wrong with the options, or nil.
local function wrong_texts(options, names)
  for _, field in ipairs(names) do
    local value = options[field]
    if not is_text(value) then return ("field '%s': string expected, got %s"):format(field, type(value)) end
  end
end

local function wrong_exchange(options)
  if type(options) ~= "table" then return "table expected, got " .. type(options) end
  if options.code and options.refresh_token then return "either 'code' or 'refresh_token' expected, not both" end
  if options.store ~= nil and not is_store(options.store) then return "field 'store': a store expected" end
  return wrong_texts(options, { "client_id", "client_secret", options.refresh_token and "refresh_token" or "code" })
end

-- @return[1] tokens, info
-- @return[2] nil, error object
-- @return[3] nil, message about a mistake of the program
local function exchange(options)
  local wrong = wrong_exchange(options)
  if wrong then return nil, "bad argument #1 to 'exchange' (" .. wrong .. ")" end
  local store = options.store
  local session, deadline = core.session(session_options(options))
  if not session then return nil, "bad argument #1 to 'exchange' (" .. deadline .. ")" end
  wrong = wrong_token_url(session, options.token_url or TOKEN_URL)
  if wrong then return nil, "bad argument #1 to 'exchange' (" .. wrong .. ")" end
  local rt, obstacle = runtime.current()
  if not rt then return nil, obstacle end
  local answer, more, attempt, err = tokens.ask(rt, session, options.token_url or TOKEN_URL, {
    grant_type = options.code and "authorization_code" or "refresh_token", client_id = options.client_id,
    client_secret = options.client_secret, code = options.code, refresh_token = options.refresh_token,
  }, deadline, options.member_id)
  if answer and store then
    local key = key_of(options.client_id, options.member_id or answer.member_id, answer.client_endpoint, options.key)
    local saved, problem = store:save(key, tokens.copy(answer))
    if not saved then
      answer = nil
      more = { kind = "auth", reason = "store", message = "the store of tokens failed: " .. tostring(problem) }
    end
  end
  if not answer then err = err or tokens.error(session, "oauth.token", more) end
  session:close()
  if attempt then attempt.waited = 0 end
  if err then
    err.attempts = { attempt }
    return nil, err
  end
  more.attempts = { attempt }
  return tokens.copy(answer), more
end

-- @return[1] address, state
-- @return[2] nil, message about a mistake of the program
local function authorize_url(options)
  if type(options) ~= "table" then return nil, "table expected, got " .. type(options) end
  local wrong = wrong_texts(options, { "client_id", options.endpoint and "endpoint" or "domain" })
    or options.state ~= nil and wrong_texts(options, { "state" })
  if wrong then return nil, wrong end
  local endpoint = options.endpoint or endpoint_of(options.domain)
  local root = endpoint:match("^(https?://.*/)rest/$") or endpoint:match("^(https?://.*/)rest/api/$")
  if not root or endpoint:find("[%s?#@]") then return nil, "the portal's address expected, like acme.bitrix24.com" end
  local function escape(text)
    return (text:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
  end
  local state = options.state or core.random(16)
  return ("%soauth/authorize/?client_id=%s&state=%s"):format(root, escape(options.client_id), escape(state)), state
end

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
  -- @tparam[opt] table options.store where to save them, under the key of a client with the same `client_id` and
  -- `member_id`
  -- @tparam[opt] string options.key the key to save them under
  -- @tparam[opt] string options.token_url the token host's address (https://oauth.bitrix.info/oauth/token/)
  -- @param[opt] options.timeout and the other options of `bitrix.new` about a connection
  -- @treturn table tokens: `access_token`, `refresh_token`, `expires_in` (seconds), `member_id`, `client_endpoint`, ...
  -- @treturn table info, as for `call`
  -- @raise an error object of kind "auth" with the reason `invalid_grant`, `invalid_client`, ...; a string when an
  -- argument is wrong
  function face.exchange(options)
    if options == face then error("bad call of 'exchange': write bitrix.oauth.exchange{...}, with a dot", 2) end
    local answer, more = exchange(options)
    if type(more) == "string" then error(more, 2) end
    return finish(answer, more)
  end

  --- The address to send a user to, who then comes back with a code.
  -- @function authorize_url
  -- @tparam table options
  -- @tparam string options.client_id
  -- @tparam string options.domain of the portal, acme.bitrix24.com; or `endpoint`, https://acme.bitrix24.com/rest/
  -- @tparam[opt] string options.state comes back beside the code; compare it with `core.equal`; default: 32 random
  -- digits
  -- @treturn string the address
  -- @treturn string the state
  function face.authorize_url(options)
    if options == face then
      error("bad call of 'authorize_url': write bitrix.oauth.authorize_url{...}, with a dot", 2)
    end
    local address, state = authorize_url(options)
    if not address then error(("bad argument #1 to 'authorize_url' (%s)"):format(state), 2) end
    return address, state
  end

  return face
end

return _M
