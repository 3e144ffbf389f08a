-- The store in Redis, against a real one.
local core = require "bitrix.core"
local redis = require "support.redis"
local safe = require "bitrix.safe"
local store_in_redis = require "bitrix.store.redis"
local support = require "portal.support"

local interpreter = os.getenv("BITRIX_LUA") or support.lua

describe("the store in Redis", function()
  local server

  setup(function() server = redis.start() end)
  teardown(function() server.stop() end)
  before_each(function() support.run(("redis-cli -p %d flushall"):format(server.port)) end)

  for _, how in ipairs{ "port", "path" } do
    it("keeps tokens, over a " .. how, function()
      local store = store_in_redis.new{ [how] = server[how] }
      assert.is_nil((store:load("a")))
      assert.is_nil((select(2, store:load("a"))))
      assert.is_true(store:save("a", { access_token = "x", expires = 5 }))
      assert.equal("x", store:load("a").access_token)
      assert.is_true(store:save("a", { access_token = "y" }))
      assert.same({ access_token = "y" }, store_in_redis.new{ [how] = server[how] }:load("a"))
      assert.is_nil((store:load("b")))
    end)
  end

  it("locks: one at a time, no longer than said, and only its holder gives it back", function()
    local one, two = store_in_redis.new{ port = server.port }, store_in_redis.new{ port = server.port }
    local unlock = assert(one:lock("k", 5))
    local nothing, why = two:lock("k", 5)
    assert.same({ nil, "locked" }, { nothing, why })
    assert(two:lock("another", 5))
    unlock()
    assert(two:lock("k", 0.2))
    unlock() -- not its own any more
    assert.equal("locked", select(2, one:lock("k", 5)))
    core.sleep(0.3)
    assert(one:lock("k", 5))
  end)

  it("counts requests of all who ask, on one clock", function()
    local one, two = store_in_redis.new{ port = server.port }, store_in_redis.new{ path = server.path }
    for i = 1, 10 do
      local ok, wait, number = (i % 2 == 0 and one or two):limit("p", 10, 2, "enter", 100)
      assert.same({ true, 0, i }, { ok, wait, number })
    end
    local ok, wait, number, epoch = one:limit("p", 10, 2, "enter", 100)
    assert.is_true(ok)
    assert.equal(11, number)
    assert.is_true(wait > 1 and wait < 2, wait)
    -- What would wait too long takes no place.
    local _, none, long = one:limit("p", 10, 2, "enter", 0.1)
    assert.is_nil(none)
    assert.is_true(long > 1)
    assert.is_true(two:limit("p", 10, 2, "refused", 10, 0))
    local _, longer = one:limit("p", 10, 2, "go", number, epoch)
    assert.is_true(longer > 0.5 and longer <= 1, longer)
    -- A script that Redis has forgotten is sent again.
    support.run(("redis-cli -p %d script flush"):format(server.port))
    assert.is_true((one:limit("q", 10, 2, "enter", 1)))
  end)

  it("is one bucket for several processes", function()
    local portal = require("bitrix.portal").start{ limit = { burst = 20, rate = 10 } }
    local code = ([[
      local b24 = require("bitrix.safe").new{ webhook = %q, limit = { burst = 20, rate = 10,
        store = require("bitrix.store.redis").new{ port = %d } } }
      for _ = 1, 8 do assert(b24:call("user.current")) end
      io.write(b24:stats().limited)
    ]]):format(portal.webhook, server.port)
    local pipes = {}
    for i = 1, 5 do pipes[i] = io.popen(("%s -e %s 2>&1"):format(interpreter, support.quote(code))) end
    for _, pipe in ipairs(pipes) do
      assert.equal("0", pipe:read("*a"))
      pipe:close()
    end
    assert.equal(40, #portal:journal())
    for _, request in ipairs(portal:journal()) do assert.is_nil(request.refused or nil) end
    portal:stop()
  end)

  it("that is down costs no call: the process counts by itself, with a warning", function()
    local down = redis.start()
    local portal = require("bitrix.portal").start()
    local client = safe.new{
      webhook = portal.webhook,
      limit = { burst = 3, rate = 10, store = store_in_redis.new{ port = down.port, timeout = 0.3 } },
    }
    assert(client:call("user.current"))
    down.kill()
    local started = core.now()
    for _ = 1, 5 do assert(client:call("user.current")) end
    assert.is_true(core.now() - started < 5)
    assert.is_true(client:stats().waited > 0) -- the process' own bucket
    down.stop()
    portal:stop()
  end)

  it("says what is wrong", function()
    local closed = store_in_redis.new{ port = 1, timeout = 0.2 }
    assert.truthy((select(2, closed:load("a"))):find("refused", 1, true))
    assert.is_nil((closed:save("a", {})))
    local unlock, why = closed:lock("a", 1)
    assert.is_nil(unlock)
    assert.not_equal("locked", why)
    local secured = redis.start("s3cret")
    assert.truthy((select(2, store_in_redis.new{ port = secured.port }:load("a"))):find("NOAUTH", 1, true))
    assert.is_true(store_in_redis.new{ port = secured.port, password = "s3cret" }:save("a", { x = 1 }))
    assert.truthy((select(2, store_in_redis.new{ port = secured.port, password = "wrong" }:load("a"))):find("WRONGPASS", 1, true))
    secured.stop()
    for text, options in pairs{ ["unknown option 'hots'"] = { hots = 1 }, ["option 'port': number expected"] = { port = "1" },
      ["table expected"] = 5, ["option 'timeout': a number from"] = { timeout = -1 },
      ["option 'port': an integer from"] = { port = 70000 }, ["option 'database': an integer"] = { database = 1.5 } } do
      local ok, problem = pcall(store_in_redis.new, options)
      assert.is_false(ok)
      assert.truthy(problem:find(text, 1, true))
    end
  end)

  it("takes a kept connection that Redis has closed for what it is", function()
    local short = redis.start()
    local store = store_in_redis.new{ port = short.port }
    assert(store:save("a", { n = 1 }))
    short.kill()
    short.restart()
    assert.is_true(store:save("a", { n = 2 }))
    short.stop()
  end)
end)
