-- Functions side by side in plain Lua: order, errors, concurrency, nesting, other event loops.
local bitrix = require "bitrix"
local core = require "bitrix.core"
local safe = require "bitrix.safe"

local LUA51 = _VERSION == "Lua 5.1" and type(jit) ~= "table"

describe("side by side", function()
  local portal, client

  setup(function() portal = require("bitrix.portal").start() end)
  teardown(function() portal:stop() end)
  before_each(function()
    portal:clear()
    client = bitrix.new{ webhook = portal.webhook, limit = false, retry = false }
  end)
  after_each(function() client:close() end)

  local function slow(seconds, times)
    portal:script{ { status = 200, body = '{"result":1}', delay = seconds, times = times } }
  end

  local function took(f)
    local started = core.now()
    f()
    return core.now() - started
  end

  it("functions run at the same time, and their results come in order", function()
    slow(0.2, 3)
    local a, b, c
    local seconds = took(function()
      a, b, c = bitrix.parallel(
        function() return client:call("x") and "a" end,
        function() return client:call("x") and "b" end,
        function()
          client:call("x")
          return "c", "not this"
        end)
    end)
    assert.same({ "a", "b", "c" }, { a, b, c })
    assert.is_true(seconds >= 0.2 and seconds < 0.55, seconds)
  end)

  it("50 calls of 100 ms take less than 0.25 s", function()
    slow(0.1, 100)
    local functions = {}
    for i = 1, 50 do functions[i] = function() return client:call("x") end end
    local run = function() bitrix.parallel((table.unpack or unpack)(functions)) end -- luacheck: ignore
    run() -- connections come to stand
    local seconds = took(run)
    assert.is_true(seconds >= 0.1)
    assert.is_true(seconds < 0.25, seconds)
  end)

  it("an error is raised after all have ended", function()
    slow(0.1, 1)
    local ended = false
    local ok, problem = pcall(bitrix.parallel,
      function() error("first", 0) end,
      function()
        client:call("x")
        ended = true
      end,
      function() error({ "second" }) end)
    assert.is_false(ok)
    assert.equal("first", problem)
    assert.is_true(ended)
  end)

  it("an error object is raised, or returned by bitrix.safe", function()
    local function fails() return client:call("no.such.method") end
    local ok, err = pcall(bitrix.parallel, fails, function() end)
    assert.is_false(ok)
    assert.equal("error_method_not_found", err.reason)
    local result, problem = safe.parallel(function() end, fails)
    assert.is_nil(result)
    assert.equal("error_method_not_found", problem.reason)
    local quiet = safe.new{ webhook = portal.webhook, limit = false }
    ok, err = pcall(bitrix.parallel, function() return quiet:call("no.such.method") end)
    assert.is_false(ok)
    assert.equal("error_method_not_found", err.reason)
  end)

  it("parallel_settled gives all outcomes", function()
    local list = bitrix.parallel_settled(
      function() return client:call("app.info.none") end,
      function() return 1, nil, 3 end,
      function() error("no", 0) end,
      function() end)
    assert.is_false(list[1].ok)
    assert.is_true(bitrix.is_error(list[1].error))
    assert.same({ ok = true, n = 3, 1, nil, 3 }, list[2])
    assert.same({ ok = false, error = "no" }, list[3])
    assert.same({ ok = true, n = 0 }, list[4])
  end)

  it("map keeps the order and the concurrency", function()
    slow(0.05, 12)
    local now, most = 0, 0
    local results
    local seconds = took(function()
      results = client:map({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 }, function(item, index)
        now = now + 1
        most = math.max(most, now)
        client:call("x")
        now = now - 1
        assert(item == index)
        return item * 2
      end, { concurrency = 4 })
    end)
    assert.same({ 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24 }, results)
    assert.equal(4, most)
    assert.is_true(seconds >= 0.15)
    assert.same({}, client:map({}, function() end))
    assert.same({ bitrix.null }, client:map({ 1 }, function() end))
  end)

  it("nests", function()
    slow(0.1, 4)
    local seconds = took(function()
      local a, b = bitrix.parallel(
        function() return (client:map({ 1, 2 }, function() return client:call("x") end))[2] end,
        function() return (bitrix.parallel(function() return client:call("x") end, function() return client:call("x") end)) end)
      assert.same({ 1, 1 }, { a, b })
    end)
    assert.is_true(seconds < 0.35, seconds)
  end)

  it("calls that wait for a retry let the others go on", function()
    portal:script{ { status = 502, body = "x", method = "user.current" } }
    local patient = bitrix.new{ webhook = portal.webhook, limit = false, retry = { base = 0.2, cap = 0.2 } }
    local order = {}
    bitrix.parallel(
      function()
        patient:call("user.current")
        order[#order + 1] = "patient"
      end,
      function()
        for _ = 1, 3 do client:call("user.current") end
        order[#order + 1] = "quick"
      end)
    assert.equal(2, #order)
    assert.equal(5, #portal:journal())
  end)

  it("many tasks, some of which fail, leave nothing behind", function()
    portal:script{ { status = 200, body = '{"result":7}', times = 300 } }
    local items = {}
    for i = 1, 300 do items[i] = i end
    local ok = 0
    for _ = 1, 2 do
      pcall(client.map, client, items, function(i)
        if i % 3 == 0 then error("x") end
        assert(client:call("user.current"))
        ok = ok + 1
      end, { concurrency = 30 })
    end
    assert.equal(400, ok)
    local alive = client:pump()
    assert.equal(0, alive)
  end)

  it("a call inside table.sort or a coroutine of one's own waits by itself", function()
    slow(0.01, 100)
    local seen = {}
    bitrix.parallel(function()
      local list = { 3, 1, 2 }
      table.sort(list, function(a, b)
        client:call("x")
        return a < b
      end)
      seen[#seen + 1] = table.concat(list)
      local generate = coroutine.wrap(function()
        coroutine.yield((client:call("x")))
        coroutine.yield((client:call("x")))
      end)
      seen[#seen + 1] = generate() + generate()
    end, function() client:call("x") end)
    assert.same({ "123", 2 }, seen)
  end)

  it("a call inside pcall works" .. (LUA51 and ", if one after the other on Lua 5.1" or ""), function()
    slow(0.1, 4)
    local seconds = took(function()
      local function f()
        local ok, result = pcall(client.call, client, "x")
        return ok and result
      end
      assert.same({ 1, 1, 1, 1 }, { bitrix.parallel(f, f, f, f) })
    end)
    if not LUA51 then assert.is_true(seconds < 0.35, seconds) end
  end)

  it("a task that yields by itself is no deadlock", function()
    local order = {}
    bitrix.parallel(
      function()
        for i = 1, 3 do
          order[#order + 1] = "a" .. i
          coroutine.yield()
        end
      end,
      function()
        for i = 1, 3 do
          order[#order + 1] = "b" .. i
          coroutine.yield(i)
        end
      end)
    assert.same({ "a1", "b1", "a2", "b2", "a3", "b3" }, order)
  end)

  it("an event loop drives tasks by fd and pump", function()
    slow(0.05, 3)
    local tasks = {}
    for i = 1, 3 do tasks[i] = bitrix.spawn(function() return client:call("x"), i end) end
    local descriptor = client:fd()
    assert.is_true(descriptor > 2)
    assert.is_false(tasks[1].done)
    local socket = require "socket"
    local handle = { getfd = function() return descriptor end, dirty = function() return false end }
    local left, after = client:pump()
    assert.equal(3, left)
    local rounds = 0
    while left > 0 do
      socket.select({ handle }, nil, after or 5)
      left, after = client:pump()
      rounds = rounds + 1
    end
    assert.is_true(rounds <= 10, "it was woken for nothing")
    for i = 1, 3 do assert.same({ ok = true, done = true, n = 2, 1, i }, tasks[i]) end
  end)

  it("an error that is nil is an error", function()
    local ok, problem = pcall(bitrix.parallel, function() error() end, function() return 1 end)
    assert.same({ false }, { ok, problem })
    assert.is_false((pcall(bitrix.map, { 1 }, function() error() end)))
  end)

  it("a coroutine inside a task has its own functions side by side, and pump is harmless there", function()
    local a, b, c = bitrix.parallel(
      function()
        return coroutine.wrap(function()
          return (bitrix.parallel(function() return client:call("profile") and "a" end))
        end)()
      end,
      function() return client:call("profile") and "b" end,
      function()
        client:pump()
        return "c"
      end)
    assert.same({ "a", "b", "c" }, { a, b, c })
  end)

  it("refuses what is no function, at the caller's line", function()
    for name, call in pairs{
      ["bad argument #2 to 'parallel' (function expected, got number)"] = function() bitrix.parallel(print, 1) end,
      ["bad argument #1 to 'parallel_settled' (function expected, got nil)"] = function() safe.parallel_settled(nil) end,
      ["bad argument #1 to 'map' (table expected, got number)"] = function() client:map(1, print) end,
      ["bad argument #2 to 'map' (function expected, got nil)"] = function() client:map({}) end,
      ["bad argument #3 to 'map' (unknown option 'concurency')"] = function() client:map({}, print, { concurency = 1 }) end,
      ["(option 'concurrency': a positive integer expected, got 0)"] = function() client:map({}, print, { concurrency = 0 }) end,
      ["bad argument #1 to 'spawn' (function expected, got nil)"] = function() bitrix.spawn() end,
    } do
      local ok, problem = pcall(call)
      assert.is_false(ok)
      assert.truthy(problem:find(name, 1, true), problem)
      assert.truthy(problem:find("^[^:]*parallel_spec.lua:%d+:"), problem)
    end
  end)
end)
