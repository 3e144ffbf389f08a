-- OAuth 2.0: an application, its codes and tokens, and what the token host answers. Knows no HTTP but a status, and no
-- clock: the time is the caller's to say.

local check = require "bitrix.portal.check"
local random = require "bitrix.portal.random"

local M = {}

local OAuth = {}
OAuth.__index = OAuth

local FIELDS = { client_id = "string", client_secret = "string", application_token = "string", member_id = "string",
  scope = "string", domain = "string", expires_in = check.SECONDS, code_lifetime = check.SECONDS }

--- Reads the option `app`. Raises what is wrong with it, without a position.
-- @tparam ?table given see doc/emulator.md
-- @treturn table for `new`, with everything that was not given
function M.read(given)
  given = given or {}
  check.table("app field", given, FIELDS)
  return {
    client_id = given.client_id or ("local.%s.%s"):format(random.letters(14), random.letters(8)),
    client_secret = given.client_secret or random.letters(50),
    application_token = given.application_token or random.letters(32),
    member_id = given.member_id or random.letters(32),
    scope = given.scope or "task,tasks,sonet_group,socialnetwork,user",
    domain = given.domain,
    expires_in = given.expires_in or 3600,
    code_lifetime = given.code_lifetime or 30,
  }
end

--- What the portal says of itself: the `auth` of every event.
-- @tparam table app what `read` returned
-- @tparam string address of the portal: `https://portal.example/`
-- @treturn table
function M.portal(app, address)
  return {
    client_endpoint = address .. "rest/",
    server_endpoint = address .. "rest/",
    domain = address:match("^%w+://([^/]*)"),
    member_id = app.member_id,
  }
end

--- What is said of tokens: the token host's answer, and the `auth` of an installation event.
-- @tparam table app what `read` returned
-- @tparam string address of the portal
-- @tparam table tokens `access_token`, `refresh_token`, `expires_in`, `user`
-- @tparam number now seconds since 1970
-- @treturn table
function M.described(app, address, tokens, now)
  local said = M.portal(app, address)
  said.access_token = tokens.access_token
  said.refresh_token = tokens.refresh_token
  said.expires = math.floor(now + tokens.expires_in)
  said.expires_in = tokens.expires_in
  said.scope = app.scope
  said.status = "L"
  said.user_id = tokens.user
  return said
end

--- A new pair of tokens.
-- @tparam number expires_in seconds
-- @tparam integer user whose they are
function M.made_up(expires_in, user)
  return { access_token = random.letters(70), refresh_token = random.letters(70), expires_in = expires_in, user = user }
end

--- Makes a register of tokens.
-- @tparam table options `app` (what `read` returned), `user` (for whom codes are issued), `token` (an access token of
--   this user that does not run out by itself; nil: none)
function M.new(options)
  local self = setmetatable({ app = options.app, user = options.user, access = {}, refresh = {}, codes = {} }, OAuth)
  if options.token then
    self.access[options.token] = { user = options.user, ends = math.huge }
  end
  return self
end

--- Takes up a pair of tokens.
-- @tparam table tokens `access_token`, `refresh_token`, `expires_in`, `user`
-- @tparam number now when they were issued, seconds since 1970
function OAuth:accept(tokens, now)
  self.access[tokens.access_token] = { user = tokens.user, ends = now + tokens.expires_in }
  self.refresh[tokens.refresh_token] = { user = tokens.user }
end

--- Takes up an authorization code.
-- @tparam string code
-- @tparam integer user who has authorized the application
-- @tparam number now when it was issued
function OAuth:accept_code(code, user, now)
  self.codes[code] = { user = user, ends = now + self.app.code_lifetime }
end

--- Lets all access tokens run out that there are.
function OAuth:expire()
  for _, token in pairs(self.access) do
    token.ends = -math.huge
  end
end

--- Who calls with an access token.
-- @treturn ?integer the user's id
-- @treturn ?string otherwise the error's code
-- @treturn ?string and its text
function OAuth:user_of(token, now)
  local known = self.access[token]
  if not known then
    return nil, "invalid_token", "Unable to get application by token"
  elseif now >= known.ends then
    return nil, "expired_token", "The access token provided has expired."
  end
  return known.user
end

local function failure(status, code, text)
  return status, { error = code, error_description = text }, false
end

local GRANTS = { refresh_token = "refresh_token", authorization_code = "code" }

-- Whether all of these parameters are there.
local function are_given(params, ...)
  for _, name in ipairs { ... } do
    if type(params[name]) ~= "string" or params[name] == "" then
      return false
    end
  end
  return true
end

--- Answers a request for tokens.
-- @tparam table params `grant_type`, `client_id`, `client_secret`, `refresh_token` or `code`
-- @tparam number now seconds since 1970
-- @tparam string address of the portal
-- @treturn integer HTTP status
-- @treturn table the body
-- @treturn boolean whether tokens were given out
function OAuth:answer(params, now, address)
  local name = GRANTS[params.grant_type]
  if not name or not are_given(params, "client_id", "client_secret", name) then
    return failure(400, "invalid_request", "An incorrectly formatted authorization request was provided")
  end
  if params.client_id ~= self.app.client_id or params.client_secret ~= self.app.client_secret then
    return failure(401, "invalid_client", "Client authentication failed")
  end
  local held = name == "code" and self.codes or self.refresh
  local grant = held[params[name]]
  -- Used or too late, it is gone.
  held[params[name]] = nil
  if not grant or grant.ends and now >= grant.ends then
    return failure(400, "invalid_grant", "The provided authorization grant is invalid, expired or revoked")
  end
  local tokens = M.made_up(self.app.expires_in, grant.user)
  self:accept(tokens, now)
  return 200, M.described(self.app, address, tokens, now), true
end

return M
