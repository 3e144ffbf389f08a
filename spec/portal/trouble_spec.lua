-- Scripted faults over real sockets: what fault.lua plans, sender.lua and system.lua do.

local dkjson = require "dkjson"
local portal = require "bitrix.portal"
local support = require "portal.support"

local call, curl = support.call, support.curl
local ADD = "tasks.api.scrum.backlog.add"

-- curl's exit codes.
local CUT, EMPTY, RESET, SEND_RESET, TIMEOUT = 18, 52, 56, 55, 28

local p

setup(function() p = portal.start { tls = true } end)
teardown(function() p:stop() end)
before_each(function() p:clear() end)

local function profile(...)
  return curl(p.webhook .. "profile", ...)
end

describe("a script", function()
  it("is used up in order, then the portal is itself again", function()
    p:script { { status = 503, body = { error = "QUERY_LIMIT_EXCEEDED" } }, { status = 500, body = "oops", times = 2 } }
    p:script { { status = 502 } }
    local got = {}
    for i = 1, 5 do
      local answer = profile()
      got[i] = answer.status .. answer.body:sub(1, 8)
    end
    assert.same({ '503{"error"', "500oops", "500oops", "502", '200{"result' }, got)
    assert.equal(500, p:journal()[3].status)
  end)
  it("can be forgotten", function()
    p:script { { status = 500, times = 10 } }
    profile()
    p:clear()
    assert.equal(200, profile().status)
  end)
  it("is refused as a whole when one rule is wrong, at the caller's line", function()
    local ok, problem = pcall(function() p:script { { status = 500 }, { stauts = 500 } } end)
    assert.is_false(ok)
    assert.matches("trouble_spec%.lua:%d+: bitrix%.portal: script%[2%]: unknown rule field 'stauts'", problem)
    assert.is_false((pcall(p.script, p, { status = 500 })))
    assert.is_false((pcall(p.script, p, "x")))
    assert.equal(200, profile().status)
  end)
end)

describe("a rule", function()
  it("sends any bytes", function()
    p:script { { body = '{"result":1}\0\255\r\n' } }
    assert.equal('{"result":1}\0\255\r\n', profile().body)
  end)
  it("sends JSON with nulls of any library and empty objects", function()
    p:script { { body = { result = dkjson.null, a = setmetatable({}, { __jsontype = "object" }) } } }
    assert.equal('{"result":null,"a":{}}', profile().body)
    local ok, cjson = pcall(require, "cjson")
    if ok then
      p:script { { body = { result = cjson.null } } }
      assert.equal('{"result":null}', profile().body)
    end
  end)
  it("sends headers", function()
    p:script { { headers = { ["X-Test"] = "yes", ["Content-Type"] = "text/plain" } } }
    local text = profile("-i").body
    assert.matches("\r\nX%-Test: yes\r\n", text)
    assert.matches("\r\nContent%-Type: text/plain\r\n", text)
  end)
  it("redirects", function()
    p:script { { redirect = "https://new.example/rest/1/x/profile" } }
    local answer = profile("-i")
    assert.equal(302, answer.status)
    assert.matches("\r\nLocation: https://new%.example/rest/1/x/profile\r\n", answer.body)
  end)
  it("waits before it answers, with the request in the journal already", function()
    p:script { { delay = 0.3 } }
    assert.equal(TIMEOUT, profile("-m", "0.1").exit)
    assert.equal(200, p:journal()[1].status)
    p:script { { delay = 0.3 } }
    local seconds = support.run(("curl -s -o /dev/null -w '%%{time_total}' %sprofile"):format(p.webhook))
    assert.is_true(tonumber(seconds) >= 0.3, seconds)
  end)
  it("sends huge bodies", function()
    p:script { { body_size = 60000000 } }
    local size = support.run(("curl -s %sprofile | wc -c"):format(p.webhook))
    assert.equal(60000000, tonumber(size))
  end)
  it("sends deep bodies", function()
    p:script { { depth = 100000 } }
    assert.equal('{"result":' .. ("["):rep(100000) .. ("]"):rep(100000) .. "}", profile().body)
  end)
  it("holds up nobody else", function()
    p:script { { delay = 1 } }
    local slow = io.popen(("curl -s %sprofile"):format(p.webhook))
    assert.is_true(support.eventually(function() return #p:journal() == 1 end))
    local seconds = support.run(("curl -s -o /dev/null -w '%%{time_total}' %sprofile"):format(p.webhook))
    assert.is_true(tonumber(seconds) < 0.5)
    assert.matches('"result"', slow:read("*a"))
    slow:close()
  end)
  it("compresses for those who take it", function()
    p:script { { gzip = true }, { gzip = true } }
    local answer = profile("-i", "--compressed")
    assert.matches("\r\nContent%-Encoding: gzip\r\n", answer.body)
    assert.matches('"result"', answer.body)
    assert.not_matches("Content%-Encoding", profile("-i").body)
  end)
end)

for _, way in ipairs {
  { "plain HTTP", "webhook", {} },
  { "TLS", "tls_webhook", { "--http1.1" } },
  { "HTTP/2", "tls_webhook", { "--http2" } },
} do
  local name, address, arguments = way[1], way[2], way[3]
  local two = name == "HTTP/2"

  describe("over " .. name, function()
    local function fetch()
      return curl(p[address] .. "profile", "--cacert", p.ca_file, (unpack or table.unpack)(arguments))
    end

    it("an answer is cut off after the bytes that the rule says", function()
      p:script { { body = "0123456789", cut = 4 } }
      local answer = fetch()
      assert.same({ CUT, "0123", 200 }, { answer.exit, answer.body, answer.status })
      assert.equal(200, p:journal()[1].status)
    end)
    it("a cut of 0 is a head without a body", function()
      p:script { { body = "0123456789", cut = 0 } }
      assert.equal(CUT, fetch().exit)
    end)
    it("a cut behind the end is none", function()
      p:script { { body = "0123456789", cut = 10 }, { body = "0123456789", cut = 99 } }
      assert.equal("0123456789", fetch().body)
      assert.equal("0123456789", fetch().body)
    end)
    it("a chunked answer lacks its last chunk when cut", function()
      p:script { { body_size = 1000000, cut = 500000, chunked = true } }
      local answer = fetch()
      assert.same({ CUT, 500000 }, { answer.exit, #answer.body })
    end)
    it("a connection is closed without an answer", function()
      p:script { { close = true } }
      assert.equal(two and CUT or EMPTY, fetch().exit)
      assert.is_nil(p:journal()[1].status)
    end)
    it("a connection is reset", function()
      p:script { { reset = true } }
      local code = fetch().exit
      assert.is_true(code == RESET or code == SEND_RESET)
      assert.equal("profile", p:journal()[1].method)
      assert.is_nil(p:journal()[1].status)
    end)
  end)
end

describe("the method behind a fault", function()
  local function add()
    return call(p.webhook .. ADD, '{"fields":{"groupId":125,"createdBy":6}}')
  end
  local function count()
    return #p:dump().backlogs
  end

  it("is not run, unless `execute` says so", function()
    local before = count()
    p:script { { status = 500 }, { reset = true } }
    add()
    add()
    assert.equal(before, count())
    p:script { { execute = true, close = true } }
    assert.equal(EMPTY, add().exit)
    assert.equal(before + 1, count())
    assert.matches("Backlog already added", add().body)
  end)
  it("is told by the journal, and a rule can wait for it", function()
    p:script { { execute = true, reset = true, method = "tasks.api.scrum.backlog.getFields" } }
    assert.equal(200, profile().status)
    curl(p.webhook .. "tasks.api.scrum.backlog.getFields")
    local journal = p:journal()
    assert.same({ true, true }, { journal[1].executed, journal[2].executed })
    assert.same({ 200, nil }, { journal[1].status, journal[2].status })
    p:script { { status = 504, body = "<html>" }, { cut = 10 } }
    curl(p.webhook .. "profile")
    assert.equal(CUT, curl(p.webhook .. "profile").exit)
    journal = p:journal()
    assert.same({ false, true }, { journal[3].executed, journal[4].executed })
  end)
end)

describe("the limit", function()
  it("refuses, and lets pass again after a tick", function()
    local other = portal.start { limit = { burst = 3, rate = 1, tick = 1 } }
    finally(function() other:stop() end)
    local text = support.run(("for i in 1 2 3 4 5 6 7 8; do curl -s -o /dev/null -w '%%{http_code} ' %sprofile; done")
      :format(other.webhook))
    assert.matches("^200 200 200 ", text)
    assert.matches("503", text)
    for _, entry in ipairs(other:journal()) do
      assert.equal(entry.status == 503, entry.refused == true)
      assert.equal(entry.status == 200, entry.executed)
      assert.equal("127.0.0.1", entry.ip)
    end
    assert.is_true(support.eventually(function() return curl(other.webhook .. "profile").status == 200 end))
  end)
end)
