-- bitrix/portal/operating.lua: seconds that methods have used, and what rest.lua does with them.

local domain = require "bitrix.portal.domain"
local operating = require "bitrix.portal.operating"
local rest = require "bitrix.portal.rest"

local function new(given)
  return operating.new(operating.read(given))
end

describe("the account", function()
  it("sums up what a method has used, for each caller and method", function()
    local account = new {}
    account:add("webhook", "a.get", 2, 6000)
    account:add("webhook", "A.Get", 3, 6030)
    account:add("webhook", "b.get", 5, 6030)
    account:add("application", "a.get", 7, 6030)
    assert.equal(5, (account:used("webhook", "a.get", 6031)))
    assert.equal(5, (account:used("webhook", "b.get", 6031)))
    assert.equal(7, (account:used("application", "a.get", 6031)))
    assert.equal(0, (account:used("application", "b.get", 6031)))
  end)
  it("forgets a basket as a whole, ten minutes after it began", function()
    local account = new {}
    account:add("w", "m", 2, 6000)
    account:add("w", "m", 3, 6059)
    account:add("w", "m", 5, 6060)
    assert.same({ 10, 6600 }, { account:used("w", "m", 6599.9) })
    assert.same({ 5, 6660 }, { account:used("w", "m", 6600) })
    assert.same({ 0, 7260 }, { account:used("w", "m", 6660) })
  end)
  it("allows until more than the limit is used", function()
    local account = new { limit = 10 }
    account:add("w", "m", 10, 6000)
    assert.is_true(account:allows("w", "m", 6001))
    account:add("w", "m", 0.1, 6002)
    assert.is_false(account:allows("w", "m", 6003))
    assert.is_true(account:allows("w", "other", 6003))
    assert.is_true(account:allows("w", "m", 6600))
  end)
  it("can have another window and other baskets", function()
    local account = new { window = 2, baskets = 4 }
    account:add("w", "m", 1, 100.25)
    assert.same({ 1, 102 }, { account:used("w", "m", 101.99) })
    assert.equal(0, (account:used("w", "m", 102)))
  end)
  it("takes its seconds from method_seconds", function()
    local account = new { method_seconds = { ["A.get"] = 30 } }
    assert.equal(30, account:add("w", "a.Get", 0.001, 6000))
    assert.equal(0.001, account:add("w", "b.get", 0.001, 6000))
    assert.equal(7.5, new({ method_seconds = 7.5 }):add("w", "b.get", 0.001, 6000))
  end)
  it("does not mind a clock that is set back", function()
    local account = new {}
    account:add("w", "m", 1, 6000)
    account:add("w", "m", 1, 5000)
    assert.equal(2, (account:used("w", "m", 6000)))
  end)
end)

describe("the option operating", function()
  local function refuses(given, text)
    local ok, problem = pcall(operating.read, given)
    assert.is_false(ok)
    assert.equal("bitrix.portal: " .. text, problem)
  end

  it("is refused when it cannot be", function()
    refuses({ limits = 5 }, "unknown operating field 'limits'")
    refuses({ window = 0 }, "operating field 'window': more than 0 expected")
    refuses({ baskets = 0 }, "operating field 'baskets': more than 0 expected")
    refuses({ method_seconds = { 5 } }, "operating field 'method_seconds': method names and seconds expected")
    refuses({ method_seconds = "5" }, "operating field 'method_seconds': table or seconds expected, got string")
    refuses(true, "operating field: table expected, got boolean")
  end)
end)

describe("a call", function()
  local entrance, now

  local function start(given)
    now = 6000
    local account = operating.read(given)
    entrance = rest.new {
      domain = domain.new { users = { { id = 1 } } }, user = 1, secret = "s",
      operating = account and operating.new(account) or account,
      methods = { {
        ["slow.get"] = { params = {}, run = function() return true end },
        ["slow.refuse"] = { params = {}, run = function() return nil, "No" end },
        ["quick.get"] = { params = {}, run = function() return true end },
      } },
    }
  end

  local function call(method, params)
    local status, body, done = entrance:handle({ user = 1, secret = "s", method = method }, params or {},
      function() return now end)
    return status, body, done
  end

  local SECONDS = { ["slow.get"] = 4, ["slow.refuse"] = 20, ["quick.get"] = 0 }
  local BLOCKED = { error = "OPERATION_TIME_LIMIT", error_description = "Method is blocked due to operation time limit." }

  it("says what its method has used, itself included", function()
    start { method_seconds = SECONDS }
    local _, body = call("slow.get")
    assert.same({ 4, 6600 }, { body.time.operating, body.time.operating_reset_at })
    now = 6100
    _, body = call("slow.get")
    assert.same({ 8, 6600 }, { body.time.operating, body.time.operating_reset_at })
    _, body = call("quick.get")
    assert.equal(0, body.time.operating)
  end)
  it("that passes the limit still runs, and the next is refused until the oldest basket leaves", function()
    start { method_seconds = SECONDS, limit = 10 }
    for _ = 1, 3 do
      assert.equal(200, (call("slow.get")))
    end
    local status, body, done = call("slow.get")
    assert.same({ 429, BLOCKED, false }, { status, body, done.executed })
    assert.equal(200, (call("quick.get")))
    now = 6599
    assert.equal(429, (call("slow.get")))
    now = 6600
    assert.equal(200, (call("slow.get")))
  end)
  it("counts when it was run, whatever it answered", function()
    start { method_seconds = SECONDS, limit = 10 }
    assert.equal(400, (call("slow.refuse")))
    assert.equal(429, (call("slow.refuse")))
    assert.equal(404, (call("no.such")))
  end)
  it("in a batch counts as its own method, the batch not at all", function()
    start { method_seconds = SECONDS, limit = 10 }
    local cmd = { a = "slow.get", b = "slow.get", c = "slow.get", d = "slow.get", e = "quick.get" }
    local _, body = call("batch", { cmd = setmetatable(cmd, { __jsonorder = { "a", "b", "c", "d", "e" } }) })
    assert.same({ d = BLOCKED }, body.result.result_error)
    assert.equal(12, body.result.result_time.c.operating)
    assert.is_true(body.result.result.e)
    assert.equal(0, body.time.operating)
    assert.equal(429, (call("slow.get")))
    assert.equal(200, (call("batch", { cmd = {} })))
  end)
  it("in a batch counts for the batch as well where this is said", function()
    start { method_seconds = SECONDS, limit = 10, batch_counts = true }
    local _, body = call("batch", { cmd = { "slow.get", "slow.get", "slow.refuse" } })
    assert.same({ 28, 6600 }, { body.time.operating, body.time.operating_reset_at })
    local status, refused, done = call("batch", { cmd = { "quick.get" } })
    assert.same({ 429, BLOCKED, false }, { status, refused, done.executed })
    assert.equal(200, (call("quick.get")))
  end)
  it("has the fields without a meaning by default, or none", function()
    start(nil)
    local _, body = call("slow.get")
    assert.same({ 0, 6600 }, { body.time.operating, body.time.operating_reset_at })
    start(false)
    _, body = call("slow.get")
    assert.is_number(body.time.duration)
    assert.same({}, { body.time.operating, body.time.operating_reset_at })
  end)
end)
