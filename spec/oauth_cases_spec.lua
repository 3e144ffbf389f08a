-- The cases of spec/cases/peer_cases.json about OAuth, portals that move, and events.
local bitrix = require "bitrix"
local json = require "dkjson"
local peer_cases = require "support.peer_cases"
local safe = require "bitrix.safe"

local CATEGORIES = { auth = true, redirect = true, events = true }

-- Where this client does something else than the case's, on purpose.
local OTHERWISE = {
  C025 = "after invalid_token the store is read again, but the token host is not asked: the reference wants that for expired_token only",
  C056 = "on_move tells of each move when it happens, not when the call was answered",
}

describe("peer case", function()
  local portals, ca_file = {}, nil
  local APP = { client_id = "local.app.id", client_secret = "CLIENT_SECRET" }

  setup(function()
    for _, name in ipairs{ "old", "new", "untrusted" } do
      portals[name] = require("bitrix.portal").start{ secret = "t0kent0ken", app = APP, tls = true }
    end
    -- Whoever moves must be trusted in both places.
    ca_file = os.tmpname()
    local bundle = assert(io.open(ca_file, "w"))
    for _, portal in pairs(portals) do
      for line in io.lines(portal.ca_file) do bundle:write(line, "\n") end
    end
    bundle:close()
  end)
  teardown(function()
    os.remove(ca_file)
    for _, portal in pairs(portals) do portal:stop() end
  end)

  -- The case's host names are portals of this machine; one of them has another name.
  local function portal_of(host)
    return host:find("^untrusted") and portals.untrusted or host:find("^new") and portals.new or portals.old
  end

  local function place_of(host)
    local port = portal_of(host).tls_port
    return ("https://%s:%d"):format(host:find("^untrusted") and "localhost" or "127.0.0.1", port)
  end

  local function body_of(response)
    return type(response.body) == "table" and json.encode(setmetatable(response.body, { __jsontype = "object" })) or response.body
  end

  -- Each answer is the next one of the portal that is asked by then.
  local function script(case)
    local portal = portals.old
    for _, response in ipairs(case.given.responses or {}) do
      local location = response.headers and response.headers.location
      local rule = { method = case.given.method, status = response.http_status, body = body_of(response) }
      if location then
        local host, path = location:match("^https://([^/]+)(.*)$")
        rule.headers = { Location = place_of(host) .. path }
        portal:script{ rule }
        portal = portal_of(host)
      else
        portal:script{ rule }
      end
    end
    for _, response in ipairs(case.given.oauth_responses or {}) do
      portals.old:script{ { method = "oauth/token", status = response.http_status, body = body_of(response) } }
    end
  end

  -- What was asked of all portals: calls, and requests for tokens. No case goes back to a portal.
  local function journals()
    local calls, tokens = {}, {}
    for _, name in ipairs{ "old", "new", "untrusted" } do
      for _, request in ipairs(portals[name]:journal()) do
        local list = request.path:find("^/oauth/") and tokens or calls
        list[#list + 1] = { name = name, request = request }
      end
    end
    return calls, tokens
  end

  local function client_of(case, seen)
    local given = case.given.client
    local options = { retry = false, limit = false, ca_file = ca_file, on_move = function(to) seen.moved = to end }
    if given.auth == "webhook" then
      options.webhook = portals.old.tls_webhook
    else
      options.oauth = { endpoint = portals.old.tls_url .. "rest/", token_url = portals.old.tls_url .. "oauth/token/" }
      for _, name in ipairs{ "client_id", "access_token", "refresh_token" } do options.oauth[name] = given[name] end
      options.oauth.client_secret = APP.client_secret
      if given.refresh_callback or given.auth == "token_func" then
        options.oauth.refresh = function()
          seen.asked = (seen.asked or 0) + 1
          return portals.old:issue_tokens{ access_token = "ACCESS_NEW" }.access_token
        end
      end
    end
    if given.on_domain_change then
      options.allow_hosts = function(host)
        seen.changing = true
        return host ~= "localhost"
      end
    end
    return safe.new(options)
  end

  local function check_error(expected, err)
    assert.is_true(bitrix.is_error(err))
    if expected.http_status then assert.equal(expected.http_status, err.status) end
    if expected.code then assert.equal(expected.code, err.code) end
    if expected.description then assert.equal(expected.description, err.message) end
  end

  local function check_requests(expect, seen, client)
    local calls, tokens = journals()
    if expect.refreshes then assert.equal(expect.refreshes, #tokens) end
    if expect.oauth_http_requests then assert.equal(expect.oauth_http_requests, #tokens) end
    if expect.token_func_calls then assert.equal(expect.token_func_calls, seen.asked) end
    if expect.http_requests then assert.equal(expect.http_requests, #calls) end
    for i, host in ipairs(expect.requested_hosts or {}) do
      assert.equal(place_of(host), place_of(calls[i].name))
      assert.equal(#expect.requested_hosts, #calls)
    end
    if expect.second_request then
      local second = calls[2]
      assert.equal("new", second.name)
      assert.equal(expect.second_request.http_method, second.request.http_method)
      assert.truthy(second.request.body:find(expect.second_request.body_contains, 1, true))
    end
    if expect.domain_after then
      local place = place_of(expect.domain_after:match("//(.*)$"))
      assert.equal(("bitrix.client (%s)"):format(place), tostring(client))
      assert.equal(place, seen.moved)
    end
    if expect.events then assert.is_true(seen.changing) end
  end

  local run = {}

  function run.calls(case)
    local seen, expect = {}, case.expect
    local client = client_of(case, seen)
    local list = {}
    for i = 1, case.given.concurrent_calls or case.given.calls or 1 do list[i] = i end
    if case.given.action == "refresh" then portals.old:expire_tokens() end
    local method = case.given.method or "user.current"
    local outcomes = bitrix.map(list, function()
      local result, more = client:call(method, {})
      return { result = result, more = more }
    end, { concurrency = case.given.concurrent_calls or 1 })
    for _, outcome in ipairs(outcomes) do
      if expect.ok == true then assert.not_nil(outcome.result, tostring(outcome.more)) end
      if expect.ok == false then
        assert.is_nil(outcome.result)
        check_error(expect.error or {}, outcome.more)
      end
      if expect.result then assert.same(expect.result, outcome.result) end
      if expect["error.phase"] then assert.equal(expect["error.phase"], outcome.more.phase) end
      if expect["error.kind"] == "domain_change_rejected" then assert.equal("redirect_refused", outcome.more.reason) end
    end
    if expect["error.new_domain_or_followed"] then
      assert.equal(place_of(expect["error.new_domain_or_followed"]), seen.moved)
    end
    check_requests(expect, seen, client)
    client:close()
  end

  function run.C025(case)
    local client = client_of(case, {})
    local result, err = client:call(case.given.method)
    assert.is_nil(result)
    assert.equal("invalid_token", err.reason)
    local calls, tokens = journals()
    assert.same({ 1, 0 }, { #calls, #tokens })
  end

  function run.C251(case)
    local body = "event=ONUSERADD&auth[application_token]=app-token"
    for name, value in pairs(case.given.event_auth) do body = ("%s&auth[%s]=%s"):format(body, name, tostring(value)) end
    local event = assert(bitrix.event.parse(body, { application_token = "app-token" }))
    assert.equal(case.expect.is_system, event.is_system)
    for i, id in ipairs(case.given.app_info_user_ids) do
      assert.equal(case.expect.valid[i], require("bitrix.event").is_from(event, id))
    end
  end

  function run.C252(case)
    local body = "event=ONUSERADD&auth[application_token]=" .. case.given.event_auth.application_token
    assert.same({ nil, "wrong_token" },
      { bitrix.event.parse(body, { application_token = case.given.expected_application_token }) })
  end

  local ran, known = 0, {}
  for _, case in ipairs(peer_cases.read()) do
    known[case.id] = true
    if CATEGORIES[case.category] then
      ran = ran + 1
      local otherwise = OTHERWISE[case.id]
      it(("%s (%s): %s%s"):format(case.id, case.category, case.name, otherwise and " (otherwise: " .. otherwise .. ")" or ""), function()
        for _, portal in pairs(portals) do portal:clear() end
        local access = case.given.client and case.given.client.access_token or "ACCESS_OLD"
        portals.old:issue_tokens{ access_token = access, refresh_token = "REFRESH_OLD" }
        script(case)
        if run[case.id] then return run[case.id](case) end
        run.calls(case)
      end)
    end
  end

  it("is there in each category", function()
    assert.equal(24, ran)
    for id in pairs(OTHERWISE) do assert.is_true(known[id]) end
  end)
end)
