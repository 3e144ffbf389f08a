-- The engine: exchanges on a thread of its own. Their outcomes are those of perform; here is what is different.
local core = require "bitrix.core"
local raw = require "support.raw"
local socket = require "socket"
local unix = require "socket.unix"
local unistd = select(2, pcall(require, "posix.unistd"))

local ADD = "tasks.api.scrum.backlog.add"
local READ = "tasks.api.scrum.backlog.getFields"
local ID = { groupId = 125, createdBy = 6 }
local WAIT = 20 -- seconds, for what comes at once

local function unix_socket()
  return type(unix) == "table" and unix.stream() or unix()
end

-- Collects for good: the second time takes what the first one's finalizers left.
local function collect()
  for _ = 1, 3 do collectgarbage() end
end

-- Calls `done` until it answers something, for WAIT seconds; between two calls it waits for the system, not by the clock.
local function eventually(done)
  local stop = core.now() + WAIT
  repeat
    local value = done()
    if value then return value end
    socket.sleep(0.005)
  until core.now() > stop
  error("it never came to that", 2)
end

local function is_linux() return io.open("/proc/self/status") ~= nil end

local function own_pid()
  local pipe = io.popen("echo $PPID")
  local pid = pipe:read("*n")
  pipe:close()
  return pid
end

-- The descriptors of this process that are TCP connections to a port.
local function connections_to(port)
  local pipe = io.popen(("ls -l /proc/%d/fd"):format(own_pid()))
  local own, count = pipe:read("*a"), 0
  pipe:close()
  for line in io.lines("/proc/net/tcp") do
    local there, state, inode = line:match("^ *%d+: %x+:%x+ %x+:(%x+) (%x+) %S+ %S+ %S+ +%d+ +%d+ (%d+)")
    if there and tonumber(there, 16) == port and state == "01" and own:find("socket:[" .. inode .. "]", 1, true) then
      count = count + 1
    end
  end
  return count
end

describe("the engine", function()
  local portal, engine, sessions

  setup(function() portal = require("bitrix.portal").start{ tls = true } end)
  teardown(function() portal:stop() end)
  before_each(function()
    portal:clear()
    engine = core.engine()
    sessions = {}
  end)
  after_each(function()
    -- What a spec has left on its way must not come up in the next one.
    for _, session in ipairs(sessions) do session:close() end
    sessions = nil
    collect()
    while engine:finished() do end -- luacheck: ignore
  end)

  local function open(options)
    options = options or {}
    options.webhook = options.webhook or portal.webhook
    local session = assert(core.session(options))
    sessions[#sessions + 1] = session
    return session
  end

  local function add(session) return assert(session:call(ADD, { fields = ID })) end

  -- Waits for one exchange.
  local function fly(exchange, seconds)
    engine:submit(exchange, seconds)
    assert.is_true(engine:wait(WAIT))
    assert.equal(exchange, engine:finished())
    assert.is_nil(engine:finished())
    return exchange:result()
  end

  -- Waits until all of a list have ended; the list of their first two results.
  local function fly_all(exchanges, seconds)
    local index, results, left = {}, {}, #exchanges
    for i, exchange in ipairs(exchanges) do
      index[exchange] = i
      engine:submit(exchange, seconds)
    end
    while left > 0 do
      assert.is_true(engine:wait(WAIT))
      local exchange = engine:finished()
      while exchange do
        left = left - 1
        results[index[exchange]] = { exchange:result() }
        exchange = engine:finished()
      end
    end
    return results
  end

  it("sends an exchange and returns at once", function()
    portal:script{ { pass = true, delay = 0.2 } }
    local exchange = open():prepare(1, ID)
    local started = core.now()
    local ticket = engine:submit(exchange, WAIT)
    assert.is_true(core.now() - started < 0.15)
    assert.equal(8, #ticket)
    assert.is_false(engine:wait(0))
    assert.is_nil(engine:finished())
    assert.is_true(engine:wait(WAIT))
    assert.is_true(core.now() - started >= 0.2)
    assert.equal(exchange, engine:finished())
    local result, info, attempt = exchange:result()
    assert.equal(125, result.groupId)
    assert.equal(200, info.status)
    assert.equal(200, attempt.status)
    assert.equal(1, #portal:journal())
  end)

  it("is one for each Lua state", function()
    assert.equal(engine, core.engine())
    assert.equal("bitrix.engine (open)", tostring(engine))
  end)

  it("sends an exchange again after its result", function()
    portal:script{ { status = 500, body = "{}" } }
    local exchange = open():call(READ)
    assert.is_nil((fly(exchange)))
    assert.is_table((fly(exchange)))
    exchange:perform()
    assert.is_table((exchange:result()))
    assert.is_table((fly(exchange)))
    local journal = portal:journal()
    assert.equal(4, #journal)
    assert.equal(journal[1].body, journal[4].body)
  end)

  it("has fifty calls of 100 ms under way at once", function()
    portal:script{ { pass = true, delay = 0.1, times = 50 } }
    local exchanges, session = {}, open()
    for i = 1, 50 do exchanges[i] = session:call(READ) end
    local started = core.now()
    local results = fly_all(exchanges)
    local took = core.now() - started
    for i = 1, 50 do assert.is_table(results[i][1], tostring(results[i][2])) end
    assert.is_true(took >= 0.1 and took < 2.5, "took " .. took) -- one after another: 5 seconds
  end)

  it("gives out exactly what has ended, once, and its descriptor says when there is something", function()
    local session = open()
    local fd = { getfd = function() return engine:fd() end, dirty = function() return false end }
    local function readable(seconds) return socket.select({ fd }, nil, seconds)[fd] ~= nil end
    assert.is_false(readable(0))
    local exchanges = {}
    for i = 1, 5 do exchanges[i] = session:call(READ) end
    for i = 1, 5 do engine:submit(exchanges[i]) end
    local seen, count = {}, 0
    while count < 5 do
      assert.is_true(readable(WAIT))
      local exchange = engine:finished()
      assert.is_nil(seen[exchange])
      seen[exchange] = true
      count = count + 1
    end
    assert.is_false(readable(0))
    assert.is_nil(engine:finished())
    for i = 1, 5 do assert.is_true(seen[exchanges[i]]) end
  end)

  it("does not give out what was taken before", function()
    local session = open()
    local exchange = session:call(READ)
    engine:submit(exchange)
    assert.is_true(engine:wait(WAIT))
    assert.is_table((exchange:result()))
    assert.is_false(engine:wait(0))
    assert.is_nil(engine:finished())
  end)

  it("refuses what makes no sense, and says why", function()
    portal:script{ { pass = true, delay = 0.3 } }
    local session = open()
    local exchange = session:call(READ)
    assert.has_error(function() exchange:result() end, "this exchange has no answer: perform it first")
    engine:submit(exchange)
    local on_its_way = "this exchange is on its way: wait for its end, or cancel it, first"
    assert.has_error(function() exchange:result() end, on_its_way)
    assert.has_error(function() exchange:perform() end, on_its_way)
    assert.has_error(function() engine:submit(exchange) end, on_its_way)
    assert.truthy(tostring(exchange):find(READ, 1, true))
    assert.equal("{}", exchange:body())
    assert.is_true(engine:wait(WAIT))
    assert.is_table((exchange:result()))
    assert.has_error(function() exchange:result() end, "this exchange has no answer: perform it first")
    assert.has_error(function() engine:submit(session) end)
    assert.has_error(function() engine:submit(exchange, "soon") end)
    exchange:close()
    assert.has_error(function() engine:submit(exchange) end)
    session:close()
    assert.is_nil((session:call(READ)))
    assert.equal(1, #portal:journal())
  end)

  it("refuses an exchange of a closed client", function()
    local session = open()
    local exchange = session:call(READ)
    session:close()
    assert.has_error(function() engine:submit(exchange) end, "this client is closed")
  end)

  describe("comes to the same outcome as perform", function()
    local function outcome(result, err)
      if result ~= nil then return { result = result } end
      assert.is_true(core.is_error(err), tostring(err))
      local message = err.message:gsub("%d+ milliseconds", "N milliseconds"):gsub("after %d+ ms", "after N ms")
      message = message:gsub("port %d+", "port N")
      return { err.kind, err.reason, err.executed, err.status or 0, err.code or "", message, err.body or "" }
    end

    -- A case: what to script, which options, which seconds; or a raw server's mode and what comes before its port.
    local cases = {
      ["an answer"] = { method = READ },
      ["an API error"] = { script = { { status = 400, body = '{"error":"0","error_description":"Backlog already added"}' } } },
      ["an HTML page"] = { script = { { status = 502, body = "<html>" } } },
      ["a redirect"] = { script = { { status = 302, headers = { Location = "https://other.example/rest/1/x/" } } } },
      ["a refused connection"] = { options = { webhook = "http://127.0.0.1:1/rest/1/s3cr3tc0de/" } },
      ["an unknown name"] = { options = { webhook = "https://portal.invalid/rest/1/s3cr3tc0de/" } },
      ["a connection closed after the request"] = { script = { { close = true } } },
      ["a connection reset after the request"] = { script = { { reset = true } } },
      ["a reset before the request"] = { raw = "reset", scheme = "https" },
      ["an answer that is no HTTP"] = { raw = "speak:SSH-2.0-OpenSSH\\r\\n" },
      ["an interim answer"] = { raw = "speak:HTTP/1.1 103 Early Hints\\r\\nLink: x\\r\\n\\r\\n" },
      ["headers that are too large"] = {
        raw = "speak:HTTP/1.1 200 OK\\r\\nContent-Length: 12\\r\\nX-A: \\L\\r\\n\\r\\n{\"result\":1}",
      },
      ["a proxy that refuses"] = { raw = "speak:HTTP/1.1 403 Forbidden\\r\\nContent-Length: 0\\r\\n\\r\\n", proxy = true },
      ["a proxy that is not there"] = { options = { proxy = "http://127.0.0.1:1" } },
      ["a timeout"] = { script = { { pass = true, delay = 3 } }, options = { timeout = 0.2 } },
      ["a deadline"] = { script = { { pass = true, delay = 3 } }, seconds = 0.2 },
      ["a deadline that has passed"] = { seconds = 0 },
      ["a negative deadline"] = { seconds = -1 },
      ["a connect_timeout"] = { raw = "silent", scheme = "https", options = { connect_timeout = 0.2 } },
      ["a timeout while it connects"] = { raw = "silent", scheme = "https", options = { timeout = 0.1 } },
      ["a trickle"] = { raw = "trickle", options = { timeout = 0.3 } },
      ["an answer that is cut off"] = { script = { { status = 200, body = '{"result":{"id":1}}', cut = 9 } } },
      ["an answer that is too large"] = {
        script = { { status = 200, body = '{"result":"' .. ("x"):rep(2000) .. '"}' } }, options = { max_response = 1000 },
      },
      ["a compressed answer"] = {
        script = { { status = 200, body = '{"result":"' .. ("x"):rep(2000) .. '"}', gzip = true } },
      },
      ["a certificate that cannot be verified"] = { tls = true },
      ["HTTP/2"] = { tls = true, ca = true, method = READ },
      ["HTTP/2 without an answer"] = { tls = true, ca = true, script = { { close = true } } },
      ["a CA file without certificates"] = { tls = true, options = { ca_file = "/etc/hostname" } },
      ["plain text to a TLS port"] = { tls = true, scheme = "http" },
      ["TLS to a plain port"] = { scheme = "https" },
    }

    local function run(case, send)
      local options, server = {}, nil
      for name, value in pairs(case.options or {}) do options[name] = value end
      portal:clear()
      if case.raw then
        server = raw.start(case.raw)
        local address = ("%s://127.0.0.1:%d"):format(case.scheme or "http", server.port)
        if case.proxy then
          options.webhook, options.proxy = "https://portal.invalid/rest/1/s3cr3tc0de/", address
        else
          options.webhook = address .. "/rest/1/s3cr3tc0de/"
        end
      else
        local webhook = case.tls and portal.tls_webhook or portal.webhook
        options.webhook = options.webhook or case.scheme and webhook:gsub("^%a+", case.scheme) or webhook
      end
      if case.ca then options.ca_file = portal.ca_file end
      if case.script then portal:script(case.script) end
      local exchange = open(options):call(case.method or ADD, not case.method and { fields = ID } or nil)
      local result = outcome(send(exchange, case.seconds))
      result.requests = #portal:journal()
      if server then server.stop() end
      return result
    end

    for name, case in pairs(cases) do
      it("for " .. name, function()
        local performed = run(case, function(exchange, seconds)
          exchange:perform(seconds)
          return exchange:result()
        end)
        assert.same(performed, run(case, fly))
      end)
    end
  end)

  describe("never sends a call twice", function()
    it("when a kept connection dies under the request", function()
      for _, rule in ipairs{ { execute = true, close = true }, { execute = true, reset = true } } do
        portal:clear()
        local session = open()
        assert.is_table((fly(session:call(READ))))
        portal:script{ rule }
        local result, err = fly(add(session))
        assert.is_nil(result)
        assert.same({ "network", "reset", "unknown" }, { err.kind, err.reason, err.executed })
        local journal = portal:journal()
        assert.equal(2, #journal)
        assert.equal(journal[1].connection, journal[2].connection)
      end
    end)

    it("when a kept TLS connection dies under the request", function()
      local session = open{ webhook = portal.tls_webhook, ca_file = portal.ca_file }
      assert.is_table((fly(session:call(READ))))
      portal:script{ { execute = true, close = true } }
      local _, err = fly(add(session))
      assert.same({ "network", "reset", "unknown" }, { err.kind, err.reason, err.executed })
      assert.equal(2, #portal:journal())
    end)
  end)

  -- A portal within this spec: since submit returns at once, it can be played by hand, without a clock.
  local function play()
    local server = assert(socket.bind("127.0.0.1", 0))
    server:settimeout(WAIT)
    local hand = { port = tonumber((select(2, server:getsockname()))), accepted = {} }
    hand.webhook = ("http://127.0.0.1:%d/rest/1/s3cr3tc0de/"):format(hand.port)
    function hand.accept()
      local connection = assert(server:accept())
      connection:settimeout(WAIT)
      hand.accepted[#hand.accepted + 1] = connection
      return connection
    end
    function hand.request(connection)
      local length
      repeat
        local line = assert(connection:receive("*l"))
        length = tonumber(line:lower():match("^content%-length: (%d+)")) or length
      until line == ""
      return assert(connection:receive(length))
    end
    function hand.answer(connection, what)
      local body = ('{"result":"%s"}'):format(what)
      assert(connection:send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body)))
    end
    -- Whether somebody is about to connect.
    function hand.has_caller(seconds)
      return socket.select({ server }, nil, seconds)[server] ~= nil
    end
    function hand.close()
      server:close()
      for _, connection in ipairs(hand.accepted) do connection:close() end
    end
    return hand
  end

  describe("and its connections", function()
    it("are kept for the next call", function()
      local session = open()
      for _ = 1, 3 do assert.is_table((fly(session:call(READ)))) end
      local journal = portal:journal()
      assert.equal(journal[1].connection, journal[3].connection)
    end)

    it("are shared by the clients of a Lua state", function()
      assert.is_table((fly(open():call(READ))))
      assert.is_table((fly(open():call(READ))))
      local journal = portal:journal()
      assert.equal(journal[1].connection, journal[2].connection)
    end)

    it("never give an answer that nobody asked for", function()
      local hand = play()
      local session = open{ webhook = hand.webhook }
      for i = 1, 3 do
        local exchange = session:call("x")
        engine:submit(exchange)
        local connection = hand.accept() -- each time a new one
        hand.request(connection)
        hand.answer(connection, "yours " .. i)
        assert.is_true(engine:wait(WAIT))
        assert.equal("yours " .. i, (exchange:result()))
        hand.answer(connection, "wrong")
      end
      hand.close()
    end)

    it("never give an answer that came together with the one before", function()
      local hand = play()
      local session = open{ webhook = hand.webhook }
      for i = 1, 2 do
        local exchange = session:call("x")
        engine:submit(exchange)
        local connection = hand.accept()
        hand.request(connection)
        local body = '{"result":1}'
        connection:send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body):rep(2))
        assert.is_true(engine:wait(WAIT))
        assert.equal(1, (exchange:result()), i)
      end
      hand.close()
    end)

    it("are not used when the portal has ended them", function()
      local hand = play()
      local session = open{ webhook = hand.webhook }
      for i = 1, 3 do
        local exchange = session:call("x")
        engine:submit(exchange)
        local connection = hand.accept()
        hand.request(connection)
        hand.answer(connection, i)
        assert.is_true(engine:wait(WAIT))
        assert.equal(tostring(i), (exchange:result()))
        connection:close()
      end
      hand.close()
    end)

    it("are ended when the client is closed", function()
      local hand = play()
      local session = open{ webhook = hand.webhook }
      local exchange = session:call("x")
      engine:submit(exchange)
      local connection = hand.accept()
      hand.request(connection)
      hand.answer(connection, "yours")
      assert.is_true(engine:wait(WAIT))
      exchange:result()
      session:close()
      assert.equal("closed", (select(2, connection:receive(1))))
      hand.close()
    end)

    it("are at most max_connections for each client", function()
      portal:script{ { pass = true, delay = 0.1, times = 7 } }
      local session, exchanges, connections, count = open{ max_connections = 2 }, {}, {}, 0
      for i = 1, 7 do exchanges[i] = session:call(READ) end
      local started = core.now()
      for _, result in ipairs(fly_all(exchanges)) do assert.is_table(result[1], tostring(result[2])) end
      assert.is_true(core.now() - started >= 0.4)
      for _, request in ipairs(portal:journal()) do
        if not connections[request.connection] then count = count + 1 end
        connections[request.connection] = true
      end
      assert.equal(2, count)
    end)

    it("refuses a max_connections that is none", function()
      for _, bad in ipairs{ 0, -1, 1.5, 10001, 1 / 0, 0 / 0 } do
        local session, problem = core.session{ webhook = portal.webhook, max_connections = bad }
        assert.is_nil(session)
        assert.truthy(problem:find("option 'max_connections': an integer from 1 to 10000 expected", 1, true), problem)
      end
      assert.is_nil((core.session{ webhook = portal.webhook, max_connections = "2" }))
    end)

    it("are left alone in a forked child, which makes its own", function()
      if type(unistd) ~= "table" then return pending("needs luaposix, which Debian does not have for Lua 5.4") end
      portal:script{ { pass = true, times = 1 }, { pass = true, delay = 1 } }
      local session = open()
      assert.is_table((fly(session:call(READ))))
      local exchange = session:call(READ)
      engine:submit(exchange)
      -- AddressSanitizer's allocator, unlike the C library's, cannot be forked while the engine's thread is in it.
      eventually(function() return #portal:journal() == 2 end)
      local child = unistd.fork()
      if child == 0 then
        local ok, problem = pcall(function()
          assert(not pcall(engine.submit, engine, session:call(READ)))
          assert(not pcall(exchange.result, exchange))
          assert(not pcall(exchange.perform, exchange))
          exchange:close()
          local own = core.engine()
          assert(own ~= engine)
          for _ = 1, 2 do
            local other = session:call(READ)
            own:submit(other)
            assert(own:wait(WAIT) and own:finished() == other)
            assert(other:result())
          end
          engine, exchange = nil, nil -- luacheck: ignore
          collect()
        end)
        if not ok then io.stderr:write("in the child: ", tostring(problem), "\n") end
        unistd._exit(ok and 0 or 1)
      end
      local _, _, status = require("posix.sys.wait").wait(child)
      assert.equal(0, status)
      if not exchange then return end
      assert.is_true(engine:wait(WAIT))
      assert.is_table((exchange:result()))
      assert.is_table((fly(session:call(READ))))
      local journal, own, childs = portal:journal(), {}, {}
      assert.equal(5, #journal)
      for _, request in ipairs(journal) do
        local of = (request.connection == journal[1].connection) and own or childs
        of[request.connection] = (of[request.connection] or 0) + 1
      end
      assert.equal(3, own[journal[1].connection])
      assert.same({ 2 }, { select(2, next(childs)) })
    end)
  end)

  describe("ends an exchange", function()
    it("that is cancelled, and does not know whether it ran", function()
      portal:script{ { pass = true, delay = 5 } }
      local exchange = add(open())
      local started = core.now()
      engine:submit(exchange)
      eventually(function() return #portal:journal() == 1 end)
      engine:cancel(exchange)
      engine:cancel(exchange)
      assert.is_true(engine:wait(WAIT))
      assert.equal(exchange, engine:finished())
      local result, err, attempt = exchange:result()
      assert.is_nil(result)
      assert.same({ "network", "cancelled", "unknown" }, { err.kind, err.reason, err.executed })
      assert.is_nil(err.status)
      assert.is_true(attempt.seconds > 0)
      assert.is_true(core.now() - started < 4)
      engine:cancel(exchange)
      assert.is_false(engine:wait(0))
    end)

    it("that waits for a connection: it was not sent", function()
      portal:script{ { pass = true, delay = 0.5 } }
      local session = open{ max_connections = 1 }
      local first, second, third = add(session), add(session), add(session)
      for _, exchange in ipairs{ first, second, third } do engine:submit(exchange, WAIT) end
      engine:cancel(second)
      assert.is_true(engine:wait(WAIT))
      assert.equal(second, engine:finished())
      local _, err = second:result()
      assert.same({ "network", "cancelled", "no" }, { err.kind, err.reason, err.executed })
      engine:submit(second, 0.05)
      assert.is_true(engine:wait(WAIT))
      assert.equal(second, engine:finished())
      _, err = second:result()
      assert.same({ "timeout", "deadline", "no" }, { err.kind, err.reason, err.executed })
      for _, exchange in ipairs{ first, third } do
        assert.is_true(engine:wait(WAIT))
        assert.equal(exchange, engine:finished())
        exchange:result()
      end
      assert.equal(2, #portal:journal())
    end)

    it("that is closed or collected on its way, at once, and goes on with the others", function()
      local hand = play()
      local session = open{ webhook = hand.webhook }
      local exchanges = {}
      for i = 1, 3 do exchanges[i] = session:call("x") end
      local connections = {}
      for i = 1, 3 do
        engine:submit(exchanges[i])
        connections[i] = hand.accept()
        hand.request(connections[i])
      end
      exchanges[1]:close()
      assert.equal("closed", (select(2, connections[1]:receive(1))))
      assert.has_error(function() exchanges[1]:result() end)
      exchanges[2] = nil
      collect()
      assert.equal("closed", (select(2, connections[2]:receive(1))))
      hand.answer(connections[3], "yours")
      assert.is_true(engine:wait(WAIT))
      assert.equal(exchanges[3], engine:finished())
      assert.is_nil(engine:finished())
      assert.equal("yours", (exchanges[3]:result()))
      hand.close()
    end)

    it("that was collected after its end, before anybody asked", function()
      engine:submit(open():call(READ))
      assert.is_true(engine:wait(WAIT))
      collect()
      assert.is_nil(engine:finished())
      assert.is_false(engine:wait(0))
    end)

    it("although its client and all that belonged to it was collected", function()
      local hand = play()
      engine:submit(assert(core.session{ webhook = hand.webhook }):call("x"))
      local connection = hand.accept()
      hand.request(connection)
      collect()
      assert.equal("closed", (select(2, connection:receive(1))))
      hand.close()
    end)

    it("whose client is closed meanwhile as if it were not", function()
      local hand = play()
      local session = open{ webhook = hand.webhook }
      local exchange = session:call("x")
      engine:submit(exchange)
      local connection = hand.accept()
      hand.request(connection)
      session:close()
      hand.answer(connection, "yours")
      assert.is_true(engine:wait(WAIT))
      assert.equal("yours", (exchange:result()))
      assert.equal("closed", (select(2, connection:receive(1))))
      hand.close()
    end)
  end)

  describe("over a channel", function()
    local channel

    before_each(function()
      channel = unix_socket()
      channel:settimeout(WAIT)
      assert(channel:connect((engine:address():gsub("^unix:", ""))))
    end)
    after_each(function() channel:close() end)

    it("answers a ticket with a byte when its exchange has ended, one after another", function()
      local session = open()
      for i = 1, 5 do
        portal:script{ { pass = true, delay = i % 2 * 0.05 } }
        local exchange = session:call(READ)
        assert(channel:send(engine:submit(exchange, WAIT, i > 2)))
        assert.equal(1, #assert(channel:receive(1)))
        assert.is_table((exchange:result()))
        assert.is_false(engine:wait(0))
        assert.is_nil(engine:finished())
      end
    end)

    it("answers a ticket that comes after the end", function()
      local exchange = open():call(READ)
      local ticket = engine:submit(exchange)
      assert.is_true(engine:wait(WAIT))
      channel:send(ticket)
      assert.equal(1, #assert(channel:receive(1)))
      assert.is_false(engine:wait(0))
      assert.is_table((exchange:result()))
    end)

    it("takes a ticket in pieces", function()
      local exchange = open():call(READ)
      local ticket = engine:submit(exchange, WAIT, true)
      for i = 1, 8 do channel:send(ticket:sub(i, i)) end
      assert.equal(1, #assert(channel:receive(1)))
      assert.is_table((exchange:result()))
    end)

    it("sends nothing by_ticket before the ticket comes, when nobody else wakes it", function()
      local hand = play()
      local session = open{ webhook = hand.webhook }
      local exchange = session:call("x")
      local ticket = engine:submit(exchange, WAIT, true)
      channel:send(ticket)
      local connection = hand.accept()
      hand.request(connection)
      hand.answer(connection, "yours")
      assert.equal(1, #assert(channel:receive(1)))
      assert.equal("yours", (exchange:result()))
      hand.close()
    end)

    it("cancels the exchange when the connection is closed", function()
      local hand = play()
      local exchange = open{ webhook = hand.webhook }:call("x")
      channel:send(engine:submit(exchange, WAIT, true))
      local connection = hand.accept()
      hand.request(connection)
      channel:close()
      assert.equal("closed", (select(2, connection:receive(1))))
      eventually(function() return pcall(exchange.result, exchange) end)
      hand.close()
    end)

    it("closes the connection for a ticket that means nothing, or out of turn", function()
      channel:send(("x"):rep(8))
      assert.equal("closed", (select(2, channel:receive(1))))
      local hand = play()
      local exchange = open{ webhook = hand.webhook }:call("x")
      local ticket = engine:submit(exchange, WAIT, true)
      local other = unix_socket()
      other:settimeout(WAIT)
      assert(other:connect((engine:address():gsub("^unix:", ""))))
      other:send(ticket)
      hand.request(hand.accept())
      other:send("again")
      assert.equal("closed", (select(2, other:receive(1))))
      other:close()
      hand.close()
    end)

    it("lets many wait at once, and does not mind one that leaves", function()
      portal:script{ { pass = true, delay = 0.1, times = 30 } }
      local session, list = open(), {}
      for i = 1, 30 do
        local c = unix_socket()
        c:settimeout(WAIT)
        assert(c:connect((engine:address():gsub("^unix:", ""))))
        list[i] = { c = c, exchange = session:call(READ) }
        c:send(engine:submit(list[i].exchange, WAIT, true))
      end
      for i = 1, 30, 3 do list[i].c:close() end
      for i = 1, 30 do
        if i % 3 ~= 1 then
          assert.equal(1, #assert(list[i].c:receive(1)))
          assert.is_table((list[i].exchange:result()))
          list[i].c:close()
        end
      end
    end)

    it("wakes who waits when the exchange is closed", function()
      local hand = play()
      local exchange = open{ webhook = hand.webhook }:call("x")
      channel:send(engine:submit(exchange, WAIT, true))
      hand.request(hand.accept())
      exchange:close()
      local byte, problem = channel:receive(1)
      assert.is_true(byte ~= nil or problem == "closed")
      hand.close()
    end)

    it("lets in no other process", function()
      local path = engine:address():match("%d+$")
      local code = ([[local unix = require "socket.unix" local c = type(unix) == "table" and unix.stream() or unix()
        c:settimeout(20) assert(c:connect("/proc/%d/fd/%d")) print(c:receive(1))]]):format(own_pid(), path)
      local pipe = io.popen(("%s -e %q 2>&1"):format(os.getenv("BITRIX_LUA") or arg[-1], code))
      local text = pipe:read("*a")
      pipe:close()
      assert.equal("nil\tclosed\t", text:match("^%S+\t%S+\t"))
    end)

    it("leaves no file behind", function()
      local pipe = io.popen("ls -d ${TMPDIR:-/tmp}/bitrix-?????? 2>/dev/null")
      local text = pipe:read("*a")
      pipe:close()
      assert.equal("", text)
    end)
  end)

  describe("costs nothing", function()
    -- How often the engine's thread of this process was put to sleep and woken up, and a number that it has.
    local function switches()
      local pipe = io.popen("grep -l '^bitrix$' /proc/$PPID/task/*/comm")
      local path = pipe:read("*l")
      pipe:close()
      local file = assert(io.open((assert(path, "no thread"):gsub("comm$", "status"))))
      local text = file:read("*a")
      file:close()
      return tonumber(text:match("\nvoluntary_ctxt_switches:%s*(%d+)"))
    end

    it("while nothing is under way: it is never woken", function()
      if not is_linux() then return pending("needs /proc") end
      assert.is_table((fly(open():call(READ))))
      engine:wait(0.1) -- what has to be done after a call
      local before, cpu = switches(), os.clock()
      engine:wait(0.5)
      assert.equal(before, switches())
      assert.is_true(os.clock() - cpu < 0.2)
    end)

    it("while it waits for an answer", function()
      local hand = play()
      local exchange = open{ webhook = hand.webhook }:call("x")
      engine:submit(exchange, WAIT)
      hand.request(hand.accept())
      local cpu = os.clock()
      engine:wait(0.5)
      assert.is_true(os.clock() - cpu < 0.2)
      hand.close()
    end)

    it("while a kept connection has something to say, or has ended", function()
      local hand = play()
      local session = open{ webhook = hand.webhook }
      local exchange = session:call("x")
      engine:submit(exchange)
      local connection = hand.accept()
      hand.request(connection)
      hand.answer(connection, "yours")
      assert.is_true(engine:wait(WAIT))
      exchange:result()
      connection:send("more")
      connection:close()
      local cpu = os.clock()
      engine:wait(0.5)
      assert.is_true(os.clock() - cpu < 0.2)
      hand.close()
    end)
  end)

  describe("ends with its Lua state", function()
    -- Runs Lua code in a process of its own; its output and how long it took.
    local function run_lua(code, environment)
      local name = os.tmpname()
      local file = assert(io.open(name, "w"))
      file:write(code)
      file:close()
      local started = core.now()
      local pipe = io.popen(("%s %s %q 2>&1; echo exit $?"):format(environment or "", os.getenv("BITRIX_LUA") or arg[-1], name))
      local text = pipe:read("*a")
      pipe:close()
      os.remove(name)
      return text, core.now() - started
    end

    local function prelude(hand)
      return ([[
        local core = require "bitrix.core"
        local engine = core.engine()
        local session = assert(core.session{ webhook = %q })
        local kept = {}
        local function submit(n)
          for i = 1, n do
            kept[#kept + 1] = session:call("x")
            engine:submit(kept[#kept], 60)
          end
        end
      ]]):format(hand.webhook)
    end

    it("with exchanges on their way, at once", function()
      local hand = play()
      for _, tail in ipairs{
        "submit(20)", "submit(20) session:close()", "submit(20) kept = nil", "submit(20) kept = nil collectgarbage()",
        "submit(20) for _, x in ipairs(kept) do engine:cancel(x) end", "submit(1) engine = nil session = nil",
        "submit(5) os.exit(0, true)", "engine:fd()", "engine:address()", "",
        "submit(5) engine:address() getmetatable('').engine = engine", "submit(3) engine:wait(0.05) submit(3)",
        -- A finalizer that runs before the engine's, where tables have one.
        "extra = session:call('x') late = setmetatable({}, { __gc = function() engine:submit(extra) end }) submit(3)",
      } do
        local text, took = run_lua(prelude(hand) .. tail)
        assert.equal("exit 0\n", text, tail)
        assert.is_true(took < 10, tail)
      end
      hand.close()
    end)

    it("or with its process, when that does not close the state", function()
      local hand = play()
      -- The state's own memory is not freed then, which a sanitizer would call a leak.
      local text = run_lua(prelude(hand) .. "submit(5) os.exit(0)", "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0")
      assert.equal("exit 0\n", text)
      hand.close()
    end)

    it("in a state that is still wanted by a finalizer", function()
      local hand = play()
      local text = run_lua(prelude(hand) .. [[
        submit(2)
        -- Made before the engine's, so that it runs after it; with a proxy where tables have no finalizers.
        local last = kept[1]
        local proxy = newproxy and newproxy(true) or setmetatable({}, {})
        getmetatable(proxy).__gc = function() pcall(engine.finished, engine) pcall(last.result, last) end
        if not newproxy then setmetatable(proxy, getmetatable(proxy)) end
        _G.proxy = proxy
      ]])
      assert.equal("exit 0\n", text)
      hand.close()
    end)
  end)

  it("tells whether the caller can yield", function()
    local function inside() return coroutine.wrap(function() return core.yieldable() end)() end
    assert.is_boolean(core.yieldable())
    if coroutine.isyieldable or type(jit) == "table" then
      assert.is_true(inside())
      local seen
      coroutine.wrap(function() ("x"):gsub("x", function() seen = core.yieldable() end) end)()
      assert.is_false(seen)
    else
      assert.is_false(inside())
    end
  end)

  it("knows what time it is", function()
    assert.is_true(math.abs(core.wall() - os.time()) < 5)
  end)

  it("holds no connection after all clients are gone and the portal has ended them", function()
    local hand = play()
    local exchange = open{ webhook = hand.webhook }:call("x")
    engine:submit(exchange)
    local connection = hand.accept()
    hand.request(connection)
    assert.equal(1, connections_to(hand.port))
    hand.answer(connection, "yours")
    assert.is_true(engine:wait(WAIT))
    exchange:result()
    connection:close()
    eventually(function() return connections_to(hand.port) == 0 end)
    hand.close()
  end)
end)
