-- The webhook's secret shows nowhere: each failure there is, searched through and through.
local bitrix = require "bitrix"
local safe = require "bitrix.safe"
local raw = require "support.raw"

local SECRET = "Sup3rS3cr3tC0de"

-- A search of every string in a value: keys, values, tostring, metatables; it gives those that `is_find` says are one.
local function searcher(is_find)
  local function search(value, found, seen)
    found, seen = found or {}, seen or {}
    local text = tostring(value)
    if is_find(text) then found[#found + 1] = text end
    if type(value) == "table" and not seen[value] then
      seen[value] = true
      for k, v in pairs(value) do
        search(k, found, seen)
        search(v, found, seen)
      end
      search(getmetatable(value), found, seen)
    end
    return found
  end
  return search
end

describe("the webhook's secret", function()
  local portal

  setup(function() portal = require("bitrix.portal").start{ tls = true, secret = SECRET } end)
  teardown(function() portal:stop() end)
  before_each(function() portal:clear() end)

  -- A recognisable beginning is a find too.
  local search = searcher(function(text)
    return text:lower():find(SECRET:sub(1, 6):lower(), 1, true) or text:find("/rest/1/", 1, true)
  end)

  local function webhook_at(port, scheme)
    return ("%s://127.0.0.1:%d/rest/1/%s/"):format(scheme or "http", port, SECRET)
  end

  -- What a portal's page may say back: the address that was asked for.
  local function echo(status)
    return { status = status, body = ('<h1>%d</h1> http://h/rest/1/%s/x and https:\\/\\/h\\/rest\\/1\\/%s\\/ and %s'):format(
      status, SECRET, SECRET, SECRET:upper()) }
  end

  local rules = {
    ["not_json"] = { status = 502, body = "<html>" },
    ["an echo of the address in a page"] = echo(404),
    ["the secret across the excerpt's end"] = { status = 500, body = ("x"):rep(2048 - 7) .. SECRET .. ("y"):rep(100) },
    ["the secret behind masks that shorten the text"] = { status = 500, body = (SECRET .. " "):rep(200) },
    ["an echo in the description"] = { status = 400,
      body = ('{"error":"X%s","error_description":"no %s"}'):format(SECRET, "http://h/rest/1/" .. SECRET .. "/x") },
    ["an echo in the validation"] = { status = 400,
      body = ('{"error":{"code":"X","message":"%s","validation":[{"field":"%s","message":"%s"}]}}'):format(SECRET, SECRET, SECRET) },
    ["a redirect to itself"] = { redirect = "https://elsewhere.bitrix24.com/rest/1/" .. SECRET .. "/x" },
    ["truncated"] = { status = 200, body = '{"result":"' .. SECRET .. '"}', cut = 20 },
    ["trailing"] = { status = 200, body = '{"result":1}\0' .. SECRET },
    ["bad shape"] = { status = 200, body = '"' .. SECRET .. '"' },
    ["reset"] = { reset = true }, ["close"] = { close = true }, ["timeout"] = { pass = true, delay = 2 },
  }
  for name, rule in pairs(rules) do
    it("is not in the error of " .. name, function()
      portal:script{ rule }
      local client = safe.new{ webhook = portal.webhook, timeout = 0.3, limit = false }
      local result, err = client:call("any.method")
      assert.is_nil(result)
      assert.is_true(bitrix.is_error(err))
      assert.same({}, search(err))
      assert.same({}, search(client))
      if err.body then assert.is_true(#err.body <= 2048) end
    end)
  end

  it("is not in the errors of connections", function()
    local silent, reset = raw.start("silent"), raw.start("reset")
    for _, options in ipairs{
      { webhook = webhook_at(1) }, { webhook = webhook_at(reset.port, "https") }, { webhook = webhook_at(reset.port) },
      { webhook = webhook_at(silent.port, "https"), connect_timeout = 0.1 },
      { webhook = "https://portal.invalid/rest/1/" .. SECRET }, { webhook = portal.tls_webhook },
      { webhook = portal.webhook, proxy = "http://joe:" .. SECRET .. "@127.0.0.1:1" },
      { webhook = portal.webhook, max_response = 10 },
    } do
      local client = safe.new(options)
      local result, err = client:call("any.method")
      assert.is_nil(result)
      assert.same({}, search(err))
      assert.same({}, search(client))
      client:close()
      assert.same({}, search(client))
    end
    silent.stop()
    reset.stop()
  end)

  it("is in no event and no statistics, not even of who calls it as a method", function()
    local events = {}
    local client = safe.new{
      webhook = portal.webhook, limit = false, retry = { base = 0.01 }, on_event = function(e) events[#events + 1] = e end,
    }
    portal:script{ { status = 502, body = "x" } }
    client:call("user.current")
    client:call(SECRET, nil, { idempotent = true })
    assert.is_true(#events >= 5)
    assert.same({}, search(events))
    assert.same({}, search(client:stats()))
    assert.equal(2, client:stats().calls)
  end)

  it("is not in info, even where the portal sends it back", function()
    local client = safe.new{ webhook = portal.webhook, limit = false }
    local _, info = client.scrum.backlog_get_fields()
    assert.same({}, search(info))
    portal:script{ { status = 200, body = (('{"result":1,"time":{"url":"http://h/rest/1/CODE/x","list":["CODE"],"CODE":1,"start":1.5,'
      .. '"date_start":"2024-04-03T12:50:17+02:00"},"total":"CODE","next":{"CODE":1}}'):gsub("CODE", SECRET)) } }
    _, info = client:call("x")
    assert.same({}, search(info))
    assert.equal(1.5, info.time.start)
    assert.equal("2024-04-03T12:50:17+02:00", info.time.date_start)
  end)

  it("is not in an error in other spellings", function()
    local client = safe.new{ webhook = portal.webhook, limit = false }
    local percent = SECRET:gsub(".", function(c) return ("%%%02X"):format(c:byte()) end)
    local escaped = SECRET:gsub(".", function(c) return ("\\u%04x"):format(c:byte()) end)
    for _, text in ipairs{ percent, escaped, "x" .. percent:sub(1, 21) .. SECRET:sub(8) } do
      portal:script{ { status = 500, body = "<p>" .. text .. "</p>" } }
      local _, err = client:call("x")
      assert.is_nil(err.body:find(text:sub(1, 15), 1, true), err.body)
      assert.truthy(err.body:find("[REDACTED]", 1, true))
    end
  end)

  it("is not given back to who passes it as a name", function()
    local client = safe.new{ webhook = portal.webhook, limit = false }
    local _, err = client:call("x." .. SECRET)
    assert.same({}, search(err))
    for _, run in ipairs{
      function() client.scrum.backlog_get{ [portal.webhook] = 1 } end, function() client.scrum.backlog_get{ [SECRET] = 1 } end,
      function() client:call("x", { [portal.webhook] = print }) end, function() bitrix.new{ [portal.webhook] = 1 } end,
    } do
      local ok, problem = pcall(run)
      assert.is_false(ok)
      assert.same({}, search(problem))
    end
  end)

  it("is not in the message or the traceback of a wrong argument or option", function()
    local client = bitrix.new{ webhook = portal.webhook, limit = false }
    local function trace(run) return select(2, xpcall(run, debug.traceback)) end
    client:close()
    for _, run in ipairs{
      function() client.scrum.backlog_get{ groupId = 1 } end, function() client:call("x y") end,
      function() bitrix.new{ webhook = portal.webhook .. "user.current" } end,
      function() bitrix.new{ webhook = "http://example.com/rest/1/" .. SECRET } end,
      function() bitrix.new{ webhook = portal.webhook, proxy = "gopher://a:" .. SECRET .. "@b" } end,
      function() bitrix.new{ webhook = portal.webhook, proxy = "http://joe:a@" .. SECRET .. "@127.0.0.1:1" } end,
      function() bitrix.new{ webhook = portal.webhook, headers = { ["X-Auth"] = SECRET .. "\n" } } end,
    } do
      local text = trace(run)
      assert.equal("string", type(text))
      assert.same({}, search(text))
    end
  end)

  it("is not in the traceback of a raised error object", function()
    portal:script{ echo(500) }
    local client = bitrix.new{ webhook = portal.webhook, limit = false }
    local text = select(2, xpcall(function() client:call("x") end, function(e) return debug.traceback(tostring(e)) end))
    assert.same({}, search(text))
  end)

  it("is masked even where it is short, as a word of its own", function()
    local short = require("bitrix.portal").start{ secret = "abc" }
    short:script{ { status = 500, body = "x abc y abcd http://h/rest/1/abc/" } }
    local _, err = safe.new{ webhook = short.webhook }:call("x")
    short:stop()
    assert.equal("x [REDACTED] y abcd http://h/rest/[REDACTED]/", err.body)
  end)
end)

describe("the secrets of OAuth", function()
  local SECRETS = { "Cl13ntS3cr3tXyz", "Acc3ssT0k3nAbc", "R3fr3shT0k3nAbc", "NewAcc3ssT0k3n", "NewR3fr3shT0k3n", "Auth0rC0deAbc" }
  local ALL = table.concat(SECRETS, " ", 1, 5)
  local portal

  setup(function()
    portal = require("bitrix.portal").start{ app = { client_id = "local.app", client_secret = SECRETS[1] } }
  end)
  teardown(function() portal:stop() end)
  before_each(function()
    portal:clear()
    portal:issue_tokens{ access_token = SECRETS[2], refresh_token = SECRETS[3] }
  end)

  local search = searcher(function(text)
    for _, secret in ipairs(SECRETS) do
      if text:lower():find(secret:sub(1, 8):lower(), 1, true) then return true end
    end
  end)

  local function new(more, others)
    local options = { retry = false, limit = false, timeout = 2, oauth = {
      client_id = "local.app", client_secret = SECRETS[1], endpoint = portal.url .. "rest/", access_token = SECRETS[2],
      refresh_token = SECRETS[3], token_url = portal.url .. "oauth/token/", store = require("bitrix.store.memory").new(),
    } }
    for name, value in pairs(more or {}) do options.oauth[name] = value end
    for name, value in pairs(others or {}) do options[name] = value end
    return safe.new(options)
  end

  local EXPIRED = { method = "any.method", status = 401, body = '{"error":"expired_token"}' }
  local GIVEN = ('{"access_token":"%s","refresh_token":"%s","expires_in":3600}'):format(SECRETS[4], SECRETS[5])

  local function echoes(method)
    return {
      ["a page"] = { method = method, status = 502, body = "<html>" .. ALL },
      ["a description"] = { method = method, status = 400, body = ('{"error":"X %s","error_description":"%s"}'):format(ALL, ALL) },
      ["a query"] = { method = method, status = 404,
        body = "no http://h/oauth/token/?client_secret=%43l13ntS3cr3tXyz&auth=" .. SECRETS[2] },
      ["what is cut off"] = { method = method, status = 200, body = GIVEN .. ALL, cut = #GIVEN - 30 },
      ["what goes on"] = { method = method, status = 200, body = GIVEN .. "\0" .. ALL },
      ["a list"] = { method = method, status = 200, body = "[" .. GIVEN .. "]" },
      ["a redirect"] = { method = method, redirect = "https://elsewhere.bitrix24.com/rest/" .. SECRETS[2] .. "/?auth=" .. SECRETS[2] },
      ["a reset"] = { method = method, reset = true }, ["a close"] = { method = method, close = true },
    }
  end

  for name, rule in pairs(echoes("any.method")) do
    it("are not in the error of " .. name .. " of the portal", function()
      local client = new({}, { allow_hosts = {} })
      -- First a renewal, so that all of them are known, as they are in practice.
      portal:script{ EXPIRED, { method = "oauth/token", status = 200, body = GIVEN }, rule }
      local result, err = client:call("any.method")
      assert.is_nil(result)
      assert.same({}, search(err))
      assert.same({}, search(tostring(err)))
      assert.same({}, search(client))
    end)
  end

  for name, rule in pairs(echoes("oauth/token")) do
    it("are not in the error of " .. name .. " of the token host", function()
      local known = rule.body
      -- What the host makes up itself is masked where it stands as a credential; elsewhere nobody can know it.
      rule.body = known and known:gsub(ALL, SECRETS[1] .. " " .. SECRETS[2] .. " " .. SECRETS[3])
      local client = new()
      portal:script{ EXPIRED, rule }
      local result, err = client:call("any.method")
      assert.is_nil(result)
      assert.equal("refresh", err.phase)
      assert.same({}, search(err))
      assert.same({}, search(client))
      -- Here no tokens are known yet.
      rule.body = known and known:gsub(ALL, SECRETS[1] .. " " .. SECRETS[6])
      if rule.redirect then rule.redirect = rule.redirect:gsub(SECRETS[2], SECRETS[6]) end
      portal:clear()
      portal:script{ rule }
      result, err = safe.oauth.exchange{ client_id = "local.app", client_secret = SECRETS[1], code = SECRETS[6],
        token_url = portal.url .. "oauth/token/" }
      assert.is_nil(result)
      assert.same({}, search(err))
    end)
  end

  it("are not in info, in events, in the errors of stores and of the application's functions", function()
    local events = {}
    local client = new({}, { on_event = function(event) events[#events + 1] = event end })
    portal:script{ EXPIRED, { method = "oauth/token", status = 200, body = GIVEN },
      { method = "any.method", status = 200, body = ('{"result":1,"time":{"x":"%s"},"next":"%s"}'):format(SECRETS[4], SECRETS[5]) } }
    local result, info = client:call("any.method")
    assert.equal(1, result)
    assert.same({}, search(info))
    assert.same({}, search(events))
    for _, broken in ipairs{ "load", "save", "lock" } do
      local store = require("bitrix.store.memory").new()
      store[broken] = function() return nil, "cannot keep " .. SECRETS[2] .. " and " .. SECRETS[3] end
      portal:issue_tokens{ access_token = SECRETS[2], refresh_token = SECRETS[3] }
      portal:script{ EXPIRED }
      local _, err = new{ store = store }:call("any.method")
      assert.equal("store", err.reason)
      assert.same({}, search(err))
    end
    portal:script{ EXPIRED }
    local _, err = new{ refresh = function(old) error("no more of " .. old.access_token) end }:call("any.method")
    assert.equal("refresh_failed", err.reason)
    assert.same({}, search(err))
  end)

  it("are not in the message or the traceback of a wrong argument or option", function()
    for _, run in ipairs{
      function() new{ client_secret = { SECRETS[1] } } end,
      function() new{ access_token = SECRETS[2] .. "\n" } end, function() new{ domain = SECRETS[2] } end,
      function() new{ endpoint = "https://x.de/" .. SECRETS[2] } end, function() new{ token_url = "http://x.de/?a=" .. SECRETS[1] } end,
      function() bitrix.oauth.exchange{ client_id = "a", client_secret = SECRETS[1], code = { SECRETS[6] } } end,
      function() bitrix.oauth.exchange{ client_id = "a", client_secret = SECRETS[1], code = SECRETS[6], timeout = SECRETS[1] } end,
      function() new():call("x y", {}) end, function() new():call("x", { SECRETS[2] }) end,
    } do
      local text = select(2, xpcall(run, debug.traceback))
      assert.equal("string", type(text))
      assert.same({}, search(text))
    end
  end)
end)
