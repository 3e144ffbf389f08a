-- Clients, their options, the default client, the two faces.
local bitrix = require "bitrix"
local safe = require "bitrix.safe"

local WEBHOOK = "https://acme.bitrix24.com/rest/1/s3cr3tc0de/"

-- How many sockets this process has open.
local function sockets()
  local stat = assert(io.open("/proc/self/stat"))
  local pipe = io.popen(("ls -l /proc/%d/fd 2>/dev/null"):format(stat:read("*n")))
  stat:close()
  local count = select(2, pipe:read("*a"):gsub("socket:", ""))
  pipe:close()
  return count
end

local function problem_of(options)
  local ok, problem = pcall(bitrix.new, options)
  assert.is_false(ok)
  assert.equal("string", type(problem))
  return problem
end

describe("bitrix.new", function()
  it("takes all its options", function()
    local client = bitrix.new{
      webhook = WEBHOOK, timeout = 1.5, connect_timeout = 0.5, deadline = 10, max_response = 1024,
      ca_file = "/etc/ssl/certs/ca-certificates.crt", verify = true, proxy = "http://user:pass@127.0.0.1:3128",
      user_agent = "acme-import/2.1", headers = { ["X-Custom"] = "1" }, insecure_http = false, retry = false,
    }
    assert.equal("bitrix.client (https://acme.bitrix24.com)", tostring(client))
    client:close()
  end)

  it("normalises the webhook: white space off, slash on", function()
    for _, webhook in ipairs{ "  https://x.bitrix24.ru/rest/1/abc ", "https://x.bitrix24.ru/rest/1/abc",
      "https://x.bitrix24.ru/rest/1/abc/\n", "https://x.bitrix24.ru:8443/rest/api/12/aB-_.~9/",
      "HTTPS://X.bitrix24.ru/rest/1/abc", "https://intranet.local/portal/rest/1/abc/" } do
      assert.truthy(tostring(bitrix.new{ webhook = webhook }):find("^bitrix%.client %(https://"))
    end
  end)

  it("refuses what is no webhook, without showing it", function()
    for _, webhook in ipairs{ "not-a-url", "", " ", "https://", "https://x.y", "https://x.y/rest/", "ftp://x.y/rest/1/s3cr3t/",
      "https://x.y/rest/1/", "https://x.y/rest/a/s3cr3t", "https://x.y/rest/1/s3cr3t/profile.json",
      "https://x.y/rest/1/s3cr3t/?a=b", "https://x.y/rest/1/s3cr3t#f", "https://user:s3cr3t@x.y/rest/1/s3cr3t",
      "https://x.y/rest/1/s3c r3t/", "https://x.y/rest/1/s3cr3t\r\nHost: z", "https://x.y/rest/1/s3cr3t\0" } do
      local problem = problem_of{ webhook = webhook }
      assert.truthy(problem:find("option 'webhook': the address of an inbound webhook expected", 1, true), problem)
      assert.is_nil(problem:find("s3c", 1, true))
    end
    assert.truthy(problem_of{ webhook = 123 }:find("option 'webhook': string expected, got number", 1, true))
  end)

  it("requires https but for this machine's own addresses", function()
    for _, host in ipairs{ "127.0.0.1", "127.8.9.1:8080", "localhost", "[::1]:80" } do
      assert.is_not_nil(bitrix.new{ webhook = "http://" .. host .. "/rest/1/abc/" })
    end
    for _, host in ipairs{ "acme.bitrix24.com", "127.0.0.1.evil.com", "127.evil.com", "localhost.evil.com", "10.0.0.1" } do
      local webhook = "http://" .. host .. "/rest/1/abc/"
      assert.truthy(problem_of{ webhook = webhook }:find("option 'webhook': https expected", 1, true))
      assert.is_not_nil(bitrix.new{ webhook = webhook, insecure_http = true })
    end
  end)

  it("names an unknown option, and the one that was meant", function()
    assert.truthy(problem_of{ webhook = WEBHOOK, time_out = 3 }:find("unknown option 'time_out'; did you mean 'timeout'?", 1, true))
    assert.truthy(problem_of{ webhook = WEBHOOK, colour = 3 }:find("unknown option 'colour'", 1, true))
    assert.truthy(problem_of{ "x" }:find("unknown option (a number)", 1, true))
    assert.truthy(problem_of{ webhook = WEBHOOK, ["timeout\0x"] = 5 }:find("unknown option", 1, true))
  end)

  it("names the option that is wrong, what was expected and what came", function()
    local cases = {
      { "timeout", "5", "number expected, got string" }, { "timeout", 0, "a positive number of seconds" },
      { "timeout", -1, "got -1" }, { "timeout", 0 / 0, "a positive number" }, { "timeout", math.huge, "a positive number" },
      { "connect_timeout", true, "number expected, got boolean" }, { "deadline", {}, "number expected, got table" },
      { "max_response", 0, "a positive number of bytes" }, { "max_response", "1", "number expected, got string" },
      { "ca_file", "/no/such/file", "readable file" },
      { "ca_file", "/tmp", "readable file" }, { "ca_file", "/etc/hostname\0", "readable" },
      { "ca_file", 1, "string expected, got number" },
      { "verify", 1, "boolean expected, got number" }, { "insecure_http", "no", "boolean expected, got string" },
      { "proxy", 1, "string expected, got number" }, { "proxy", true, "a proxy's address" },
      { "proxy", "gopher://x", "a proxy's address" },
      { "proxy", "http://", "a proxy's address" }, { "proxy", "h:99999", "a proxy's address" },
      { "proxy", "http://x\r\ny", "a proxy's address" },
      { "user_agent", "", "non-empty printable text" }, { "user_agent", "a\r\nX: y", "non-empty printable text" },
      { "user_agent", "a\0b", "non-empty printable text" }, { "retry", 3, "boolean expected, got number" },
      { "headers", "X: y", "table expected, got string" }, { "headers", { ["X-Y"] = "a\nb" }, "a header's value" },
      { "headers", { ["X Y"] = "a" }, "a header's name" }, { "headers", { ["X-Y"] = 1 }, "must all be strings" },
      { "headers", { "X-Y: z" }, "must all be strings" }, { "headers", { host = "evil" }, "does not set itself" },
      { "headers", { ["USER-AGENT"] = "x" }, "the option 'user_agent'" },
    }
    for _, case in ipairs(cases) do
      local problem = problem_of{ webhook = WEBHOOK, [case[1]] = case[2] }
      assert.truthy(problem:find("bad argument #1 to 'new' (option '" .. case[1] .. "': ", 1, true), problem)
      assert.truthy(problem:find(case[3], 1, true), problem)
    end
    assert.truthy(problem_of("https://x"):find("bad argument #1 to 'new' (table expected, got string)", 1, true))
  end)

  it("blames the caller's line", function()
    local ok, problem = pcall(function() bitrix.new{ webhook = 1 } end)
    assert.is_false(ok)
    assert.truthy(problem:find("^[^:]*client_spec.lua:%d+: bad argument #1 to 'new'"), problem)
  end)
end)

describe("a closed client", function()
  it("refuses calls, and closing again is fine", function()
    local client = bitrix.new{ webhook = WEBHOOK }
    client:close()
    client:close()
    for _, call in ipairs{ function() client.scrum.backlog_get{ groupId = 1 } end, function() client:call("x") end } do
      local ok, problem = pcall(call)
      assert.is_false(ok)
      assert.truthy(problem:find("this client is closed", 1, true))
    end
    assert.equal("bitrix.client (closed)", tostring(client))
  end)

  it("is what a <close> variable leaves behind", function()
    if _VERSION ~= "Lua 5.4" then return pending("<close> is Lua 5.4's") end
    local kept = assert(load([[
      local bitrix, webhook = ...
      local kept
      do
        local client <close> = bitrix.new{ webhook = webhook }
        kept = client
      end
      return kept
    ]]))(bitrix, WEBHOOK)
    assert.equal("bitrix.client (closed)", tostring(kept))
  end)
end)

describe("with a portal", function()
  local portal

  setup(function() portal = require("bitrix.portal").start() end)
  teardown(function() portal:stop() end)
  before_each(function() portal:clear() end)

  it("a caller's header and User-Agent both arrive", function()
    local client = bitrix.new{ webhook = portal.webhook, user_agent = "acme/1", headers = { ["X-Custom"] = "1" } }
    client.scrum.backlog_get_fields()
    local headers = portal:journal()[1].headers
    assert.equal("1", headers["x-custom"])
    assert.equal("acme/1", headers["user-agent"])
    assert.equal("application/json", headers["content-type"])
  end)

  it("the default client serves both faces and is made anew by configure", function()
    bitrix.configure{ webhook = portal.webhook }
    assert.is_table(bitrix.scrum.backlog_get_fields())
    assert.is_table(safe.call("tasks.api.scrum.backlog.getFields"))
    safe.configure{ webhook = "http://127.0.0.1:1/rest/1/abcdefgh/" }
    local ok, err = pcall(bitrix.scrum.backlog_get_fields)
    assert.is_false(ok)
    assert.equal("connect", err.reason)
    bitrix.configure{ webhook = portal.webhook }
    local configured, problem = pcall(bitrix.configure, { webhook = portal.webhook, timeout = "x" })
    assert.is_false(configured)
    assert.truthy(problem:find("bad argument #1 to 'configure' (option 'timeout'", 1, true))
    assert.is_table(bitrix.call("tasks.api.scrum.backlog.getFields"))
  end)

  it("bitrix raises error objects, bitrix.safe returns them, and both raise a wrong argument", function()
    local raising, returning = bitrix.new{ webhook = portal.webhook }, safe.new{ webhook = portal.webhook }
    local ok, err = pcall(raising.scrum.backlog_get, { groupId = 0 })
    assert.is_false(ok)
    assert.is_true(bitrix.is_error(err))
    local result, returned = returning.scrum.backlog_get{ groupId = 0 }
    assert.is_nil(result)
    assert.is_true(bitrix.is_error(returned, "group_id_not_found"))
    local _, by_name = returning:call("tasks.api.scrum.backlog.get", { id = 0 })
    assert.equal("group_id_not_found", by_name.reason)
    assert.has_error(function() returning.scrum.backlog_get{ groupid = 1 } end)
    local fields, info = returning.scrum.backlog_get_fields()
    assert.is_table(fields)
    assert.equal(200, info.status)
  end)

  it("many clients that are left to the collector do not use up the descriptors", function()
    local most = 0
    for i = 1, 400 do
      safe.new{ webhook = portal.webhook, limit = false }:call("tasks.api.scrum.backlog.getFields")
      if i % 20 == 0 then most = math.max(most, sockets()) end
    end
    assert.is_true(most < 400, "up to " .. most .. " sockets")
  end)

  it("a client that is collected closes its connection", function()
    collectgarbage()
    collectgarbage()
    local before = sockets()
    local client = bitrix.new{ webhook = portal.webhook }
    client.scrum.backlog_get_fields()
    assert.is_true(sockets() > before)
    client = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.equal(before, sockets())
  end)
end)

describe("the default client without a webhook", function()
  it("says what to do, at the caller's line", function()
    local interpreter = os.getenv("BITRIX_LUA") or arg[-1]
    local code = [[local ok, e = pcall(function() require('bitrix').scrum.backlog_get{ groupId = 1 } end) print(e)]]
    local pipe = io.popen(("env -u BITRIX24_WEBHOOK_URL %s -e %q"):format(interpreter, code))
    local text = pipe:read("*a")
    pipe:close()
    assert.truthy(text:find("BITRIX24_WEBHOOK_URL", 1, true), text)
    assert.truthy(text:find("bitrix.configure", 1, true), text)
    assert.truthy(text:find("^%(command line%):1: "), text)
  end)
end)
