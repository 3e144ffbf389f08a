-- The limiter over real sockets: the portal's count is never passed, waits end at the deadline, server time is watched.
local bitrix = require "bitrix"
local core = require "bitrix.core"
local limiter = require "bitrix.limiter"
local safe = require "bitrix.safe"

describe("the limiter", function()
  local portal

  local function start(options) portal = require("bitrix.portal").start(options) end
  after_each(function() portal:stop() end)

  local function took(f)
    local started = core.now()
    f()
    return core.now() - started
  end

  local function refusals()
    local n = 0
    for _, request in ipairs(portal:journal()) do n = n + (request.refused and 1 or 0) end
    return n
  end

  for _, counts in ipairs{ false, true } do
    it("keeps inside the portal's limit and uses it, refused requests " .. (counts and "" or "not ") .. "counting", function()
      start{ limit = { burst = 20, rate = 10, counts_refused = counts } }
      local client = safe.new{ webhook = portal.webhook, limit = { burst = 20, rate = 10 } }
      local seconds = took(function()
        for _ = 1, 50 do assert(client:call("user.current")) end
      end)
      assert.equal(0, refusals())
      assert.equal(0, client:stats().limited)
      assert.is_true(seconds >= 2 and seconds <= 3 + 1.5, seconds)
      assert.is_true(client:stats().waited > 1)
    end)
  end

  it("is one for all clients of a portal, and for those side by side", function()
    start{ limit = { burst = 10, rate = 10 } }
    local options = { webhook = portal.webhook, limit = { burst = 10, rate = 10 } }
    local clients = { safe.new(options), safe.new(options), bitrix.new(options) }
    local items = {}
    for i = 1, 30 do items[i] = i end
    local results = clients[1]:map(items, function(i) return clients[i % 3 + 1]:call("user.current") end, { concurrency = 30 })
    assert.equal(30, #results)
    assert.equal(0, refusals())
  end)

  it("repeats what was refused, because somebody else uses the portal, a second later", function()
    start{ limit = { burst = 5, rate = 2 } }
    local other = safe.new{ webhook = portal.webhook, limit = false, retry = false }
    for _ = 1, 5 do other:call("user.current") end
    local client = safe.new{ webhook = portal.webhook, limit = { burst = 5, rate = 2 } }
    local backlog, info = assert(client.scrum.backlog_add{ groupId = 125, createdBy = 6 })
    assert.equal(125, backlog.groupId)
    assert.equal(2, #info.attempts)
    assert.same({ 503, "QUERY_LIMIT_EXCEEDED" }, { info.attempts[1].status, info.attempts[1].code })
    assert.is_true(info.attempts[2].waited >= 0.9)
    assert.equal(1, client:stats().limited)
  end)

  it("ends at once what could not go before its deadline, and says how long it would have to wait", function()
    start()
    local client = safe.new{ webhook = portal.webhook, limit = { burst = 1, rate = 0.1 }, deadline = 2 }
    assert(client:call("user.current"))
    local result, err
    local seconds = took(function() result, err = client:call("user.current") end)
    assert.is_nil(result)
    assert.same({ "limit", "deadline", "no" }, { err.kind, err.reason, err.executed })
    assert.is_true(err.wait > 2 and err.wait < 13)
    assert.same({}, err.attempts)
    assert.is_true(seconds < 1)
    assert.truthy(tostring(err):find("its deadline ends in 2", 1, true))
    assert.equal(1, #portal:journal())
  end)

  it("does not wait with limit = false", function()
    start()
    local client = safe.new{ webhook = portal.webhook, limit = false }
    assert.is_true(took(function() for _ = 1, 120 do assert(client:call("user.current")) end end) < 10)
    assert.equal(0, client:stats().waited)
  end)

  it("makes a method wait that has used up its server time, and no other", function()
    start{ operating = { limit = 1, method_seconds = { ["user.current"] = 1 }, window = 2, baskets = 10 } }
    local client = safe.new{ webhook = portal.webhook, limit = { operating = 1 } }
    assert(client:call("user.current"))
    assert.equal(1, #portal:journal())
    local waited
    assert.is_true(took(function() assert(client:call("server.time")) end) < 1)
    local seconds = took(function()
      local _, info = assert(client:call("user.current"))
      waited = info.attempts[1].waited
    end)
    assert.is_true(seconds > 0.3 and seconds < 5, seconds)
    assert.is_true(waited > 0.3)
    for _, request in ipairs(portal:journal()) do assert.not_equal(429, request.status) end
  end)

  it("waits after OPERATION_TIME_LIMIT until the next basket leaves, within the deadline", function()
    start()
    local client = safe.new{ webhook = portal.webhook, deadline = 3 }
    portal:script{ { error = "OPERATION_TIME_LIMIT", method = "user.current" } }
    local result, err = client:call("user.current")
    assert.is_nil(result) -- nobody said when, and a basket is a minute
    assert.same({ "limit", "operation_time_limit" }, { err.kind, err.reason })
    assert.is_true(err.wait > 3)
    assert(client:call("server.time"))
  end)

  it("does without operating, which self-hosted portals do not send", function()
    start{ operating = false }
    local client = safe.new{ webhook = portal.webhook }
    local _, info = assert(client:call("user.current"))
    assert.is_nil(info.time.operating)
  end)

  it("refuses options that make no sense, by name", function()
    start()
    for text, option in pairs{
      ["option 'limit': \"standard\", \"enterprise\", a table or false expected, got \"fast\""] = "fast",
      ["got true"] = true,
      ["unknown field 'bursts'"] = { bursts = 1 },
      ["field 'burst': number expected, got string"] = { burst = "1" },
      ["field 'burst': a number from 1 to"] = { burst = 0 },
      ["field 'rate': a number from 0.01 to"] = { rate = -1 },
      ["field 'store': a store that can count"] = { store = {} },
    } do
      local ok, problem = pcall(safe.new, { webhook = portal.webhook, limit = option })
      assert.is_false(ok)
      assert.truthy(problem:find(text, 1, true), problem)
    end
    for _, option in ipairs{ "standard", "enterprise", {}, { burst = 1, rate = 0.5, operating = 100 } } do
      assert.is_nil(limiter.check(option))
    end
  end)

  it("costs a call without a wait little", function()
    start()
    local l = limiter.get("https://bench.invalid", { burst = 1e6, rate = 1e6 })
    local rt = require "bitrix.runtime.blocking"
    local started = os.clock()
    for _ = 1, 20000 do
      local _, token = l:acquire(rt, "user.current", 10)
      l:observe(token, true, { time = {} })
    end
    local each = (os.clock() - started) / 20000
    assert.is_true(each < 100e-6, each)
  end)
end)
