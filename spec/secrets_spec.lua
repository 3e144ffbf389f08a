-- The webhook's secret shows nowhere: each failure there is, searched through and through.
local bitrix = require "bitrix"
local safe = require "bitrix.safe"
local raw = require "support.raw"

local SECRET = "Sup3rS3cr3tC0de"

describe("the webhook's secret", function()
  local portal

  setup(function() portal = require("bitrix.portal").start{ tls = true, secret = SECRET } end)
  teardown(function() portal:stop() end)
  before_each(function() portal:clear() end)

  -- Every string in a value: keys, values, tostring, metatables. A recognisable beginning is a find too.
  local function search(value, found, seen)
    found, seen = found or {}, seen or {}
    local text = tostring(value)
    if text:lower():find(SECRET:sub(1, 6):lower(), 1, true) or text:find("/rest/1/", 1, true) then found[#found + 1] = text end
    if type(value) == "table" and not seen[value] then
      seen[value] = true
      for k, v in pairs(value) do
        search(k, found, seen)
        search(v, found, seen)
      end
      search(getmetatable(value), found, seen)
    end
    return found
  end

  local function webhook_at(port, scheme)
    return ("%s://127.0.0.1:%d/rest/1/%s/"):format(scheme or "http", port, SECRET)
  end

  -- What a portal's page may say back: the address that was asked for.
  local function echo(status)
    return { status = status, body = ('<h1>%d</h1> http://h/rest/1/%s/x and https:\\/\\/h\\/rest\\/1\\/%s\\/ and %s'):format(
      status, SECRET, SECRET, SECRET:upper()) }
  end

  local rules = {
    ["not_json"] = { status = 502, body = "<html>" },
    ["an echo of the address in a page"] = echo(404),
    ["the secret across the excerpt's end"] = { status = 500, body = ("x"):rep(2048 - 7) .. SECRET .. ("y"):rep(100) },
    ["the secret behind masks that shorten the text"] = { status = 500, body = (SECRET .. " "):rep(200) },
    ["an echo in the description"] = { status = 400,
      body = ('{"error":"X%s","error_description":"no %s"}'):format(SECRET, "http://h/rest/1/" .. SECRET .. "/x") },
    ["an echo in the validation"] = { status = 400,
      body = ('{"error":{"code":"X","message":"%s","validation":[{"field":"%s","message":"%s"}]}}'):format(SECRET, SECRET, SECRET) },
    ["a redirect to itself"] = { redirect = "https://elsewhere.bitrix24.com/rest/1/" .. SECRET .. "/x" },
    ["truncated"] = { status = 200, body = '{"result":"' .. SECRET .. '"}', cut = 20 },
    ["trailing"] = { status = 200, body = '{"result":1}\0' .. SECRET },
    ["bad shape"] = { status = 200, body = '"' .. SECRET .. '"' },
    ["reset"] = { reset = true }, ["close"] = { close = true }, ["timeout"] = { pass = true, delay = 2 },
  }
  for name, rule in pairs(rules) do
    it("is not in the error of " .. name, function()
      portal:script{ rule }
      local client = safe.new{ webhook = portal.webhook, timeout = 0.3, limit = false }
      local result, err = client:call("any.method")
      assert.is_nil(result)
      assert.is_true(bitrix.is_error(err))
      assert.same({}, search(err))
      assert.same({}, search(client))
      if err.body then assert.is_true(#err.body <= 2048) end
    end)
  end

  it("is not in the errors of connections", function()
    local silent, reset = raw.start("silent"), raw.start("reset")
    for _, options in ipairs{
      { webhook = webhook_at(1) }, { webhook = webhook_at(reset.port, "https") }, { webhook = webhook_at(reset.port) },
      { webhook = webhook_at(silent.port, "https"), connect_timeout = 0.1 },
      { webhook = "https://portal.invalid/rest/1/" .. SECRET }, { webhook = portal.tls_webhook },
      { webhook = portal.webhook, proxy = "http://joe:" .. SECRET .. "@127.0.0.1:1" },
      { webhook = portal.webhook, max_response = 10 },
    } do
      local client = safe.new(options)
      local result, err = client:call("any.method")
      assert.is_nil(result)
      assert.same({}, search(err))
      assert.same({}, search(client))
      client:close()
      assert.same({}, search(client))
    end
    silent.stop()
    reset.stop()
  end)

  it("is not in info, even where the portal sends it back", function()
    local client = safe.new{ webhook = portal.webhook, limit = false }
    local _, info = client.scrum.backlog_get_fields()
    assert.same({}, search(info))
    portal:script{ { status = 200, body = (('{"result":1,"time":{"url":"http://h/rest/1/CODE/x","list":["CODE"],"CODE":1,"start":1.5,'
      .. '"date_start":"2024-04-03T12:50:17+02:00"},"total":"CODE","next":{"CODE":1}}'):gsub("CODE", SECRET)) } }
    _, info = client:call("x")
    assert.same({}, search(info))
    assert.equal(1.5, info.time.start)
    assert.equal("2024-04-03T12:50:17+02:00", info.time.date_start)
  end)

  it("is not in an error in other spellings", function()
    local client = safe.new{ webhook = portal.webhook, limit = false }
    local percent = SECRET:gsub(".", function(c) return ("%%%02X"):format(c:byte()) end)
    local escaped = SECRET:gsub(".", function(c) return ("\\u%04x"):format(c:byte()) end)
    for _, text in ipairs{ percent, escaped, "x" .. percent:sub(1, 21) .. SECRET:sub(8) } do
      portal:script{ { status = 500, body = "<p>" .. text .. "</p>" } }
      local _, err = client:call("x")
      assert.is_nil(err.body:find(text:sub(1, 15), 1, true), err.body)
      assert.truthy(err.body:find("[REDACTED]", 1, true))
    end
  end)

  it("is not given back to who passes it as a name", function()
    local client = safe.new{ webhook = portal.webhook, limit = false }
    local _, err = client:call("x." .. SECRET)
    assert.same({}, search(err))
    for _, run in ipairs{
      function() client.scrum.backlog_get{ [portal.webhook] = 1 } end, function() client.scrum.backlog_get{ [SECRET] = 1 } end,
      function() client:call("x", { [portal.webhook] = print }) end, function() bitrix.new{ [portal.webhook] = 1 } end,
    } do
      local ok, problem = pcall(run)
      assert.is_false(ok)
      assert.same({}, search(problem))
    end
  end)

  it("is not in the message or the traceback of a wrong argument or option", function()
    local client = bitrix.new{ webhook = portal.webhook, limit = false }
    local function trace(run) return select(2, xpcall(run, debug.traceback)) end
    client:close()
    for _, run in ipairs{
      function() client.scrum.backlog_get{ groupId = 1 } end, function() client:call("x y") end,
      function() bitrix.new{ webhook = portal.webhook .. "user.current" } end,
      function() bitrix.new{ webhook = "http://example.com/rest/1/" .. SECRET } end,
      function() bitrix.new{ webhook = portal.webhook, proxy = "gopher://a:" .. SECRET .. "@b" } end,
      function() bitrix.new{ webhook = portal.webhook, proxy = "http://joe:a@" .. SECRET .. "@127.0.0.1:1" } end,
      function() bitrix.new{ webhook = portal.webhook, headers = { ["X-Auth"] = SECRET .. "\n" } } end,
    } do
      local text = trace(run)
      assert.equal("string", type(text))
      assert.same({}, search(text))
    end
  end)

  it("is not in the traceback of a raised error object", function()
    portal:script{ echo(500) }
    local client = bitrix.new{ webhook = portal.webhook, limit = false }
    local text = select(2, xpcall(function() client:call("x") end, function(e) return debug.traceback(tostring(e)) end))
    assert.same({}, search(text))
  end)

  it("is masked even where it is short, as a word of its own", function()
    local short = require("bitrix.portal").start{ secret = "abc" }
    short:script{ { status = 500, body = "x abc y abcd http://h/rest/1/abc/" } }
    local _, err = safe.new{ webhook = short.webhook }:call("x")
    short:stop()
    assert.equal("x [REDACTED] y abcd http://h/rest/[REDACTED]/", err.body)
  end)
end)
