-- bitrix/portal/front.lua: what stands before the methods, without nginx.

local bucket = require "bitrix.portal.bucket"
local fault = require "bitrix.portal.fault"
local front = require "bitrix.portal.front"
local json = require "bitrix.portal.json"
local world = require "portal.world"

local BASE = "/rest/1/secret/"
local ADD = "tasks.api.scrum.backlog.add"
local PARAMS = '{"fields":{"groupId":126,"createdBy":6}}'

local face, now

before_each(function()
  world.new()
  now = 1712137817
  face = front.new { entrance = world.entrance, clock = function() return now end }
end)

-- The entry of a request and the plan for it.
local function ask(path, body, more)
  local entry = { path = path, query = "", headers = { ["content-type"] = "application/json" }, body = body or "",
    ip = "127.0.0.1" }
  for name, value in pairs(more or {}) do
    entry[name] = value
  end
  local plan = face:answer(entry)
  return entry, plan
end

local function script(...)
  for _, rule in ipairs { ... } do
    assert(fault.check(rule))
    face:order(fault.prepared(rule))
  end
end

describe("an address", function()
  it("that is no REST address has a page", function()
    local entry, plan = ask("/company/")
    assert.same({ 404, false }, { plan.status, entry.executed })
    assert.matches("^<html>", plan.body.head)
    assert.is_nil(entry.method)
  end)
  it("gives the journal its method, user and parameters", function()
    local entry = ask(BASE .. ADD .. ".json", PARAMS)
    assert.same({ ADD, 1, { fields = { groupId = 126, createdBy = 6 } }, 200, true },
      { entry.method, entry.user, entry.params, entry.status, entry.executed })
  end)
end)

describe("whether a method was run", function()
  it("is written down: it was when it answered, and when it refused", function()
    assert.is_true(ask(BASE .. ADD, PARAMS).executed)
    local entry = ask(BASE .. ADD, PARAMS)
    assert.same({ 400, true }, { entry.status, entry.executed })
  end)
  it("is not when it was not found, not allowed, not given what it needs", function()
    assert.is_false(ask(BASE .. "no.such.method").executed)
    assert.is_false(ask("/rest/1/wrong/" .. ADD, PARAMS).executed)
    assert.is_false(ask("/rest/" .. ADD, PARAMS).executed)
    assert.is_false(ask(BASE .. ADD, "{}").executed)
  end)
  it("is told of each command of a batch", function()
    local entry = ask(BASE .. "batch", ([[{"cmd":{"a":"%s?fields[groupId]=126","b":"no.such.method","c":"%s"}}]])
      :format(ADD, ADD))
    assert.is_true(entry.executed)
    assert.same({ { method = ADD, executed = true }, { method = "no.such.method", executed = false },
      { method = ADD, executed = false } }, entry.commands)
  end)

  -- { rule, executed, what the client sees }
  local cells = {
    { { close = true }, false, "close" },
    { { execute = true, close = true }, true, "close" },
    { { reset = true }, false, "reset" },
    { { execute = true, reset = true }, true, "reset" },
    { { cut = 20 }, true, 200 },
    { { body = '{"result":{"id":1}}', cut = 5 }, false, 200 },
    { { delay = 3 }, true, 200 },
    { { delay = 3, close = true }, false, "close" },
    { { delay = 3, pass = true }, true, 200 },
    { { redirect = "http://127.0.0.1/" }, false, 302 },
    { { error = "QUERY_LIMIT_EXCEEDED" }, false, 503 },
    { { error = "OPERATION_TIME_LIMIT" }, false, 429 },
    { { error = "expired_token" }, false, 401 },
    { { error = "INTERNAL_SERVER_ERROR", execute = true }, true, 500 },
  }
  for _, status in ipairs { 408, 429, 500, 502, 503, 504 } do
    cells[#cells + 1] = { { status = status }, false, status }
    cells[#cells + 1] = { { status = status, execute = true, body = "<html>" }, true, status }
  end
  for i, cell in ipairs(cells) do
    it(("is the rule's to say (%d)"):format(i), function()
      local rule, executed, seen = cell[1], cell[2], cell[3]
      script(rule)
      local entry, plan = ask(BASE .. ADD, PARAMS)
      assert.equal(executed, entry.executed)
      assert.equal(seen, plan.drop or plan.status)
      assert.equal(executed, world.state:backlog_of(126) ~= nil)
      assert.equal(type(seen) == "number" and seen or nil, entry.status)
    end)
  end
end)

describe("a rule for one method", function()
  it("waits for it, and others pass by", function()
    script({ status = 500, method = ADD }, { status = 502 })
    local got = {}
    for i, method in ipairs { "profile", "profile", ADD, ADD } do
      local _, plan = ask(BASE .. method, PARAMS)
      got[i] = plan.status
    end
    assert.same({ 502, 200, 500, 200 }, got)
  end)
  it("stands for an error with its usual status", function()
    script { error = "NO_AUTH_FOUND" }
    local _, plan = ask(BASE .. "profile")
    assert.same({ 401, "NO_AUTH_FOUND" }, { plan.status, json.decode(plan.body.head).error })
  end)
end)

describe("the limit", function()
  before_each(function()
    face = front.new { entrance = world.entrance, clock = function() return now end,
      bucket = bucket.new(bucket.read { burst = 2, rate = 1, phase = 0 }) }
  end)

  it("refuses what is above it, runs nothing, and says so in the journal", function()
    ask(BASE .. "profile")
    ask(BASE .. "profile")
    local entry, plan = ask(BASE .. ADD, PARAMS)
    assert.same({ 503, true, false, 503 }, { plan.status, entry.refused, entry.executed, entry.status })
    assert.equal('{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many requests"}', plan.body.head)
    assert.is_nil(world.state:backlog_of(126))
    now = now + 1
    entry = ask(BASE .. ADD, PARAMS)
    assert.same({ nil, true }, { entry.refused, entry.executed })
  end)
  it("counts a batch as one, and what is wrong, too", function()
    ask(BASE .. "batch", '{"cmd":{"a":"profile","b":"profile","c":"profile"}}')
    ask("/rest/1/wrong/profile")
    assert.equal(503, ask(BASE .. "profile").status)
  end)
  it("does not count what is no call", function()
    for _ = 1, 5 do
      assert.equal(404, ask("/company/").status)
    end
    assert.equal(200, ask(BASE .. "profile").status)
  end)
  it("uses up no rule", function()
    ask(BASE .. "profile")
    ask(BASE .. "profile")
    script { status = 500 }
    assert.equal(503, ask(BASE .. "profile").status)
    now = now + 1
    assert.equal(500, ask(BASE .. "profile").status)
  end)
end)
