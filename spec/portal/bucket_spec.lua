-- bitrix/portal/bucket.lua: the counter of requests.

local bucket = require "bitrix.portal.bucket"

local function new(given)
  given.phase = given.phase or 0
  return bucket.new(bucket.read(given))
end

-- How many of so many requests at one moment pass.
local function passing(b, requests, now, source)
  local count = 0
  for _ = 1, requests do
    count = count + (b:take(source or "127.0.0.1", now) and 1 or 0)
  end
  return count
end

describe("the bucket", function()
  it("lets a burst pass and refuses what is above it", function()
    assert.equal(50, passing(new { burst = 50, rate = 2 }, 60, 100))
  end)
  it("counts down at each tick, not in between, however long nobody asked", function()
    local b = new { burst = 10, rate = 2 }
    assert.equal(10, passing(b, 20, 100))
    assert.equal(0, passing(b, 5, 100.999))
    assert.equal(2, passing(b, 5, 101))
    assert.equal(0, passing(b, 5, 101.5))
    assert.equal(6, passing(b, 20, 104.2))
    assert.equal(10, passing(b, 20, 1000))
  end)
  it("has its ticks where the phase is", function()
    local b = new { burst = 1, rate = 1, phase = 0.25 }
    assert.equal(1, passing(b, 2, 100.2))
    assert.equal(0, passing(b, 2, 100.24))
    assert.equal(1, passing(b, 2, 100.26))
    assert.equal(0, passing(b, 2, 101.24))
    assert.equal(1, passing(b, 2, 101.25))
  end)
  it("can run faster", function()
    local b = new { burst = 4, rate = 2, tick = 0.01 }
    assert.equal(4, passing(b, 9, 50))
    assert.equal(2, passing(b, 9, 50.0101))
    assert.equal(4, passing(b, 9, 50.0301))
  end)
  it("does not count refused requests, or does", function()
    local lenient, strict = new { burst = 4, rate = 2 }, new { burst = 4, rate = 2, counts_refused = true }
    assert.equal(4, passing(lenient, 10, 100))
    assert.equal(4, passing(strict, 10, 100))
    assert.equal(2, passing(lenient, 10, 101))
    -- Ten less two is eight, and each of these ten adds one.
    assert.equal(0, passing(strict, 10, 101))
    assert.equal(4, passing(strict, 10, 200))
  end)
  it("counts each source for itself", function()
    local b = new { burst = 3, rate = 1 }
    assert.equal(3, passing(b, 5, 100, "127.0.0.1"))
    assert.equal(3, passing(b, 5, 100, "127.0.0.2"))
  end)
  it("does not mind a clock that is set back", function()
    local b = new { burst = 2, rate = 1 }
    assert.equal(2, passing(b, 3, 100))
    assert.equal(0, passing(b, 3, 90))
    assert.equal(0, passing(b, 3, 100))
    assert.equal(1, passing(b, 3, 101))
  end)
end)

describe("the option limit", function()
  local function refuses(given, text)
    local ok, problem = pcall(bucket.read, given)
    assert.is_false(ok)
    assert.equal("bitrix.portal: " .. text, problem)
  end

  it("is off by default", function()
    assert.is_nil(bucket.read(nil))
    assert.is_nil(bucket.read(false))
  end)
  it("knows two names", function()
    local standard, enterprise = bucket.read("standard"), bucket.read("enterprise")
    assert.same({ 50, 2, 1 }, { standard.burst, standard.rate, standard.tick })
    assert.same({ 250, 5, 1 }, { enterprise.burst, enterprise.rate, enterprise.tick })
  end)
  it("has a phase within a tick unless it is told", function()
    for _ = 1, 20 do
      local phase = bucket.read({ tick = 0.5 }).phase
      assert.is_true(phase >= 0 and phase < 0.5)
    end
    assert.equal(0.125, bucket.read({ phase = 0.125 }).phase)
  end)
  it("is refused when it cannot be", function()
    refuses("large", 'option \'limit\': "standard", "enterprise" or a table expected, got "large"')
    refuses({ bursts = 5 }, "unknown limit field 'bursts'")
    refuses({ burst = 1.5 }, "limit field 'burst': integer from 0 expected, got 1.5")
    refuses({ rate = -1 }, "limit field 'rate': number from 0 expected, got -1")
    refuses({ tick = 0 }, "limit field 'tick': more than 0 expected")
    refuses(true, "limit field: table expected, got boolean")
  end)
end)
