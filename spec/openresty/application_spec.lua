-- That examples/openresty-app/ does what it says: installations, events, strangers, floods, the page; and that the workers of one
-- nginx renew tokens once. Tagged, because nginx's Lua is LuaJIT whichever Lua runs the spec.
local server = require "openresty.server"
local support = require "portal.support"

describe("the application in nginx #once", function()
  local portal, nginx, directory

  local function read(path)
    local file = assert(io.open(path))
    local text = file:read("*a")
    file:close()
    return text
  end

  setup(function()
    portal = require("bitrix.portal").start()
    directory = support.run("mktemp -d"):match("%S+")
    -- The handlers are the example's own.
    local locations = read("examples/openresty-app/nginx.conf"):match("(location = /install.-\n    location = / [^\n]+)\n")
    nginx = server.start{
      workers = 4,
      files = { ["app.lua"] = read("examples/openresty-app/app.lua") },
      main = ([[env BITRIX24_CLIENT_ID=%s; env BITRIX24_CLIENT_SECRET=%s; env BITRIX24_TOKENS=%s/tokens.json;
        env BITRIX24_TOKEN_URL=%soauth/token/;]]):format(portal.app.client_id, portal.app.client_secret, directory, portal.url),
      http = [[lua_shared_dict events 10m; lua_shared_dict bitrix 1m; client_max_body_size 64k; client_body_buffer_size 64k;
        init_by_lua_block { require "app" }]],
      server = assert(locations),
    }
  end)
  teardown(function()
    nginx:stop()
    portal:stop()
    support.run("rm -rf " .. support.quote(directory))
  end)

  local function url(path) return ("http://127.0.0.1:%d%s"):format(nginx.port, path) end

  -- Requests of the portal's journal, by path.
  local function asked(pattern)
    local list = {}
    for _, request in ipairs(portal:journal()) do
      if request.path:find(pattern) then list[#list + 1] = request end
    end
    return list
  end

  local function eventually(condition, words) assert.is_true(server.eventually(condition), words .. "\n" .. nginx:log():sub(-2000)) end

  it("refuses events of a portal that has not installed it", function()
    assert.equal(403, (portal:send_event{ url = url("/event"), event = "ONTASKADD", data = { FIELDS_AFTER = { ID = 1 } } }))
    assert.equal(0, #portal:journal())
  end)

  it("keeps no installation that the token host does not know", function()
    local forged = portal:issue_tokens()
    forged.refresh_token = "made up"
    assert.equal(200, (portal:send_event{ url = url("/install"), event = "ONAPPINSTALL", tokens = forged }))
    eventually(function() return #asked("^/oauth/") == 1 end, "the token host is asked")
    -- Real tokens, but said to be of another portal.
    assert.equal(200, (portal:send_event{ url = url("/install"), event = "ONAPPINSTALL", auth = { member_id = "victim" } }))
    eventually(function() return #asked("^/oauth/") == 2 end, "the token host is asked")
    eventually(function() return select(2, nginx:log():gsub("not real", "")) == 2 end, "both are refused")
    assert.is_nil(io.open(directory .. "/tokens.json"))
  end)

  it("keeps the tokens of an installation", function()
    portal:clear()
    assert.equal(200, (portal:send_event{ url = url("/install"), event = "ONAPPINSTALL" }))
    local file = require("bitrix.store.file").new(directory .. "/tokens.json")
    eventually(function() return file:load("portal:" .. portal.app.member_id) ~= nil end, "the portal is kept")
    assert.equal(portal.app.application_token, file:load("portal:" .. portal.app.member_id).application_token)
    assert.is_string(file:load(("%s:%s"):format(portal.app.client_id, portal.app.member_id)).refresh_token)
  end)

  it("answers an event at once and works on it later", function()
    portal:clear()
    portal:script{ { method = "tasks.api.scrum.task.get", pass = true, delay = 1 } }
    local status = portal:send_event{ url = url("/event"), event = "ONTASKADD", data = { FIELDS_AFTER = { ID = 1 } } }
    assert.equal(200, status)
    eventually(function() return #asked("task%.get") == 1 end, "the task is looked up")
    assert.equal("1", tostring(asked("task%.get")[1].params.id))
  end)

  it("refuses a stranger's event, and a portal's own with another token", function()
    portal:clear()
    for _, options in ipairs{
      { application_token = "x" }, { application_token = portal.app.application_token .. "x" }, { auth = { member_id = "another" } },
      { auth = { application_token = "" } },
    } do
      options.url, options.event, options.data = url("/event"), "ONTASKADD", { FIELDS_AFTER = { ID = 2 } }
      assert.equal(403, (portal:send_event(options)))
    end
    assert.equal(403, support.curl(url("/event"), "-d", "").status)
    assert.equal(413, support.curl(url("/event"), "-d", ("x"):rep(70000)).status)
    assert.equal(0, #portal:journal())
  end)

  it("stands a flood of forged events, and real ones get through", function()
    portal:clear()
    local forged = "event=ONTASKADD&data[FIELDS_AFTER][ID]=3&auth[member_id]=" .. portal.app.member_id
      .. "&auth[application_token]=forged"
    local flood = io.popen(("for i in 1 2 3 4; do curl -s -o /dev/null -w '%%{http_code}\\n' -d %s %s & done; wait"):format(
      support.quote(forged), support.quote(url("/event") .. "?[1-250]")))
    assert.equal(200, (portal:send_event{ url = url("/event"), event = "ONTASKADD", data = { FIELDS_AFTER = { ID = 4 } } }))
    local refused = 0
    for line in flood:lines() do
      assert.equal("403", line)
      refused = refused + 1
    end
    flood:close()
    assert.equal(1000, refused)
    eventually(function() return #asked("task%.get") == 1 end, "the real one is worked on")
    assert.equal("4", tostring(asked("task%.get")[1].params.id))
  end)

  it("queues a flood of real events and works on all of them", function()
    portal:clear()
    local real = ("event=ONTASKADD&data[FIELDS_AFTER][ID]=5&auth[member_id]=%s&auth[application_token]=%s"):format(
      portal.app.member_id, portal.app.application_token)
    local output = support.run(("curl -s -o /dev/null -w '%%{http_code}\\n' -d %s %s | sort | uniq -c"):format(
      support.quote(real), support.quote(url("/event") .. "?[1-40]")))
    assert.truthy(output:find("^%s*40 200%s*$"), output)
    eventually(function() return #asked("task%.get") == 40 end, "all are worked on")
  end)

  it("renews expired tokens once, in all workers", function()
    portal:clear()
    portal:expire_tokens()
    local real = ("event=ONTASKADD&data[FIELDS_AFTER][ID]=6&auth[member_id]=%s&auth[application_token]=%s"):format(
      portal.app.member_id, portal.app.application_token)
    -- Connections of their own, so that all workers have some.
    support.run(("for i in $(seq 24); do curl -s -o /dev/null -d %s %s & done; wait"):format(support.quote(real),
      support.quote(url("/event"))))
    eventually(function()
      local good = 0
      for _, request in ipairs(asked("task%.get")) do
        if request.status ~= 401 then good = good + 1 end
      end
      return good == 24
    end, "all are worked on")
    assert.equal(1, #asked("^/oauth/"))
  end)

  it("shows its page to a user of the portal, and to nobody else", function()
    local tokens = portal:issue_tokens{ user = 6 }
    local function open(fields) return support.curl(url("/") .. "?DOMAIN=evil.example", "-d", fields) end
    local page = open(("member_id=%s&AUTH_ID=%s"):format(portal.app.member_id, tokens.access_token))
    assert.equal(200, page.status)
    assert.truthy(page.body:find("You are user 6", 1, true), page.body)
    portal:clear()
    assert.equal(403, open("member_id=another&AUTH_ID=" .. tokens.access_token).status)
    assert.equal(403, open("").status)
    assert.equal(0, #portal:journal())
    assert.equal(403, open("member_id=" .. portal.app.member_id .. "&AUTH_ID=made.up").status)
  end)

  it("writes no secret into the log", function()
    local log = nginx:log()
    for _, secret in ipairs{ portal.app.client_secret, portal.app.application_token } do assert.is_nil(log:find(secret, 1, true)) end
    -- nginx's own word about the body that was too large is all there is.
    for line in nginx:complaints():gmatch("[^\n]+") do assert.truthy(line:find("too large body", 1, true), line) end
  end)
end)

describe("eight workers of nginx #once", function()
  -- With the tokens in each kind of store that several processes can share; each worker has a client of its own.
  local function renew_with(name, store, http)
    it("renew expired tokens once with " .. name, function()
      local portal = require("bitrix.portal").start()
      local directory = support.run("mktemp -d"):match("%S+")
      local tokens = portal:issue_tokens()
      local handler = ([[
        local client
        return function()
          client = client or require("bitrix.safe").new{ limit = false, oauth = {
            client_id = %q, client_secret = %q, endpoint = %q, token_url = %q, access_token = %q, refresh_token = %q,
            key = "k", store = %s } }
          local user, err = client:call("user.current")
          ngx.print(ngx.worker.pid(), " ", user and user.ID or tostring(err), "\n")
        end]]):format(portal.app.client_id, portal.app.client_secret, portal.url .. "rest/", portal.url .. "oauth/token/",
        tokens.access_token, tokens.refresh_token, store:gsub("@", directory))
      local nginx = server.start{
        workers = 8, files = { ["handler.lua"] = handler }, http = http,
        server = [[location = /call { content_by_lua_block { require("handler")() } }]],
      }
      portal:expire_tokens()
      portal:script{ { method = "oauth/token", pass = true, delay = 0.5 } }
      local output = support.run(("for i in $(seq 80); do curl -s http://127.0.0.1:%d/call & done; wait"):format(nginx.port))
      local count, workers = 0, {}
      for pid, answer in output:gmatch("(%d+) ([^\n]+)") do
        assert.equal("1", answer)
        count, workers[pid] = count + 1, true
      end
      local renewals = 0
      for _, request in ipairs(portal:journal()) do
        if request.path:find("^/oauth/") then renewals = renewals + 1 end
      end
      local complaints = nginx:complaints()
      nginx:stop()
      portal:stop()
      support.run("rm -rf " .. support.quote(directory))
      assert.equal(80, count)
      assert.truthy(next(workers, next(workers)), "one worker did it all")
      assert.equal(1, renewals)
      assert.equal("", complaints)
    end)
  end

  renew_with("a file", [[require("bitrix.store.file").new("@/tokens.json")]])
  renew_with("shared memory", [[require("bitrix.store.dict").new("bitrix")]], "lua_shared_dict bitrix 1m;")
end)
