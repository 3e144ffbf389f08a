-- bitrix/portal/fault.lua: rules, their order, and what they make of an answer.

local fault = require "bitrix.portal.fault"

describe("a rule", function()
  local function refused(rule, text)
    local ok, problem = fault.check(rule)
    assert.is_nil(ok)
    assert.equal(text, problem)
  end

  it("may have every field that is documented", function()
    assert.is_true(fault.check { status = 500, body = "x", headers = { A = "b", C = 1 }, delay = 0.5, cut = 0,
      chunked = true, gzip = false, execute = true, times = 2 })
    assert.is_true(fault.check { reset = true })
    assert.is_true(fault.check { close = true })
    assert.is_true(fault.check { redirect = "https://x/" })
    assert.is_true(fault.check { pass = true })
    assert.is_true(fault.check { body_size = 60000000 })
    assert.is_true(fault.check { depth = 100000 })
    assert.is_true(fault.check { body = { error = 0 } })
    assert.is_true(fault.check { error = "expired_token", method = "profile" })
  end)
  it("is refused for an unknown field, by its name", function()
    refused({ stauts = 500 }, "unknown rule field 'stauts'")
    refused({ 500 }, "unknown rule field '1'")
  end)
  it("is refused for a wrong type", function()
    refused("reset", "rule: table expected, got string")
    refused({ status = "500" }, "rule field 'status': number expected, got string")
    refused({ body = 5 }, "rule field 'body': string or table expected, got number")
    refused({ headers = { "x" } }, "rule field 'headers': names and values must be strings")
  end)
  it("is refused for a number that cannot be", function()
    refused({ status = 99 }, "rule field 'status': at least 200 expected, got 99")
    refused({ status = 600 }, "rule field 'status': at most 599 expected, got 600")
    refused({ delay = -1 }, "rule field 'delay': at least 0 expected, got -1")
    refused({ cut = 0.5 }, "rule field 'cut': integer expected, got 0.5")
    refused({ times = 0 }, "rule field 'times': at least 1 expected, got 0")
  end)
  it("is refused for a body that JSON cannot say", function()
    local _, problem = fault.check { body = { print } }
    assert.matches("^rule field 'body': .*function", problem)
  end)
end)

describe("the queue", function()
  it("gives rules in order, each once, then none", function()
    local queue = fault.queue()
    queue:push { status = 500 }
    queue:push { status = 501 }
    assert.equal(500, queue:take().status)
    queue:push { status = 502 }
    assert.equal(501, queue:take().status)
    assert.equal(502, queue:take().status)
    assert.is_nil(queue:take())
    assert.is_nil(queue:take())
  end)
  it("gives a rule as often as it says", function()
    local queue = fault.queue()
    queue:push { status = 500, times = 3 }
    queue:push { status = 501 }
    local got = {}
    for i = 1, 4 do
      got[i] = queue:take().status
    end
    assert.same({ 500, 500, 500, 501 }, got)
    assert.is_nil(queue:take())
  end)
  it("gives a rule for a method to that method only, however it is spelled", function()
    local queue = fault.queue()
    queue:push { status = 500, method = "Some.Method" }
    queue:push { status = 501, method = "other", times = 2 }
    queue:push { status = 502 }
    assert.equal(501, queue:take("other.json").status)
    assert.equal(502, queue:take(nil).status)
    assert.is_nil(queue:take(nil))
    assert.is_nil(queue:take("third"))
    assert.equal(500, queue:take("some.method").status)
    assert.is_nil(queue:take("some.method"))
    assert.equal(501, queue:take("other").status)
  end)
  it("forgets all, also in the middle of a repeated rule", function()
    local queue = fault.queue()
    queue:push { status = 500, times = 3 }
    queue:take()
    queue:clear()
    assert.is_nil(queue:take())
    queue:push { status = 501 }
    assert.equal(501, queue:take().status)
    assert.is_nil(queue:take())
  end)
end)

describe("the method", function()
  it("is not run under a rule that brings its own answer", function()
    for _, rule in ipairs { { status = 500 }, { body = "" }, { reset = true }, { close = true }, { redirect = "x" },
      { error = "X" }, { body_size = 13 }, { depth = 1 } } do
      assert.is_false(fault.runs(rule))
    end
  end)
  it("is run under a rule that needs its answer", function()
    for _, rule in ipairs { { delay = 1 }, { cut = 5 }, { headers = {} }, { gzip = true }, { chunked = true }, { pass = true },
      {} } do
      assert.is_true(fault.runs(rule))
    end
  end)
  it("is run where `execute` says so", function()
    assert.is_true(fault.runs { execute = true, close = true })
  end)
end)

describe("the plan", function()
  local REAL = { status = 400, body = '{"error":0}' }

  local function body_of(plan)
    return plan.body.head .. ("a"):rep(plan.body.filler) .. plan.body.tail
  end

  it("is the real answer without a rule", function()
    local plan = fault.plan(nil, REAL)
    assert.same({ 400, REAL.body, #REAL.body }, { plan.status, body_of(plan), plan.length })
    assert.is_nil(plan.send)
    assert.is_nil(plan.drop)
  end)
  it("keeps of the real answer what the rule does not say", function()
    local plan = fault.plan({ execute = true, status = 500 }, REAL)
    assert.same({ 500, REAL.body }, { plan.status, body_of(plan) })
    plan = fault.plan({ cut = 3 }, REAL)
    assert.same({ 400, 11, 3 }, { plan.status, plan.length, plan.send })
  end)
  it("has an empty body where nothing gave one", function()
    local plan = fault.plan { status = 502 }
    assert.same({ 502, "", 0 }, { plan.status, body_of(plan), plan.length })
  end)
  it("has a body of any bytes", function()
    assert.equal("a\0\255", body_of(fault.plan { body = "a\0\255" }))
  end)
  it("has a body from a table", function()
    assert.equal('{"result":[]}', body_of(fault.plan(fault.prepared { body = { result = {} } })))
  end)
  it("has a huge body that is valid JSON without building it", function()
    local plan = fault.plan { body_size = 60000000 }
    assert.same({ 60000000, 59999987 }, { plan.length, plan.body.filler })
    assert.equal('{"result":"aaa"}', body_of(fault.plan { body_size = 16 }))
    assert.equal('{"result":""}', body_of(fault.plan { body_size = 13 }))
  end)
  it("has a deep body", function()
    assert.equal('{"result":[[[]]]}', body_of(fault.plan { depth = 3 }))
  end)
  it("redirects", function()
    local plan = fault.plan { redirect = "https://new.example/rest/" }
    assert.equal(302, plan.status)
    assert.same({ "Location", "https://new.example/rest/" }, plan.headers[2])
  end)
  it("has the usual status of an error", function()
    for code, status in pairs { QUERY_LIMIT_EXCEEDED = 503, OPERATION_TIME_LIMIT = 429, expired_token = 401,
      wrong_client = 200, PAYMENT_REQUIRED = 402, anything = 400 } do
      assert.equal(status, fault.plan(fault.prepared { error = code }).status)
    end
    assert.equal(410, fault.plan(fault.prepared { error = "PORTAL_DELETED" }).status)
    local plan = fault.plan(fault.prepared { error = "PORTAL_DELETED", status = 500 })
    assert.same({ 500, true }, { plan.status, body_of(plan):find('^{"error":"PORTAL_DELETED"') ~= nil })
  end)
  it("says text/html for a page and JSON otherwise", function()
    assert.matches("^text/html", fault.plan({ body = "<html>" }).headers[1][2])
    assert.matches("^application/json", fault.plan({ body = "oops" }).headers[1][2])
  end)
  it("passes an answer through, but late", function()
    local plan = fault.plan({ pass = true, delay = 1, status = 500, cut = 2 }, REAL)
    assert.same({ 400, 1 }, { plan.status, plan.delay })
    assert.is_nil(plan.send)
  end)
end)
