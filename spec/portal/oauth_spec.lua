-- bitrix/portal/oauth.lua: codes, tokens and the token host.

local oauth = require "bitrix.portal.oauth"

local APP = { client_id = "app", client_secret = "shh", application_token = "at", member_id = "member", scope = "task" }
local ADDRESS = "https://portal.example:8443/"
local NOW = 1712137817

local register

before_each(function()
  register = oauth.new { app = oauth.read(APP), user = 1, token = "fixed" }
end)

local function ask(params, now)
  params.client_id = params.client_id or "app"
  params.client_secret = params.client_secret or "shh"
  return register:answer(params, now or NOW, ADDRESS)
end

local function refresh(token, now)
  return ask({ grant_type = "refresh_token", refresh_token = token }, now)
end

local function exchange(code, now)
  return ask({ grant_type = "authorization_code", code = code }, now)
end

local function refuses(status, code, got, body, executed)
  assert.same({ status, code, false }, { got, body.error, executed })
  assert.is_string(body.error_description)
end

local function tokens(more)
  local pair = { access_token = "access", refresh_token = "refresh", expires_in = 10, user = 6 }
  for name, value in pairs(more or {}) do
    pair[name] = value
  end
  register:accept(pair, NOW)
end

describe("an access token", function()
  it("belongs to a user until it runs out", function()
    tokens()
    assert.equal(6, register:user_of("access", NOW))
    assert.equal(6, register:user_of("access", NOW + 9.9))
    assert.same({ nil, "expired_token", "The access token provided has expired." },
      { register:user_of("access", NOW + 10) })
  end)
  it("is unknown otherwise, a refresh token as well", function()
    tokens()
    for _, text in ipairs { "x", "refresh", 5 } do
      assert.same({ nil, "invalid_token", "Unable to get application by token" }, { register:user_of(text, NOW) })
    end
  end)
  it("that came with the portal does not run out by itself", function()
    assert.equal(1, register:user_of("fixed", NOW * 2))
  end)
  it("runs out when all are told to, and those that come later do not", function()
    tokens()
    register:expire()
    assert.equal("expired_token", (select(2, register:user_of("access", NOW))))
    assert.equal("expired_token", (select(2, register:user_of("fixed", NOW))))
    tokens { access_token = "new" }
    assert.equal(6, register:user_of("new", NOW))
  end)
end)

describe("a refresh token", function()
  it("gives a new pair, and dies at once", function()
    tokens()
    local status, body, executed = refresh("refresh")
    assert.same({ 200, true }, { status, executed })
    assert.not_equal("refresh", body.refresh_token)
    assert.not_equal("access", body.access_token)
    assert.equal(6, register:user_of(body.access_token, NOW + 3599))
    assert.equal("expired_token", (select(2, register:user_of(body.access_token, NOW + 3600))))
    refuses(400, "invalid_grant", refresh("refresh"))
    assert.equal(200, (refresh(body.refresh_token)))
  end)
  it("leaves the access token alone that came with it", function()
    tokens()
    refresh("refresh")
    assert.equal(6, register:user_of("access", NOW))
  end)
  it("survives a wrong client", function()
    tokens()
    refuses(401, "invalid_client", ask { grant_type = "refresh_token", refresh_token = "refresh", client_secret = "x" })
    refuses(401, "invalid_client", ask { grant_type = "refresh_token", refresh_token = "refresh", client_id = "x" })
    assert.equal(200, (refresh("refresh")))
  end)
end)

describe("a code", function()
  it("gives tokens once", function()
    register:accept_code("code", 6, NOW)
    local status, body = exchange("code", NOW + 29.9)
    assert.equal(200, status)
    assert.equal(6, register:user_of(body.access_token, NOW + 30))
    refuses(400, "invalid_grant", exchange("code", NOW + 29.9))
  end)
  it("lives for 30 seconds", function()
    register:accept_code("code", 6, NOW)
    refuses(400, "invalid_grant", exchange("code", NOW + 30))
    refuses(400, "invalid_grant", exchange("code", NOW))
  end)
  it("is no refresh token, nor the other way round", function()
    register:accept_code("code", 6, NOW)
    tokens()
    refuses(400, "invalid_grant", refresh("code"))
    refuses(400, "invalid_grant", exchange("refresh"))
  end)
end)

describe("the token host", function()
  it("answers everything about tokens", function()
    tokens()
    local _, body = refresh("refresh")
    assert.equal(70, #body.access_token)
    assert.same({
      access_token = body.access_token, refresh_token = body.refresh_token, expires = NOW + 3600, expires_in = 3600,
      client_endpoint = ADDRESS .. "rest/", server_endpoint = ADDRESS .. "rest/", domain = "portal.example:8443",
      member_id = "member", scope = "task", status = "L", user_id = 6,
    }, body)
  end)
  it("refuses what lacks something", function()
    refuses(400, "invalid_request", ask {})
    refuses(400, "invalid_request", ask { grant_type = "password" })
    refuses(400, "invalid_request", ask { grant_type = { "refresh_token" } })
    refuses(400, "invalid_request", ask { grant_type = "refresh_token" })
    refuses(400, "invalid_request", ask { grant_type = "refresh_token", refresh_token = "" })
    refuses(400, "invalid_request", ask { grant_type = "refresh_token", refresh_token = { "x" } })
    refuses(400, "invalid_request", ask { grant_type = "authorization_code", refresh_token = "x" })
    refuses(400, "invalid_request", ask { grant_type = "refresh_token", refresh_token = "x", client_secret = "" })
  end)
end)

describe("the option app", function()
  it("is made up where it is silent", function()
    local one, two = oauth.read(), oauth.read {}
    for _, field in ipairs { "client_id", "client_secret", "application_token", "member_id" } do
      assert.not_equal(one[field], two[field])
    end
    assert.same({ 3600, 30 }, { one.expires_in, one.code_lifetime })
    assert.matches("^local%.%w+%.%w+$", one.client_id)
  end)
  it("is refused when it cannot be", function()
    local ok, problem = pcall(oauth.read, { clientid = "x" })
    assert.same({ false, "bitrix.portal: unknown app field 'clientid'" }, { ok, problem })
    ok, problem = pcall(oauth.read, { expires_in = -1 })
    assert.same({ false, "bitrix.portal: app field 'expires_in': number from 0 expected, got -1" }, { ok, problem })
  end)
end)
