-- bitrix/portal/front.lua: what stands before the methods, without nginx.

local bucket = require "bitrix.portal.bucket"
local fault = require "bitrix.portal.fault"
local front = require "bitrix.portal.front"
local oauth = require "bitrix.portal.oauth"
local json = require "bitrix.portal.json"
local world = require "portal.world"

local BASE = "/rest/1/secret/"
local ADD = "tasks.api.scrum.backlog.add"
local PARAMS = '{"fields":{"groupId":126,"createdBy":6}}'

local face, register, now

before_each(function()
  world.new()
  now = 1712137817
  register = oauth.new { app = oauth.read { client_id = "app", client_secret = "shh" }, user = 1 }
  world.entrance.oauth = register
  face = front.new { entrance = world.entrance, oauth = register, clock = function() return now end }
end)

-- The entry of a request and the plan for it.
local function ask(path, body, more)
  local entry = { path = path, query = "", headers = { ["content-type"] = "application/json" }, body = body or "",
    ip = "127.0.0.1" }
  for name, value in pairs(more or {}) do
    entry[name] = value
  end
  local plan = face:answer(entry)
  return entry, plan
end

local function script(...)
  for _, rule in ipairs { ... } do
    assert(fault.check(rule))
    face:order { rule = fault.prepared(rule) }
  end
end

describe("an address", function()
  it("that is no REST address has a page", function()
    local entry, plan = ask("/company/")
    assert.same({ 404, false }, { plan.status, entry.executed })
    assert.matches("^<html>", plan.body.head)
    assert.is_nil(entry.method)
  end)
  it("gives the journal its method, user and parameters", function()
    local entry = ask(BASE .. ADD .. ".json", PARAMS)
    assert.same({ ADD, 1, { fields = { groupId = 126, createdBy = 6 } }, 200, true },
      { entry.method, entry.user, entry.params, entry.status, entry.executed })
  end)
end)

describe("whether a method was run", function()
  it("is written down: it was when it answered, and when it refused", function()
    assert.is_true(ask(BASE .. ADD, PARAMS).executed)
    local entry = ask(BASE .. ADD, PARAMS)
    assert.same({ 400, true }, { entry.status, entry.executed })
  end)
  it("is not when it was not found, not allowed, not given what it needs", function()
    assert.is_false(ask(BASE .. "no.such.method").executed)
    assert.is_false(ask("/rest/1/wrong/" .. ADD, PARAMS).executed)
    assert.is_false(ask("/rest/" .. ADD, PARAMS).executed)
    assert.is_false(ask(BASE .. ADD, "{}").executed)
  end)
  it("is told of each command of a batch", function()
    local entry = ask(BASE .. "batch", ([[{"cmd":{"a":"%s?fields[groupId]=126","b":"no.such.method","c":"%s"}}]])
      :format(ADD, ADD))
    assert.is_true(entry.executed)
    assert.same({ { method = ADD, executed = true }, { method = "no.such.method", executed = false },
      { method = ADD, executed = false } }, entry.commands)
  end)

  -- { rule, executed, what the client sees }
  local cells = {
    { { close = true }, false, "close" },
    { { execute = true, close = true }, true, "close" },
    { { reset = true }, false, "reset" },
    { { execute = true, reset = true }, true, "reset" },
    { { cut = 20 }, true, 200 },
    { { body = '{"result":{"id":1}}', cut = 5 }, false, 200 },
    { { delay = 3 }, true, 200 },
    { { delay = 3, close = true }, false, "close" },
    { { delay = 3, pass = true }, true, 200 },
    { { redirect = "http://127.0.0.1/" }, false, 302 },
    { { error = "QUERY_LIMIT_EXCEEDED" }, false, 503 },
    { { error = "OPERATION_TIME_LIMIT" }, false, 429 },
    { { error = "expired_token" }, false, 401 },
    { { error = "INTERNAL_SERVER_ERROR", execute = true }, true, 500 },
  }
  for _, status in ipairs { 408, 429, 500, 502, 503, 504 } do
    cells[#cells + 1] = { { status = status }, false, status }
    cells[#cells + 1] = { { status = status, execute = true, body = "<html>" }, true, status }
  end
  for i, cell in ipairs(cells) do
    it(("is the rule's to say (%d)"):format(i), function()
      local rule, executed, seen = cell[1], cell[2], cell[3]
      script(rule)
      local entry, plan = ask(BASE .. ADD, PARAMS)
      assert.equal(executed, entry.executed)
      assert.equal(seen, plan.drop or plan.status)
      assert.equal(executed, world.state:backlog_of(126) ~= nil)
      assert.equal(type(seen) == "number" and seen or nil, entry.status)
    end)
  end
end)

describe("a rule for one method", function()
  it("waits for it, and others pass by", function()
    script({ status = 500, method = ADD }, { status = 502 })
    local got = {}
    for i, method in ipairs { "profile", "profile", ADD, ADD } do
      local _, plan = ask(BASE .. method, PARAMS)
      got[i] = plan.status
    end
    assert.same({ 502, 200, 500, 200 }, got)
  end)
  it("stands for an error with its usual status", function()
    script { error = "NO_AUTH_FOUND" }
    local _, plan = ask(BASE .. "profile")
    assert.same({ 401, "NO_AUTH_FOUND" }, { plan.status, json.decode(plan.body.head).error })
  end)
end)

describe("the limit", function()
  before_each(function()
    face = front.new { entrance = world.entrance, oauth = register, clock = function() return now end,
      bucket = bucket.new(bucket.read { burst = 2, rate = 1, phase = 0 }) }
  end)

  it("refuses what is above it, runs nothing, and says so in the journal", function()
    ask(BASE .. "profile")
    ask(BASE .. "profile")
    local entry, plan = ask(BASE .. ADD, PARAMS)
    assert.same({ 503, true, false, 503 }, { plan.status, entry.refused, entry.executed, entry.status })
    assert.equal('{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many requests"}', plan.body.head)
    assert.is_nil(world.state:backlog_of(126))
    now = now + 1
    entry = ask(BASE .. ADD, PARAMS)
    assert.same({ nil, true }, { entry.refused, entry.executed })
  end)
  it("counts a batch as one, and what is wrong, too", function()
    ask(BASE .. "batch", '{"cmd":{"a":"profile","b":"profile","c":"profile"}}')
    ask("/rest/1/wrong/profile")
    assert.equal(503, ask(BASE .. "profile").status)
  end)
  it("does not count what is no call, nor the token host", function()
    for _ = 1, 5 do
      assert.equal(404, ask("/company/").status)
      assert.equal(400, ask("/oauth/token/").status)
    end
    assert.equal(200, ask(BASE .. "profile").status)
  end)
  it("uses up no rule", function()
    ask(BASE .. "profile")
    ask(BASE .. "profile")
    script { status = 500 }
    assert.equal(503, ask(BASE .. "profile").status)
    now = now + 1
    assert.equal(500, ask(BASE .. "profile").status)
  end)
end)

local function location_of(plan)
  for _, header in ipairs(plan.headers) do
    if header[1] == "Location" then
      return header[2]
    end
  end
end

local FORM = { headers = { ["content-type"] = "application/x-www-form-urlencoded", host = "portal.example:8443" } }

local function token_request(fields, more)
  return ask("/oauth/token/", "client_id=app&client_secret=shh&" .. fields,
    { headers = FORM.headers, tls = more and more.tls })
end

describe("the token host", function()
  local function issue(age)
    face:order({ tokens = { access_token = "a", refresh_token = "r", expires_in = 10, user = 6 } }, age)
  end

  it("takes forms and query strings, and is in the journal", function()
    issue()
    local entry, plan = token_request("grant_type=refresh_token&refresh_token=r", { tls = true })
    assert.same({ "oauth/token", 200, true }, { entry.method, entry.status, entry.executed })
    local body = json.decode(plan.body.head)
    assert.same({ "https://portal.example:8443/rest/", "portal.example:8443", 6 },
      { body.client_endpoint, body.domain, body.user_id })
    entry, plan = ask("/oauth/token", "", { headers = {}, query =
      "grant_type=refresh_token&client_id=app&client_secret=shh&refresh_token=" .. body.refresh_token })
    assert.same({ 200, true }, { entry.status, entry.executed })
    assert.equal("http://127.0.0.1/rest/", json.decode(plan.body.head).client_endpoint)
    assert.is_false(token_request("grant_type=refresh_token&refresh_token=r").executed)
  end)
  it("has faults, also after the old token has died", function()
    issue()
    script({ method = "oauth/token", error = "wrong_client" }, { method = "oauth/token", error = "PAYMENT_REQUIRED" },
      { method = "oauth/token", execute = true, close = true })
    local GRANT = "grant_type=refresh_token&refresh_token=r"
    local entry, plan = token_request(GRANT)
    assert.same({ 200, "wrong_client", false }, { plan.status, json.decode(plan.body.head).error, entry.executed })
    entry = token_request(GRANT)
    assert.same({ 402, false }, { entry.status, entry.executed })
    entry = token_request(GRANT)
    assert.same({ nil, true }, { entry.status, entry.executed })
    assert.equal(400, token_request(GRANT).status)
  end)
  it("reckons from when tokens and codes were issued", function()
    issue(9)
    assert.equal(200, ask("/rest/profile", '{"auth":"a"}').status)
    now = now + 1
    local entry, plan = ask("/rest/profile", '{"auth":"a"}')
    assert.same({ 401, '{"error":"expired_token","error_description":"The access token provided has expired."}' },
      { entry.status, plan.body.head })
    face:order({ code = { code = "c", user = 6 } }, 30)
    assert.equal(400, token_request("grant_type=authorization_code&code=c").status)
    face:order({ code = { code = "c", user = 6 } }, 29)
    assert.equal(200, token_request("grant_type=authorization_code&code=c").status)
  end)
  it("lets all tokens run out", function()
    issue()
    face:order { expire = true }
    assert.equal(401, ask("/rest/profile", '{"auth":"a"}').status)
    assert.equal(200, token_request("grant_type=refresh_token&refresh_token=r").status)
  end)
end)

describe("a portal that has moved", function()
  it("sends every call on, with its path and query, and runs none", function()
    face:order { move = { url = "https://new.example/" } }
    local entry, plan = ask(BASE .. ADD .. ".json", PARAMS, { query = "a=1" })
    assert.same({ 302, false, 302 }, { plan.status, entry.executed, entry.status })
    assert.equal("https://new.example/rest/1/secret/" .. ADD .. ".json?a=1", location_of(plan))
    plan = select(2, ask("/rest/profile", '{"auth":"x"}'))
    assert.equal("https://new.example/rest/profile", location_of(plan))
    assert.equal(404, ask("/company/").status)
  end)
  it("is back when it is told so", function()
    face:order { move = { url = "https://new.example/" } }
    face:order { move = {} }
    assert.equal(200, ask(BASE .. "profile").status)
  end)
  it("can have moved for one host name only", function()
    face:order { move = { url = "https://new.example/", host = "old.example" } }
    assert.equal(302, ask(BASE .. "profile", "", { headers = { host = "OLD.example:8443" } }).status)
    assert.equal(200, ask(BASE .. "profile", "", { headers = { host = "new.example" } }).status)
  end)
  it("tells its new address with tokens", function()
    face:order { move = { url = "https://new.example/" } }
    face:order { tokens = { access_token = "a", refresh_token = "r", expires_in = 10, user = 6 } }
    local entry, plan = token_request("grant_type=refresh_token&refresh_token=r")
    assert.same({ 200, "https://new.example/rest/" }, { entry.status, json.decode(plan.body.head).client_endpoint })
  end)
  it("still has faults", function()
    face:order { move = { url = "https://new.example/" } }
    script({ status = 500 }, { delay = 1 })
    assert.equal(500, ask(BASE .. "profile").status)
    local _, plan = ask(BASE .. "profile")
    assert.same({ 302, 1 }, { plan.status, plan.delay })
  end)
end)

describe("REST v3", function()
  it("is reached under its own address, with its own errors", function()
    local entry = ask("/rest/api/1/secret/" .. ADD, PARAMS)
    assert.same({ ADD, 1, 200 }, { entry.method, entry.user, entry.status })
    local _, plan = ask("/rest/api/1/secret/" .. ADD, PARAMS)
    assert.equal('{"error":{"code":"0","message":"Backlog already added"}}', plan.body.head)
    _, plan = ask("/rest/api/profile", '{"auth":"x"}')
    assert.equal("invalid_token", json.decode(plan.body.head).error.code)
  end)
  it("is over the limit in its own words", function()
    face.bucket = bucket.new(bucket.read { burst = 0 })
    local _, plan = ask("/rest/api/1/secret/profile")
    assert.equal('{"error":{"code":"QUERY_LIMIT_EXCEEDED","message":"Too many requests"}}', plan.body.head)
  end)
  it("does not run again what an Idempotency-Key names", function()
    local headers = { ["content-type"] = "application/json", ["idempotency-key"] = "k" }
    script { execute = true, close = true }
    assert.is_nil(ask("/rest/api/1/secret/" .. ADD, PARAMS, { headers = headers }).status)
    local entry, plan = ask("/rest/api/1/secret/" .. ADD, PARAMS, { headers = headers })
    assert.same({ 200, false, true }, { entry.status, entry.executed, entry.replayed })
    assert.equal(126, json.decode(plan.body.head).result.groupId)
    assert.equal(422, ask("/rest/api/1/secret/" .. ADD, "{}", { headers = headers }).status)
  end)
end)
