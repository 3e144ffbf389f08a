-- OAuth 2.0: tokens in calls, renewed once for all who need it, by coroutines, clients and processes.
local bitrix = require "bitrix"
local core = require "bitrix.core"
local file = require "bitrix.store.file"
local memory = require "bitrix.store.memory"
local safe = require "bitrix.safe"
local redis = require "support.redis"
local support = require "portal.support"

describe("OAuth", function()
  local portal, tokens

  setup(function() portal = require("bitrix.portal").start() end)
  teardown(function() portal:stop() end)
  before_each(function()
    portal:clear()
    tokens = portal:issue_tokens()
  end)

  -- A client's options; `false` takes one away.
  local function oauth(more)
    local options = {
      client_id = portal.app.client_id, client_secret = portal.app.client_secret, endpoint = portal.url .. "rest/",
      access_token = tokens.access_token, refresh_token = tokens.refresh_token, token_url = portal.url .. "oauth/token/",
    }
    for name, value in pairs(more or {}) do options[name] = value or nil end
    return options
  end

  local function new(more, others)
    local options = { oauth = oauth(more), limit = false }
    for name, value in pairs(others or {}) do options[name] = value end
    return safe.new(options)
  end

  -- What the portal was asked: how many requests for tokens, how many calls, and their answers.
  local function asked()
    local count = { tokens = 0, calls = 0 }
    for _, request in ipairs(portal:journal()) do
      local name = request.path:find("^/oauth/") and "tokens" or "calls"
      count[name] = count[name] + 1
    end
    return count
  end

  local function token_rule(status, body) return { method = "oauth/token", status = status, body = body } end

  describe("in a call", function()
    it("is the member `auth` of the body, last, and nowhere else", function()
      local client = new()
      assert.is_table(client:call("user.current"))
      assert.is_table(client.scrum.backlog_get_fields())
      client:call("tasks.api.scrum.backlog.get", { id = 125 })
      for _, request in ipairs(portal:journal()) do
        assert.equal("POST", request.http_method)
        assert.is_nil(request.path:find(tokens.access_token, 1, true))
        assert.is_nil(request.query ~= "" and request.query or nil)
        assert.equal(tokens.access_token, request.params.auth)
        for _, value in pairs(request.headers) do assert.is_nil(tostring(value):find(tokens.access_token, 1, true)) end
      end
      assert.equal(('{"id":125,"auth":"%s"}'):format(tokens.access_token), portal:journal()[3].body)
      assert.equal(("bitrix.client (%s)"):format((portal.url:gsub("/$", ""))), tostring(client))
    end)

    it("cannot be sent beside a list", function()
      local client = new()
      local ok, problem = pcall(client.call, client, "x", { 1, 2 })
      assert.is_false(ok)
      assert.truthy(problem:find("names expected, got a list", 1, true))
    end)

    it("is renewed once after expired_token, saved, and the call repeated, within one call", function()
      portal:expire_tokens()
      local store, told = memory.new(), nil
      local client = new{ store = store, key = "k", on_refresh = function(new_tokens)
        told = new_tokens
        assert.equal(new_tokens.access_token, store:load("k").access_token)
      end }
      local user, info = client:call("user.current")
      assert.is_table(user, tostring(info))
      assert.equal(2, #info.attempts)
      assert.same({ 401, 200 }, { info.attempts[1].status, info.attempts[2].status })
      assert.same({ tokens = 1, calls = 2 }, asked())
      assert.not_equal(tokens.access_token, told.access_token)
      assert.not_equal(tokens.refresh_token, told.refresh_token)
      assert.equal(told.refresh_token, store:load("k").refresh_token)
      assert.equal(portal.app.member_id, told.member_id)
      assert.is_table(client:call("user.current"))
      assert.same({ tokens = 1, calls = 3 }, asked())
    end)

    it("is asked for in a form, with no secret in an address", function()
      portal:expire_tokens()
      new():call("user.current")
      local request = portal:journal()[2]
      assert.equal("POST", request.http_method)
      assert.equal("/oauth/token/", request.path)
      assert.equal("application/x-www-form-urlencoded", request.headers["content-type"])
      assert.equal(portal.app.client_secret, request.params.client_secret)
      assert.equal(tokens.refresh_token, request.params.refresh_token)
      assert.equal("refresh_token", request.params.grant_type)
      for _, each in ipairs(portal:journal()) do
        local address = each.path .. (each.query or "")
        for _, secret in ipairs{ portal.app.client_secret, tokens.refresh_token, tokens.access_token } do
          assert.is_nil(address:find(secret, 1, true))
        end
      end
    end)

    it("is renewed once only: a second refusal is the answer", function()
      local expired = { status = 401, body = '{"error":"expired_token","error_description":"no"}', method = "user.current" }
      portal:script{ expired, expired }
      local result, err = new():call("user.current")
      assert.is_nil(result)
      assert.equal("expired_token", err.reason)
      assert.equal(2, #err.attempts)
      assert.same({ tokens = 1, calls = 2 }, asked())
    end)

    it("is not renewed where there is no refresh token", function()
      portal:expire_tokens()
      local _, err = new{ refresh_token = false, client_id = false, client_secret = false }:call("user.current")
      assert.equal("expired_token", err.reason)
      assert.same({ tokens = 0, calls = 1 }, asked())
    end)

    it("is not renewed for other failures", function()
      for _, code in ipairs{ "insufficient_scope", "NO_AUTH_FOUND", "invalid_token", "ACCESS_DENIED" } do
        portal:clear()
        portal:script{ { status = 401, body = ('{"error":"%s"}'):format(code) } }
        assert.is_nil((new({}, { retry = false }):call("user.current")))
        assert.same({ tokens = 0, calls = 1 }, asked())
      end
    end)

    it("waits within the call's deadline", function()
      portal:expire_tokens()
      portal:script{ { method = "oauth/token", pass = true, delay = 20 } }
      local from = core.now()
      local _, err = new({}, { deadline = 0.5 }):call("user.current")
      assert.is_true(core.now() - from < 5)
      assert.equal("timeout", err.kind)
      assert.equal("no", err.executed)
      assert.equal("refresh", err.phase)
    end)
  end)

  describe("when the token host refuses", function()
    local cases = {
      { 400, '{"error":"invalid_grant","error_description":"revoked"}', "auth", "invalid_grant" },
      { 400, '{"error":"bad_verification_code"}', "auth", "invalid_grant" },
      { 401, '{"error":"invalid_client"}', "auth", "invalid_client" },
      { 400, '{"error":"invalid_request"}', "auth", "invalid_request" },
      { 403, '{"error":"insufficient_scope"}', "auth", "insufficient_scope" },
      { 400, '{"error":"invalid_scope"}', "auth", "invalid_scope" },
      { 402, '{"error":"PAYMENT_REQUIRED"}', "auth", "payment_required" },
      { 200, '{"error":"wrong_client","error_description":"no"}', "auth", "wrong_client" },
      { 400, '{"error":"x","error_description":"Portal domain not found or inaccessible"}', "auth", "portal_not_found" },
      { 400, '{"error":"unknown_error"}', "auth", "unknown" },
      { 503, '{"error":"service_unavailable"}', "auth", "token_host_unavailable" },
      { 500, "{}", "auth", "token_host_unavailable" },
      { 502, "<html>", "protocol", "not_json" },
      { 200, "{}", "protocol", "bad_shape" },
      { 200, "[1]", "protocol", "bad_shape" },
      { 200, '{"access_token":"","refresh_token":"x"}', "protocol", "bad_shape" },
      { 200, '{"access_token":"a b","refresh_token":"x"}', "auth", "bad_token" },
      { 302, "", "auth", "redirect_refused" },
    }
    for _, case in ipairs(cases) do
      it(("HTTP %d %s is %s, %s"):format(case[1], case[2], case[3], case[4]), function()
        portal:expire_tokens()
        local rule = token_rule(case[1], case[2])
        if case[1] == 302 then rule = { method = "oauth/token", redirect = portal.url .. "rest/oauth/token/" } end
        portal:script{ rule }
        local result, err = new():call("user.current")
        assert.is_nil(result)
        assert.same({ case[3], case[4], "no", "refresh", "user.current" }, { err.kind, err.reason, err.executed, err.phase, err.method })
        assert.same({ tokens = 1, calls = 1 }, asked())
        if case[3] == "auth" and case[1] ~= 302 and case[4] ~= "bad_token" then assert.equal(case[1], err.status) end
      end)
    end

    it("for good, it is not asked again, by no client of the store", function()
      portal:expire_tokens()
      portal:script{ token_rule(400, '{"error":"invalid_grant"}') }
      local store = memory.new()
      local first, second = new{ store = store }, new{ store = store }
      for _, client in ipairs{ first, second, first, new{ store = store } } do
        local _, err = client:call("user.current")
        assert.equal("invalid_grant", err.reason)
      end
      assert.equal(1, asked().tokens)
    end)

    it("for good, new tokens in the options or by an exchange are taken", function()
      portal:expire_tokens()
      portal:script{ token_rule(400, '{"error":"invalid_grant"}') }
      local store = memory.new()
      local old = new{ store = store, member_id = portal.app.member_id }
      assert.is_nil((old:call("user.current")))
      local fresh = portal:issue_tokens()
      local client = new{ store = store, member_id = portal.app.member_id, access_token = fresh.access_token,
        refresh_token = fresh.refresh_token }
      assert.is_table(client:call("user.current"))
      assert.equal(1, asked().tokens)
      assert.is_table(safe.oauth.exchange{ client_id = portal.app.client_id, client_secret = portal.app.client_secret,
        code = portal:issue_code(), store = store, token_url = portal.url .. "oauth/token/" })
      assert.is_table(old:call("user.current"))
      assert.equal(2, asked().tokens)
    end)

    it("for now, the next call asks again", function()
      portal:expire_tokens()
      portal:script{ token_rule(503, "{}") }
      local client = new()
      assert.is_nil((client:call("user.current")))
      assert.is_table(client:call("user.current"))
      assert.equal(2, asked().tokens)
    end)

    it("tokens of another portal are not taken", function()
      portal:expire_tokens()
      local store = memory.new()
      local _, err = new{ store = store, member_id = "another" }:call("user.current")
      assert.equal("wrong_portal", err.reason)
    end)
  end)

  describe("one refresh for all:", function()
    it("two hundred tasks", function()
      portal:expire_tokens()
      local client = new()
      local calls = {}
      for i = 1, 200 do calls[i] = function() return client:call("user.current") end end
      local done = bitrix.map(calls, function(call) return call() ~= nil end, { concurrency = 200 })
      for i = 1, 200 do assert.is_true(done[i], i) end
      assert.equal(1, asked().tokens)
    end)

    it("two hundred tasks of ten clients that share a store", function()
      portal:expire_tokens()
      local store, clients = memory.new(), {}
      for i = 1, 10 do clients[i] = new{ store = store } end
      local numbers = {}
      for i = 1, 200 do numbers[i] = i end
      local done = bitrix.map(numbers, function(i) return clients[i % 10 + 1]:call("user.current") ~= nil end, { concurrency = 200 })
      for i = 1, 200 do assert.is_true(done[i], i) end
      assert.equal(1, asked().tokens)
    end)

    it("a failure is told to all who waited, each with an error of their own", function()
      portal:expire_tokens()
      portal:script{ { method = "oauth/token", status = 503, body = "{}", delay = 0.3 } }
      local store, clients, numbers = memory.new(), {}, {}
      for i = 1, 5 do clients[i] = new{ store = store } end
      for i = 1, 20 do numbers[i] = i end
      local errors = bitrix.map(numbers, function(i) return (select(2, clients[i % 5 + 1]:call("user.current"))) end,
        { concurrency = 20 })
      local seen = {}
      for i = 1, 20 do
        assert.equal("token_host_unavailable", errors[i].reason)
        assert.is_nil(seen[errors[i]])
        seen[errors[i]] = true
      end
      assert.equal(1, asked().tokens)
    end)

    it("who is in a hurry does not fail the others", function()
      portal:expire_tokens()
      portal:script{ { method = "oauth/token", pass = true, delay = 1 } }
      local store = memory.new()
      local hurry, patient = new({ store = store }, { deadline = 0.4 }), new{ store = store }
      local results = bitrix.map({ hurry, patient, patient }, function(client) return client:call("user.current") ~= nil end,
        { concurrency = 3 })
      assert.is_false(results[1])
      -- The refresh token that the hurried one has sent may be used up; what counts is that the others asked for themselves.
      assert.is_true(asked().tokens >= 2)
    end)

    local function start(script) return io.popen(support.lua_command(script) .. " 2>&1") end

    -- A Lua process that makes a client with the store, a piece of Lua, and calls when the file `go` is there.
    local function caller(store, go, calls)
      return start(([[
        local safe = require "bitrix.safe"
        local client = safe.new{ limit = false, oauth = { client_id = %q, client_secret = %q, endpoint = %q, access_token = %q,
          refresh_token = %q,
          token_url = %q, store = %s, key = "k" } }
        while not io.open(%q) do os.execute("sleep 0.01") end
        for i = 1, %d do
          local user, err = client:call("user.current")
          if not user then print(tostring(err)) os.exit(1) end
        end
        print("done")]]):format(portal.app.client_id, portal.app.client_secret, portal.url .. "rest/", tokens.access_token,
          tokens.refresh_token, portal.url .. "oauth/token/", store, go, calls))
    end

    -- `store_of(directory)`: a piece of Lua that makes the store.
    local function check_twenty_processes(store_of)
      local directory = support.run("mktemp -d"):match("%S+")
      portal:expire_tokens()
      -- Slow enough for all to meet expired_token meanwhile.
      portal:script{ { method = "oauth/token", pass = true, delay = 0.5 } }
      local pipes = {}
      for i = 1, 20 do pipes[i] = caller(store_of(directory), directory .. "/go", 2) end
      support.run("touch " .. directory .. "/go")
      for i, pipe in ipairs(pipes) do
        assert.equal("done", pipe:read("*a"):match("%S.*%S"), "process " .. i)
        pipe:close()
      end
      support.run("rm -rf " .. support.quote(directory))
      local refused = 0
      for _, request in ipairs(portal:journal()) do
        if request.status == 401 then refused = refused + 1 end
      end
      assert.is_true(refused >= 10, "only " .. refused .. " met expired_token")
      assert.equal(1, asked().tokens)
    end

    it("twenty processes with a file store", function()
      check_twenty_processes(function(directory)
        return ("require('bitrix.store.file').new(%q)"):format(directory .. "/tokens.json")
      end)
    end)

    it("twenty processes with Redis", function()
      local server = redis.start()
      check_twenty_processes(function() return ("require('bitrix.store.redis').new{ port = %d }"):format(server.port) end)
      server.stop()
    end)

    it("a process that is killed while it renews costs the others its request, not the lock's life", function()
      local directory = support.run("mktemp -d"):match("%S+")
      local path = directory .. "/tokens.json"
      portal:expire_tokens()
      portal:script{ { method = "oauth/token", status = 503, body = "{}", delay = 5 } }
      support.run("touch " .. directory .. "/go")
      local pipe = io.popen(("%s & echo $!; wait 2>/dev/null"):format(support.lua_command(([[
        require("bitrix.safe").new{ oauth = { client_id = %q, client_secret = %q, endpoint = %q, access_token = %q, refresh_token = %q,
          token_url = %q, store = require("bitrix.store.file").new(%q), key = "k" } }:call("user.current")]]):format(portal.app.client_id,
          portal.app.client_secret, portal.url .. "rest/", tokens.access_token, tokens.refresh_token, portal.url .. "oauth/token/",
            path)):gsub("^", "exec ")))
      local pid = assert(tonumber(pipe:read("*l")))
      local store = file.new(path)
      assert.is_true(support.eventually(function()
        local unlock, why = store:lock("k", 1)
        if unlock then unlock() end
        return why == "locked"
      end))
      support.run("kill -9 " .. pid)
      local from = core.now()
      assert.is_table(new{ store = store, key = "k" }:call("user.current"))
      assert.is_true(core.now() - from < 15, "waited for a dead process")
      pipe:close()
      support.run("rm -rf " .. support.quote(directory))
    end)
  end)

  describe("a store", function()
    -- A store whose methods can be told to fail.
    local function failing()
      local store, broken = memory.new(), {}
      local outer = {}
      for _, name in ipairs{ "load", "save", "lock" } do
        outer[name] = function(_, ...)
          if broken[name] then return nil, "the disk says " .. tokens.refresh_token end
          return store[name](store, ...)
        end
      end
      return outer, broken, store
    end

    it("that fails is an auth error of the reason store, without a secret", function()
      for _, name in ipairs{ "load", "save", "lock" } do
        local store, broken = failing()
        portal:expire_tokens()
        broken[name] = true
        local _, err = new{ store = store }:call("user.current")
        assert.same({ "auth", "store", "no" }, { err.kind, err.reason, err.executed })
        assert.is_nil(err.message:find(tokens.refresh_token, 1, true), err.message)
      end
    end)

    it("that did not take the new tokens is offered them again before they are used", function()
      local outer, broken, inner = failing()
      portal:expire_tokens()
      local client = new{ store = outer, key = "k" }
      broken.save = true
      assert.equal("store", (select(2, client:call("user.current"))).reason)
      assert.equal("store", (select(2, client:call("user.current"))).reason)
      assert.same({ tokens = 1, calls = 1 }, asked())
      broken.save = nil
      assert.is_table(client:call("user.current"))
      assert.same({ tokens = 1, calls = 2 }, asked())
      assert.not_equal(tokens.access_token, inner:load("k").access_token)
    end)

    it("has what counts: options are old as soon as it was written", function()
      portal:expire_tokens()
      local store = memory.new()
      assert.is_table(new{ store = store }:call("user.current"))
      assert.is_table(new{ store = store }:call("user.current"))
      assert.equal(1, asked().tokens)
    end)

    it("is read again after invalid_token: another process may have renewed", function()
      local store = memory.new()
      local client = new{ store = store, key = "k" }
      assert.is_table(client:call("user.current"))
      local fresh = portal:issue_tokens()
      store:save("k", fresh)
      portal:script{ { status = 401, body = '{"error":"invalid_token"}' } }
      assert.is_table(client:call("user.current"))
      assert.equal(0, asked().tokens)
      assert.equal(fresh.access_token, portal:journal()[3].params.auth)
    end)

    it("that is all a client has, with a member_id", function()
      local store = memory.new()
      local options = { endpoint = false, access_token = false, refresh_token = false, store = store, member_id = portal.app.member_id }
      local client = new(options)
      local _, err = client:call("user.current")
      assert.same({ "auth", "no_tokens", "no" }, { err.kind, err.reason, err.executed })
      assert.equal(0, #portal:journal())
      assert.is_table(safe.oauth.exchange{ client_id = portal.app.client_id, client_secret = portal.app.client_secret,
        code = portal:issue_code(), store = store, token_url = portal.url .. "oauth/token/" })
      assert.is_table(client:call("user.current"))
      assert.is_table(new(options):call("user.current"))
    end)
  end)

  describe("the application's own refresh function", function()
    it("is asked in place of the token host", function()
      portal:expire_tokens()
      local fresh, got = portal:issue_tokens(), nil
      local client = new{ client_id = false, client_secret = false, refresh = function(old)
        got = old
        return fresh
      end }
      assert.is_table(client:call("user.current"))
      assert.equal(tokens.access_token, got.access_token)
      assert.same({ tokens = 0, calls = 2 }, asked())
    end)

    it("may return a token alone, and is asked at the first call where there is none", function()
      local count = 0
      local client = new{ client_id = false, client_secret = false, access_token = false, refresh_token = false, refresh = function()
        count = count + 1
        return portal:issue_tokens().access_token
      end }
      assert.is_table(client:call("user.current"))
      portal:expire_tokens()
      assert.is_table(client:call("user.current"))
      assert.equal(2, count)
    end)

    it("may fail", function()
      portal:expire_tokens()
      for _, refresh in ipairs{ function() return nil, "no more" end, function() error("no more") end,
        function() return 1, "no more" end } do
        local _, err = new{ refresh = refresh }:call("user.current")
        assert.same({ "auth", "refresh_failed" }, { err.kind, err.reason })
        assert.truthy(err.message:find("no more", 1, true))
      end
    end)
  end)

  describe("oauth.exchange", function()
    local function options(more)
      local o = { client_id = portal.app.client_id, client_secret = portal.app.client_secret, token_url = portal.url .. "oauth/token/" }
      for name, value in pairs(more) do o[name] = value end
      return o
    end

    it("turns a code into tokens, once", function()
      local code = portal:issue_code()
      local got, info = safe.oauth.exchange(options{ code = code })
      assert.is_string(got.access_token)
      assert.is_string(got.refresh_token)
      assert.equal(portal.app.member_id, got.member_id)
      assert.equal(200, info.status)
      assert.equal(1, #info.attempts)
      local nothing, err = safe.oauth.exchange(options{ code = code })
      assert.is_nil(nothing)
      assert.same({ "auth", "invalid_grant", "oauth.token", 1 }, { err.kind, err.reason, err.method, #err.attempts })
      assert.is_false((pcall(bitrix.oauth.exchange, options{ code = code })))
      assert.is_table(bitrix.oauth.exchange(options{ code = portal:issue_code() }))
    end)

    it("proves tokens that somebody sent, and whose they are", function()
      assert.is_table(safe.oauth.exchange(options{ refresh_token = tokens.refresh_token, member_id = portal.app.member_id }))
      local _, err = safe.oauth.exchange(options{ refresh_token = portal:issue_tokens().refresh_token, member_id = "another" })
      assert.equal("wrong_portal", err.reason)
      _, err = safe.oauth.exchange(options{ refresh_token = "made up" })
      assert.equal("invalid_grant", err.reason)
    end)

    it("says what is wrong at the caller's line", function()
      for _, case in ipairs{
        { {}, "field 'client_id'" }, { options{}, "field 'code'" }, { options{ code = 1 }, "field 'code'" },
        { options{ code = "a", refresh_token = "b" }, "not both" }, { options{ code = "a", store = {} }, "a store expected" },
        { options{ code = "a", token_url = "http://example.com/" }, "https expected" },
        { options{ code = "a", timeout = "x" }, "option 'timeout'" }, { options{ code = "a", colour = 1 }, "unknown option 'colour'" },
      } do
        local ok, problem = pcall(function() bitrix.oauth.exchange(case[1]) end)
        assert.is_false(ok)
        assert.truthy(tostring(problem):find("^[^:]*oauth_spec.lua:%d+: bad argument #1 to 'exchange'"), tostring(problem))
        assert.truthy(problem:find(case[2], 1, true), problem)
      end
    end)
  end)

  describe("oauth.authorize_url", function()
    it("is where to send the user, with a state", function()
      local url, state = bitrix.oauth.authorize_url{ client_id = "local.65 &f", domain = "acme.bitrix24.com" }
      assert.equal("https://acme.bitrix24.com/oauth/authorize/?client_id=local.65%20%26f&state=" .. state, url)
      assert.truthy(state:find("^%x+$"))
      assert.equal(32, #state)
      assert.not_equal(state, (select(2, bitrix.oauth.authorize_url{ client_id = "a", domain = "acme.bitrix24.com" })))
      assert.equal("https://x.de/portal/oauth/authorize/?client_id=a&state=b",
        (bitrix.oauth.authorize_url{ client_id = "a", endpoint = "https://x.de/portal/rest/", state = "b" }))
      for _, options in ipairs{ {}, { client_id = "a" }, { client_id = "a", domain = "x y" },
        { client_id = "a", endpoint = "https://x.de/" },
        { client_id = "a", domain = "x.de", state = 1 } } do
        assert.has_error(function() bitrix.oauth.authorize_url(options) end)
      end
    end)
  end)

  describe("the option oauth", function()
    it("is checked, without showing a value", function()
      for _, case in ipairs{
        { { client_secret = false }, "field 'client_secret'" }, { { client_id = false }, "field 'client_id'" },
        { { client_secret = 5 }, "field 'client_secret': string expected, got number" },
        { { access_token = "" }, "field 'access_token'" },
        { { endpoint = false }, "'domain' or 'endpoint'" }, { { domain = "acme.bitrix24.com" }, "not both" },
        { { endpoint = "https://x.de/" }, "REST address" }, { { endpoint = "http://x.de/rest/" }, "https expected" },
        { { endpoint = false, domain = "x.de/s3cr3t?a" }, "a host's name" }, { { store = {} }, "a store expected" },
        { { token_url = "http://example.com/" }, "field 'token_url': https expected" },
        { { acces_token = "s3cr3t" }, "unknown field 'acces_token'" }, { { access_token = "s3cr3t\n" }, "an access token expected" },
        { { access_token = false }, "'access_token', 'store' or 'refresh'" }, { { on_refresh = 1 }, "function expected" },
      } do
        local ok, problem = pcall(new, case[1])
        assert.is_false(ok, case[2])
        assert.truthy(problem:find("bad argument #1 to 'new' (option 'oauth'", 1, true), problem)
        assert.truthy(problem:find(case[2], 1, true), problem)
        assert.is_nil(problem:find("s3cr3t", 1, true))
      end
      local ok, problem = pcall(bitrix.new, { webhook = portal.webhook, oauth = oauth() })
      assert.is_false(ok)
      assert.truthy(problem:find("either a webhook or oauth", 1, true), problem)
      assert.is_false((pcall(bitrix.new, { oauth = "x" })))
    end)

    it("takes a domain in the ways people write it", function()
      for domain, place in pairs{ ["acme.bitrix24.com"] = "https://acme.bitrix24.com",
        ["https://acme.bitrix24.com/"] = "https://acme.bitrix24.com",
        ["intranet.local:8443"] = "https://intranet.local:8443", ["http://127.0.0.1:81"] = "http://127.0.0.1:81" } do
        assert.equal(("bitrix.client (%s)"):format(place), tostring(new{ endpoint = false, domain = domain }))
      end
    end)
  end)
end)
