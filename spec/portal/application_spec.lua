-- What an application meets, over real sockets: the token host, a portal that moves, other host names, events, REST v3.

local dkjson = require "dkjson"
local php = require "bitrix.portal.php"
local portal = require "bitrix.portal"
local support = require "portal.support"

local curl, call = support.curl, support.call

local OLD, NEW = "old.bitrix24.test", "new.bitrix24.test"

local p

setup(function()
  p = portal.start { tls = true, hosts = { OLD, NEW, "127.0.0.2" },
    app = { client_id = "app", client_secret = "shh", application_token = "at-1", member_id = "m-1" } }
end)
teardown(function() p:stop() end)
before_each(function() p:clear() end)

local function decoded(answer)
  return assert(dkjson.decode(answer.body, 1, nil, nil))
end

local function ask_tokens(fields, url, ...)
  return curl((url or p.url) .. "oauth/token/", "-d", "client_id=app&client_secret=shh&" .. fields, ...)
end

local function profile(token, ...)
  return call(p.url .. "rest/profile", ('{"auth":"%s"}'):format(token), ...)
end

describe("the token host", function()
  it("gives tokens for a code, once, and they open the portal", function()
    local code = p:issue_code { user = 6 }
    local answer = ask_tokens("grant_type=authorization_code&code=" .. code)
    assert.equal(200, answer.status)
    local tokens = decoded(answer)
    assert.same({ "m-1", p.url .. "rest/", 3600 }, { tokens.member_id, tokens.client_endpoint, tokens.expires_in })
    assert.equal("6", decoded(profile(tokens.access_token)).result.ID)
    answer = ask_tokens("grant_type=authorization_code&code=" .. code)
    assert.same({ 400, "invalid_grant" }, { answer.status, decoded(answer).error })
  end)
  it("takes a GET, and TLS, where it tells the TLS address", function()
    local issued = p:issue_tokens()
    assert.equal(p.url .. "rest/", issued.client_endpoint)
    assert.equal(p.tls_url .. "rest/", p:issue_tokens({ tls = true }).client_endpoint)
    local answer = curl(p.tls_url .. "oauth/token/?grant_type=refresh_token&client_id=app&client_secret=shh&refresh_token="
      .. issued.refresh_token, "--cacert", p.ca_file)
    assert.same({ 200, p.tls_url .. "rest/" }, { answer.status, decoded(answer).client_endpoint })
    local entry = p:journal()[1]
    assert.same({ "GET", "oauth/token", true, issued.refresh_token },
      { entry.http_method, entry.method, entry.executed, entry.params.refresh_token })
  end)
  it("lets tokens run out, and a refresh makes good", function()
    local issued = p:issue_tokens()
    assert.equal(200, profile(issued.access_token).status)
    p:expire_tokens()
    local answer = profile(issued.access_token)
    assert.same({ 401, '{"error":"expired_token","error_description":"The access token provided has expired."}' },
      { answer.status, answer.body })
    local tokens = decoded(ask_tokens("grant_type=refresh_token&refresh_token=" .. issued.refresh_token))
    assert.equal(200, profile(tokens.access_token).status)
    assert.equal(400, ask_tokens("grant_type=refresh_token&refresh_token=" .. issued.refresh_token).status)
    local short = p:issue_tokens { expires_in = 0.2, access_token = "short" }
    assert.equal("short", short.access_token)
    assert.is_true(support.eventually(function() return profile("short").status == 401 end))
    assert.is_nil(p:journal()[1].refused)
  end)
  it("can be slow, refuse, and lose an answer", function()
    local grant = "grant_type=refresh_token&refresh_token=" .. p:issue_tokens().refresh_token
    p:script { { method = "oauth/token", error = "wrong_client" }, { method = "oauth/token", execute = true, close = true } }
    local answer = ask_tokens(grant)
    assert.same({ 200, "wrong_client" }, { answer.status, decoded(answer).error })
    assert.not_equal(0, ask_tokens(grant).exit)
    assert.equal("invalid_grant", decoded(ask_tokens(grant)).error)
    p:script { { method = "oauth/token", delay = 2 } }
    assert.equal(28, ask_tokens(grant, nil, "-m", "0.1").exit)
  end)
  it("says what is wrong with an order", function()
    for _, bad in ipairs { function() p:issue_tokens { user = "x" } end, function() p:issue_code { id = 1 } end,
      function() p:move("nowhere") end, function() p:send_event { url = "http://127.0.0.1/" } end,
      function() p:send_event { url = "http://127.0.0.1/", event = "X", dat = {} } end } do
      local ok, problem = pcall(bad)
      assert.is_false(ok)
      assert.matches("application_spec%.lua:%d+: bitrix%.portal: ", problem)
    end
  end)
end)

describe("a portal that has moved", function()
  it("sends every call to another one, which is followed with a POST", function()
    local other = portal.start { secret = p.secret }
    finally(function() other:stop(); p:move(nil) end)
    p:move(other.url)
    for _ = 1, 2 do
      local answer = call(p.webhook .. "user.current", "{}", "-i")
      assert.equal(302, answer.status)
      assert.equal(other.webhook .. "user.current", answer.body:match("\r\nLocation: (%S+)\r\n"))
    end
    assert.equal(200, call(p.webhook .. "user.current", "{}", "-L", "--post302").status)
    assert.same({ "POST", "{}" }, { other:journal()[1].http_method, other:journal()[1].body })
    p:move(nil)
    assert.equal(200, call(p.webhook .. "user.current", "{}").status)
  end)
  it("can send callers in a circle", function()
    p:move(p.url)
    finally(function() p:move(nil) end)
    assert.equal(47, call(p.webhook .. "profile", "{}", "-L", "--post302", "--max-redirs", "3").exit)
    assert.equal(4, #p:journal())
  end)
  it("can have moved from one of its names to the other, with TLS", function()
    local here, there = ("https://%s:%d/"):format(OLD, p.tls_port), ("https://%s:%d/"):format(NEW, p.tls_port)
    p:move(there, OLD)
    finally(function() p:move(nil, OLD) end)
    local function ask(...)
      return call(here .. "rest/1/" .. p.secret .. "/profile", "{}", "--cacert", p.ca_file,
        "--resolve", ("%s:%d:127.0.0.1"):format(OLD, p.tls_port),
        "--resolve", ("%s:%d:127.0.0.1"):format(NEW, p.tls_port), ...)
    end
    assert.equal(302, ask().status)
    assert.equal(200, ask("-L", "--post302").status)
    local answer = ask_tokens("grant_type=refresh_token&refresh_token=" .. p:issue_tokens().refresh_token, here,
      "--cacert", p.ca_file, "--resolve", ("%s:%d:127.0.0.1"):format(OLD, p.tls_port))
    assert.equal(there .. "rest/", decoded(answer).client_endpoint)
  end)
end)

describe("another address on loopback", function()
  it("answers, and its certificate names it", function()
    assert.equal(200, call((p.webhook:gsub("127%.0%.0%.1", "127.0.0.2")) .. "profile", "{}").status)
    local answer = call((p.tls_webhook:gsub("127%.0%.0%.1", "127.0.0.2")) .. "profile", "{}", "--cacert", p.ca_file)
    assert.same({ 0, 200 }, { answer.exit, answer.status })
  end)
  it("is not there unless it is asked for", function()
    local other = portal.start()
    finally(function() other:stop() end)
    assert.equal(7, call((other.webhook:gsub("127%.0%.0%.1", "127.0.0.2")) .. "profile", "{}").exit)
  end)
end)

describe("an event", function()
  local handler

  setup(function() handler = portal.start() end)
  teardown(function() handler:stop() end)
  before_each(function() handler:clear() end)

  local function received()
    local entry = handler:journal()[1]
    return entry, php.parse_query(entry.body)
  end

  it("is a form with the portal's token", function()
    handler:script { { status = 200, body = "thanks" } }
    local status, body = p:send_event { url = handler.url .. "handler?a=1", event = "OnTaskAdd", ts = 1712137817,
      data = { FIELDS_AFTER = { ID = 5, TITLE = "a & b" } } }
    assert.same({ 200, "thanks" }, { status, body })
    local entry, form = received()
    assert.same({ "POST", "/handler", "a=1", "application/x-www-form-urlencoded" },
      { entry.http_method, entry.path, entry.query, entry.headers["content-type"] })
    assert.same({
      event = "ONTASKADD", data = { FIELDS_AFTER = { ID = "5", TITLE = "a & b" } }, ts = "1712137817",
      auth = { domain = p.tls_url:match("//([^/]*)"), member_id = "m-1", application_token = "at-1",
        client_endpoint = p.tls_url .. "rest/", server_endpoint = p.tls_url .. "rest/" },
    }, form)
    assert.matches("^event=ONTASKADD&data%%5BFIELDS_AFTER%%5D%%5BID%%5D=5&", entry.body)
  end)
  it("of an installation brings tokens that work", function()
    p:send_event { url = handler.url, event = "ONAPPINSTALL" }
    local _, form = received()
    assert.same({ "1", "at-1", "1", "3600" },
      { form.data.VERSION, form.auth.application_token, form.auth.user_id, form.auth.expires_in })
    assert.equal(200, profile(form.auth.access_token).status)
    assert.equal(200, ask_tokens("grant_type=refresh_token&refresh_token=" .. form.auth.refresh_token).status)
  end)
  it("can be forged", function()
    p:send_event { url = handler.url, event = "ONTASKADD", application_token = "wrong", auth = { member_id = "m-2" } }
    local _, form = received()
    assert.same({ "wrong", "m-2" }, { form.auth.application_token, form.auth.member_id })
  end)
  it("tells when nobody answers, and does not wait where it must not", function()
    local status, why = p:send_event { url = "http://127.0.0.1:1/", event = "ONTASKADD" }
    assert.is_nil(status)
    assert.matches("127%.0%.0%.1", why)
    handler:script { { delay = 3 } }
    assert.is_true(p:send_event { url = handler.url, event = "ONTASKADD", wait = false })
    assert.is_true(support.eventually(function() return #handler:journal() == 1 end))
    handler:script { { delay = 3 } }
    assert.is_nil((p:send_event { url = handler.url, event = "ONTASKADD", timeout = 0.1 }))
  end)
end)

describe("REST v3", function()
  it("runs a write with an Idempotency-Key once", function()
    local url = ("%srest/api/1/%s/tasks.api.scrum.epic.add"):format(p.url, p.secret)
    local body = '{"fields":{"groupId":125,"name":"E"}}'
    local first = call(url, body, "-H", "Idempotency-Key: k-1")
    local second = call(url, body, "-H", "Idempotency-Key: k-1")
    assert.same({ 200, first.body }, { second.status, second.body })
    local answer = call(url, '{"fields":{"groupId":125,"name":"F"}}', "-H", "Idempotency-Key: k-1")
    assert.same({ 422, "BITRIX_REST_V3_EXCEPTION_IDEMPOTENCYKEYREUSEDEXCEPTION" },
      { answer.status, decoded(answer).error.code })
    local journal = p:journal()
    assert.same({ true, false, false }, { journal[1].executed, journal[2].executed, journal[3].executed })
    assert.same({ nil, true, nil }, { journal[1].replayed, journal[2].replayed, journal[3].replayed })
  end)
end)

describe("operating", function()
  it("is told in answers, ends in 429, and need not be there", function()
    local other = portal.start { operating = { limit = 10, method_seconds = { profile = 6 } } }
    finally(function() other:stop() end)
    local time = decoded(call(other.webhook .. "profile", "{}")).time
    assert.equal(6, time.operating)
    assert.is_true(time.operating_reset_at > time.finish + 500 and time.operating_reset_at <= time.finish + 600)
    assert.equal(0, time.operating_reset_at % 60)
    assert.equal(200, call(other.webhook .. "profile", "{}").status)
    local answer = call(other.webhook .. "profile", "{}")
    assert.same({ 429, "OPERATION_TIME_LIMIT" }, { answer.status, decoded(answer).error })
    assert.is_false(other:journal()[3].executed)
    local without = portal.start { operating = false }
    time = decoded(call(without.webhook .. "profile", "{}")).time
    without:stop()
    assert.is_nil(time.operating)
    assert.is_nil(time.operating_reset_at)
  end)
end)
