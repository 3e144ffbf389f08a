-- That calls in nginx do not stand in each other's way: between handlers, between workers, at aborts, reloads, stops and kills.
-- Tagged, because nginx's Lua is LuaJIT whichever Lua runs the spec.
local portal = require "bitrix.portal"
local server = require "openresty.server"
local socket = require "socket"

local GROUPS = 200

local function groups()
  local list = {}
  for id = 1, GROUPS do list[id] = { id = id, backlog = { id = 1000 + id, createdBy = 1, modifiedBy = 0 } } end
  return list
end

local LOCATION = [[ location = /own { content_by_lua_block { require("openresty.app").answer() } } ]]
local IN_INIT = [[ init_by_lua_block { require("openresty.app").client() } ]]

-- Paths for `count` requests, each for a backlog of its own.
local function paths(count)
  local list = {}
  for i = 1, count do list[i] = "/own?id=" .. (i - 1) % GROUPS + 1 end
  return list
end

-- Each got its own answer.
local function assert_own(answers)
  for i, answer in ipairs(answers) do
    local id = (i - 1) % GROUPS + 1
    assert.equal(("%d %d"):format(id, 1000 + id), answer.body or answer.problem)
  end
end

describe("nginx's workers #once", function()
  local p, nginx

  setup(function() p = portal.start { groups = groups() } end)
  teardown(function() p:stop() end)
  before_each(function() p:clear() end)
  after_each(function()
    if nginx then nginx:stop() end
    nginx = nil
  end)

  local function start(options)
    options = options or {}
    options.files = { ["here.lua"] = ("return { webhook = %q }"):format(p.webhook) }
    options.server = (options.server or "") .. LOCATION
    nginx = server.start(options)
    return nginx
  end

  -- Until the portal has received so many requests.
  local function received(count)
    assert.is_true(server.eventually(function() return #p:journal() >= count end))
  end

  -- Descriptors of the first worker once they no longer change: nginx closes some a little later.
  local function settled_descriptors(at_most)
    local pid, count = nginx:workers()[1].pid, nil
    server.eventually(function()
      count = nginx:descriptors(pid)
      return count <= at_most
    end, 15)
    return count
  end

  local function assert_stops()
    nginx:signal("QUIT")
    assert.is_true(nginx:ended(), "a worker is stuck")
    assert.equal("", nginx:complaints())
  end

  it("go on with other requests while calls wait", function()
    start()
    p:script { { pass = true, delay = 2, times = 50 } }
    local began = socket.gettime()
    local slow = nginx:send(paths(50))
    received(50)
    for _ = 1, 20 do assert.equal(200, nginx:get("/ping").status) end
    assert.is_true(socket.gettime() - began < 2, "a ping waited for the calls")
    assert_own(server.collect(slow))
    assert_stops()
  end)

  it("go on with other requests while calls wait for the limit", function()
    start { server = [[ location = /limited { content_by_lua_block {
      local client = require("bitrix.safe").new { webhook = require("here").webhook, limit = { burst = 1, rate = 1 } }
      for id = 1, 3 do
        local backlog, err = client.scrum.backlog_get { groupId = id }
        ngx.print(backlog and backlog.id or tostring(err), " ")
      end
    } } ]] }
    local began = socket.gettime()
    local slow = nginx:send { "/limited" }
    for _ = 1, 20 do assert.equal(200, nginx:get("/ping").status) end
    local pinged = socket.gettime() - began
    assert.equal("1001 1002 1003 ", server.collect(slow)[1].body)
    local waited = socket.gettime() - began
    assert.is_true(waited >= 1 and pinged < waited, ("pings took %.1f s, the calls %.1f s"):format(pinged, waited))
    assert_stops()
  end)

  for _, workers in ipairs { 2, 4 } do
    it(("give no request another's answer: %d, after the client was made in init_by_lua"):format(workers), function()
      start { workers = workers, http = IN_INIT }
      for _ = 1, 5 do assert_own(nginx:get_all(paths(GROUPS))) end
      local seen = {}
      for _, answer in ipairs(nginx:get_all({ "/ping", "/ping", "/ping", "/ping", "/ping", "/ping", "/ping", "/ping" })) do
        seen[answer.body] = true
      end
      assert.equal(workers, #nginx:workers())
      assert.is_not_nil(next(seen))
      assert_stops()
    end)
  end

  it("make more calls at once than their pool keeps connections", function()
    start { connections = 2048 }
    local before = settled_descriptors(1000)
    p:script { { pass = true, delay = 0.5, times = 600 } }
    assert_own(nginx:get_all(paths(600)))
    -- The pool keeps 256, the client some to the portal, the engine the other ends.
    assert.is_true(settled_descriptors(before + 600) <= before + 600)
    assert_own(nginx:get_all(paths(20)))
    assert_stops()
  end)

  it("make calls with no connection left for them", function()
    -- Each of the 50 has its handler before the first call takes a connection; then some ten are left.
    start { connections = 64, server = [[ location = /late { content_by_lua_block {
      ngx.sleep(0.5)
      require("openresty.app").answer()
    } } ]] }
    p:script { { pass = true, delay = 0.5, times = 50 } }
    local late = {}
    for i = 1, 50 do late[i] = "/late?id=" .. i end
    assert_own(nginx:get_all(late))
    assert.matches("worker_connections are not enough", nginx:complaints())
    nginx:signal("QUIT")
    assert.is_true(nginx:ended())
    -- nginx says that its connections are not enough, as it should; that is all.
    for line in nginx:complaints():gmatch("[^\n]+") do assert.matches("worker_connections are not enough", line) end
  end)

  for _, check in ipairs { "on", "off" } do
    it("survive clients that go away, lua_check_client_abort " .. check, function()
      start { server = "lua_check_client_abort " .. check .. ";" }
      assert_own(nginx:get_all(paths(60)))
      local before = nginx:descriptors(nginx:workers()[1].pid)
      p:clear()
      p:script { { pass = true, delay = 3, times = 50 } }
      local began = socket.gettime()
      local slow = nginx:send(paths(50))
      received(50)
      local busy = nginx:descriptors(nginx:workers()[1].pid)
      server.abort(slow)
      assert.equal(200, nginx:get("/ping").status)
      if check == "on" then
        -- The calls are cancelled before their answers come: their connections to the portal are closed.
        assert.is_true(settled_descriptors(busy - 150) <= busy - 150)
        assert.is_true(socket.gettime() - began < 3)
      end
      p:clear()
      assert_own(nginx:get_all(paths(60)))
      assert.is_true(settled_descriptors(before + 60) <= before + 60)
      assert_stops()
    end)
  end

  it("reload with calls in flight, which get their answers", function()
    start { workers = 2, http = IN_INIT }
    local old = nginx:workers()
    p:script { { pass = true, delay = 2, times = 50 } }
    local slow = nginx:send(paths(50))
    received(50)
    nginx:signal("HUP")
    assert.is_true(server.eventually(function() return nginx:workers()[3] ~= nil end))
    assert_own(server.collect(slow))
    assert_own(nginx:get_all(paths(100)))
    assert.is_true(server.eventually(function()
      for _, worker in ipairs(nginx:workers()) do
        if worker.pid == old[1].pid or worker.pid == old[2].pid then return false end
      end
      return true
    end), "an old worker is stuck")
    assert_stops()
  end)

  it("stop gracefully with calls in flight, which get their answers", function()
    start { workers = 2 }
    p:script { { pass = true, delay = 1, times = 50 } }
    local slow = nginx:send(paths(50))
    received(50)
    nginx:signal("QUIT")
    assert_own(server.collect(slow))
    assert.is_true(nginx:ended(), "a worker is stuck")
    assert.equal("", nginx:complaints())
  end)

  it("stop after worker_shutdown_timeout with calls in flight", function()
    start { main = "worker_shutdown_timeout 1s;" }
    p:script { { pass = true, delay = 30, times = 20 } }
    local slow = nginx:send(paths(20))
    received(20)
    nginx:signal("QUIT")
    assert.is_true(nginx:ended(10), "a worker is stuck")
    assert.equal("", nginx:complaints())
    server.abort(slow)
  end)

  it("stop at once with calls in flight", function()
    for _ = 1, 3 do
      p:clear()
      start()
      p:script { { pass = true, delay = 30, times = 30 } }
      local slow = nginx:send(paths(30))
      received(30)
      nginx:signal("TERM")
      assert.is_true(nginx:ended(10), "a worker is stuck")
      assert.is_nil(nginx:log():find("signal 11", 1, true))
      server.abort(slow)
      nginx:stop()
    end
  end)

  it("are replaced when they are killed", function()
    start { workers = 2, http = IN_INIT }
    assert_own(nginx:get_all(paths(20)))
    p:clear()
    p:script { { pass = true, delay = 5, times = 20 } }
    local slow = nginx:send(paths(20))
    received(20)
    for _, worker in ipairs(nginx:workers()) do nginx:signal("KILL", worker.pid) end
    server.collect(slow)
    assert.is_true(server.eventually(function() return #nginx:workers() == 2 end))
    p:clear()
    assert_own(nginx:get_all(paths(100)))
    nginx:signal("QUIT")
    assert.is_true(nginx:ended(), "a worker is stuck")
    for line in nginx:complaints():gmatch("[^\n]+") do assert.matches("exited on signal 9", line) end
  end)

  it("have a Lua of their own for each request without the code cache", function()
    start { http = "lua_code_cache off;" }
    assert_own(nginx:get_all(paths(20)))
    local before = settled_descriptors(40)
    for _ = 1, 10 do assert_own(nginx:get_all(paths(20))) end
    assert.is_true(settled_descriptors(before) <= before)
    nginx:signal("QUIT")
    assert.is_true(nginx:ended(), "a worker is stuck")
    for line in nginx:complaints():gmatch("[^\n]+") do assert.matches("lua_code_cache is off", line) end
  end)

  it("end a call at its deadline, by the engine's clock", function()
    start { server = [[ location = /short { content_by_lua_block {
      local client = require("bitrix.safe").new { webhook = require("here").webhook, deadline = 0.3 }
      local _, err = client.scrum.backlog_get { groupId = 1 }
      ngx.print(tostring(err))
    } } ]] }
    p:script { { pass = true, delay = 5 } }
    local began = socket.gettime()
    assert.matches("deadline", nginx:get("/short").body)
    assert.is_true(socket.gettime() - began < 3)
    assert_stops()
  end)

  it("cancel a call whose light thread is killed", function()
    start { server = [[ location = /kill { content_by_lua_block {
      local own = require("openresty.app").own
      local thread = ngx.thread.spawn(own, 1)
      ngx.sleep(0.2)
      ngx.print(tostring(ngx.thread.kill(thread)), " ", own(2))
    } } ]] }
    p:script { { pass = true, delay = 3 } }
    assert.equal("1 2 1002", nginx:get("/kill").body)
    assert_own(nginx:get_all(paths(20)))
    assert_stops()
  end)
end)
