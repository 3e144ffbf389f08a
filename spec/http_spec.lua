-- The transport: failures, timeouts, TLS, kept connections, and that nothing is sent twice.
local bitrix = require "bitrix"
local safe = require "bitrix.safe"
local raw = require "support.raw"

describe("the transport", function()
  local portal

  setup(function() portal = require("bitrix.portal").start{ tls = true } end)
  teardown(function() portal:stop() end)
  before_each(function() portal:clear() end)

  -- One attempt a call: what becomes of failures afterwards is spec/retry_matrix_spec.lua's.
  local function client(options)
    options = options or {}
    options.webhook = options.webhook or portal.webhook
    options.limit, options.retry = false, false
    return safe.new(options)
  end

  local function fails(kind, reason, executed, with)
    local result, err = with.scrum.backlog_add{ groupId = 125, createdBy = 6 }
    assert.is_nil(result)
    assert.is_true(bitrix.is_error(err), tostring(err))
    assert.same({ kind, reason, executed }, { err.kind, err.reason, err.executed }, tostring(err))
    assert.equal("string", type(err.message))
    assert.equal(1, #err.attempts)
    assert.equal("number", type(err.attempts[1].seconds))
    return err
  end

  local function journal_of(method)
    local found = {}
    for _, request in ipairs(portal:journal()) do
      if request.method == method then found[#found + 1] = request end
    end
    return found
  end

  describe("without an answer", function()
    it("tells a refused connection", function()
      local err = fails("network", "connect", "no", client{ webhook = "http://127.0.0.1:1/rest/1/s3cr3tc0de/" })
      assert.is_nil(err.status)
      assert.is_nil(err.code)
    end)

    it("tells a name that is not known", function()
      fails("network", "dns", "no", client{ webhook = "https://portal.invalid/rest/1/s3cr3tc0de/" })
    end)

    it("tells a connection closed or reset after the request, and does not know whether it ran", function()
      for _, rule in ipairs{ { close = true }, { reset = true }, { execute = true, close = true } } do
        portal:script{ rule }
        local err = fails("network", "reset", "unknown", client())
        assert.is_nil(err.status)
      end
      assert.equal(3, #portal:journal())
    end)

    it("tells a reset before the request was sent", function()
      local server = raw.start("reset")
      fails("network", "tls", "no", client{ webhook = ("https://127.0.0.1:%d/rest/1/s3cr3tc0de/"):format(server.port) })
      server.stop()
    end)

    it("tells an answer that is no HTTP", function()
      local server = raw.start("speak:SSH-2.0-OpenSSH\\r\\n")
      fails("protocol", "not_json", "unknown", client{ webhook = ("http://127.0.0.1:%d/rest/1/s3cr3tc0de/"):format(server.port) })
      server.stop()
    end)

    local function spoken(text)
      local server = raw.start("speak:" .. text)
      local c = client{ webhook = ("http://127.0.0.1:%d/rest/1/s3cr3tc0de/"):format(server.port) }
      local result, err = c:call("x")
      c:close()
      server.stop()
      return result, err
    end

    it("does not take an interim answer for one", function()
      for _, text in ipairs{ "HTTP/1.1 100 Continue\\r\\n\\r\\n", "HTTP/1.1 103 Early Hints\\r\\nLink: x\\r\\n\\r\\n" } do
        local _, err = spoken(text)
        assert.same({ "network", "reset", "unknown" }, { err.kind, err.reason, err.executed })
        assert.is_nil(err.status)
      end
      assert.equal(1, (spoken("HTTP/1.1 103 Early Hints\\r\\n\\r\\nHTTP/1.1 200 OK\\r\\nContent-Length: 12\\r\\n\\r\\n{\"result\":1}")))
    end)

    it("tells an answer whose headers are too large", function()
      local result, err = spoken("HTTP/1.1 200 OK\\r\\nContent-Length: 12\\r\\nX-A: \\L\\r\\n\\r\\n{\"result\":1}")
      assert.is_nil(result)
      assert.is_true(bitrix.is_error(err))
      assert.equal("protocol", err.kind)
      assert.equal("unknown", err.executed)
    end)

    it("tells a proxy that refuses the tunnel", function()
      local server = raw.start("speak:HTTP/1.1 403 Forbidden\\r\\nContent-Length: 0\\r\\n\\r\\n")
      fails("network", "connect", "no", client{ webhook = "https://portal.invalid/rest/1/s3cr3tc0de/",
        proxy = "http://127.0.0.1:" .. server.port })
      server.stop()
    end)

    it("is told alike over HTTP/2", function()
      portal:script{ { close = true } }
      fails("network", "reset", "unknown", client{ webhook = portal.tls_webhook, ca_file = portal.ca_file })
    end)

    it("tells a proxy that is not there", function()
      fails("network", "connect", "no", client{ proxy = "http://127.0.0.1:1" })
    end)
  end)

  describe("with a time limit", function()
    local function timed(limit, run)
      local now = require("bitrix.core").now
      local started = now()
      run()
      local took = now() - started
      assert.is_true(took >= limit * 0.9 and took < limit + 1, "took " .. took)
    end

    it("ends after timeout, and does not know whether the call ran", function()
      portal:script{ { pass = true, delay = 3 } }
      timed(0.2, function() fails("timeout", "timeout", "unknown", client{ timeout = 0.2 }) end)
    end)

    it("ends at the deadline, if that is nearer", function()
      portal:script{ { pass = true, delay = 3 } }
      timed(0.2, function() fails("timeout", "deadline", "unknown", client{ timeout = 10, deadline = 0.2 }) end)
    end)

    it("ends after connect_timeout when the connection does not come to stand", function()
      local server = raw.start("silent")
      local webhook = ("https://127.0.0.1:%d/rest/1/s3cr3tc0de/"):format(server.port)
      timed(0.2, function()
        -- With one certificate: valgrind takes a second to read the system's.
        fails("timeout", "connect_timeout", "no", client{ webhook = webhook, ca_file = portal.ca_file, connect_timeout = 0.2 })
      end)
      timed(0.1, function()
        fails("timeout", "timeout", "no", client{ webhook = webhook, ca_file = portal.ca_file, timeout = 0.1 })
      end)
      server.stop()
    end)

    it("ends within a trickle: the limit is for the whole answer", function()
      local server = raw.start("trickle")
      local webhook = ("http://127.0.0.1:%d/rest/1/s3cr3tc0de/"):format(server.port)
      timed(0.3, function() fails("timeout", "timeout", "unknown", client{ webhook = webhook, timeout = 0.3 }) end)
      server.stop()
    end)

    it("of less than a millisecond is a limit too", function()
      for _, options in ipairs{ { timeout = 0.0001 }, { timeout = 1e-9 }, { deadline = 1e-9 } } do
        portal:script{ { pass = true, delay = 1 } }
        timed(0, function()
          local _, err = client(options):call("app.info")
          assert.equal("timeout", err.kind)
        end)
        portal:clear()
      end
    end)

    it("is fit for the next call afterwards", function()
      portal:script{ { pass = true, delay = 3 } }
      local c = client{ timeout = 0.2 }
      fails("timeout", "timeout", "unknown", c)
      assert.is_table((c.scrum.backlog_get_fields()))
    end)
  end)

  describe("never sends a call twice", function()
    it("when a kept connection dies under the request", function()
      for _, rule in ipairs{ { execute = true, close = true }, { execute = true, reset = true } } do
        portal:clear()
        local c = client()
        assert.is_table((c.scrum.backlog_get_fields()))
        portal:script{ rule }
        fails("network", "reset", "unknown", c)
        assert.equal(1, #journal_of("tasks.api.scrum.backlog.add"))
        c:close()
      end
    end)

    it("when an answer is cut off or late", function()
      local c = client{ timeout = 0.2 }
      portal:script{ { status = 200, body = '{"result":{}}', cut = 5 }, { pass = true, delay = 1 } }
      fails("protocol", "truncated", "unknown", c)
      fails("timeout", "timeout", "unknown", c)
      assert.equal(2, #journal_of("tasks.api.scrum.backlog.add"))
    end)

    it("when the portal is over its limits", function()
      portal:script{ { status = 503, body = '{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many requests"}' } }
      fails("limit", "query_limit_exceeded", "no", client{ retry = false })
      assert.equal(1, #portal:journal())
    end)
  end)

  it("never takes an answer that nobody asked for", function()
    local server = raw.start("unasked")
    local c = client{ webhook = ("http://127.0.0.1:%d/rest/1/s3cr3tc0de/"):format(server.port) }
    for _ = 1, 3 do
      assert.equal("yours", (c:call("x")))
      os.execute("sleep 0.1") -- the second answer comes 50 ms behind the first
    end
    c:close()
    server.stop()
  end)

  it("hands no connection on to the programs that are started", function()
    local c = client()
    c:call("tasks.api.scrum.backlog.getFields")
    local pipe = io.popen("ls -l /proc/self/fd 2>/dev/null")
    local inherited = pipe:read("*a")
    pipe:close()
    c:close()
    pipe = io.popen("ls -l /proc/self/fd 2>/dev/null")
    local without = pipe:read("*a")
    pipe:close()
    -- libcurl's own socket pair, with which it wakes itself, is another matter: it leads nowhere.
    local function internet(text)
      local file, count = io.open("/proc/net/tcp"), 0
      local sockets = file:read("*a")
      file:close()
      for inode in text:gmatch("socket:%[(%d+)%]") do
        if sockets:find(" " .. inode .. " ", 1, true) then count = count + 1 end
      end
      return count
    end
    assert.equal(internet(without), internet(inherited))
  end)

  it("sends nothing to a proxy of the environment when the portal is on this machine", function()
    local code = ("local r, e = require('bitrix.safe').new{ webhook = %q }:call('tasks.api.scrum.backlog.getFields') print(r, e)"):format(
      portal.webhook)
    local pipe = io.popen(("http_proxy=http://127.0.0.1:1 %s -e %q 2>&1"):format(os.getenv("BITRIX_LUA") or arg[-1], code))
    local text = pipe:read("*a")
    pipe:close()
    assert.truthy(text:find("^table"), text)
  end)

  it("takes a new connection when the portal has closed the kept one", function()
    local c = client()
    portal:script{ { status = 200, body = '{"result":1}', headers = { Connection = "close" } } }
    c:call("x")
    assert.is_table((c.scrum.backlog_get_fields()))
    assert.equal(2, #portal:journal())
  end)

  it("reads a compressed answer, and counts max_response after decompression", function()
    local text = ("x"):rep(100000)
    portal:script{ { status = 200, body = '{"result":"' .. text .. '"}', gzip = true, times = 2 } }
    assert.equal(text, (client():call("x")))
    local _, err = client{ max_response = 50000 }:call("x")
    assert.equal("too_large", err.reason)
    assert.truthy(portal:journal()[1].headers["accept-encoding"]:find("gzip", 1, true))
  end)

  describe("over TLS", function()
    it("calls with the portal's own CA", function()
      local c = client{ webhook = portal.tls_webhook, ca_file = portal.ca_file }
      local _, info = assert(c.scrum.backlog_get_fields())
      assert.is_true(info.timings.tls > 0)
      _, info = c.scrum.backlog_get_fields()
      assert.equal(0, info.timings.tls)
      local journal = portal:journal()
      assert.is_true(journal[1].tls)
      assert.equal(journal[1].connection, journal[2].connection)
    end)

    it("refuses a certificate that it cannot verify, and sends nothing", function()
      fails("network", "tls", "no", client{ webhook = portal.tls_webhook })
      assert.equal(0, #portal:journal())
    end)

    it("refuses a certificate for another host", function()
      local webhook = portal.tls_webhook:gsub("//127%.0%.0%.1", "//127.0.0.2")
      local result, err = client{ webhook = webhook, ca_file = portal.ca_file }:call("x")
      assert.is_nil(result)
      assert.is_true(err.reason == "tls" or err.reason == "connect", tostring(err))
      assert.equal("no", err.executed)
    end)

    it("refuses a CA file that holds no certificates", function()
      fails("network", "tls", "no", client{ webhook = portal.tls_webhook, ca_file = "/etc/hostname" })
    end)

    it("accepts any certificate with verify = false", function()
      assert.is_table((client{ webhook = portal.tls_webhook, verify = false }.scrum.backlog_get_fields()))
    end)

    it("speaks no TLS to a plain port, and no plain text to a TLS port", function()
      fails("network", "tls", "no", client{ webhook = (portal.webhook:gsub("^http:", "https:")) })
      local _, err = client{ webhook = (portal.tls_webhook:gsub("^https:", "http:")) }:call("x")
      assert.equal("not_json", err.reason)
      assert.equal(400, err.status)
    end)
  end)

  it("leaves a parent's connection alone in a forked child", function()
    local ok, unistd = pcall(require, "posix.unistd")
    if not ok then return pending("needs luaposix, which Debian does not have for Lua 5.4") end
    local wait = require("posix.sys.wait").wait
    local c = client()
    c:call("tasks.api.scrum.backlog.getFields")
    local child = unistd.fork()
    if child == 0 then
      local fine = c:call("tasks.api.scrum.backlog.getFields") ~= nil
      unistd._exit(fine and 0 or 1)
    end
    local _, _, status = wait(child)
    assert.equal(0, status)
    assert.is_table((c:call("tasks.api.scrum.backlog.getFields")))
    local journal = portal:journal()
    assert.equal(3, #journal)
    assert.not_equal(journal[1].connection, journal[2].connection)
    assert.equal(journal[1].connection, journal[3].connection)
  end)
end)
