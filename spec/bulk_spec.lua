-- client:bulk: streams, outcomes, lost answers; and the journal: killed at any moment, nothing is done twice.
local bitrix = require "bitrix"
local core = require "bitrix.core"
local safe = require "bitrix.safe"

local ADD = "tasks.api.scrum.backlog.add"

describe("bulk", function()
  local portal, client, path

  local function start(count)
    local groups = {}
    for i = 1, count do groups[i] = { id = 1000 + i } end
    portal = require("bitrix.portal").start{ groups = groups }
    client = safe.new{ webhook = portal.webhook, limit = false, retry = false }
  end

  before_each(function()
    path = os.tmpname()
    os.remove(path)
  end)

  after_each(function()
    if portal then portal:stop() end
    portal = nil
    os.remove(path)
  end)

  local function numbers(first, last)
    local list = {}
    for i = first, last do list[#list + 1] = i end
    return list
  end

  local function add(batch, i) return batch.scrum.backlog_add{ groupId = 1000 + i, createdBy = 6 } end

  local function epic(batch, i) return batch.scrum.epic_add{ groupId = 1001, name = "Epic " .. i, createdBy = 6 } end

  -- Runs, and gives back what on_result was told, by item: { { result = } or { err = , replayed = }, ... }.
  local function bulk(items, f, options, with)
    local told = {}
    options = options or {}
    function options.on_result(item, result, err, replayed)
      assert.is_nil(told[item], "told twice of the same item")
      told[item] = { result = result, err = err, replayed = replayed }
    end
    local summary, err = (with or client):bulk(items, f, options)
    return summary, told, err
  end

  local function requests(method)
    local n = 0
    for _, row in ipairs(portal:journal()) do n = n + (row.method == (method or "batch") and 1 or 0) end
    return n
  end

  -- How often a command was run by the portal, whatever became of the answer.
  local function executed(method)
    local n = 0
    for _, row in ipairs(portal:journal()) do
      for _, command in ipairs(row.commands or {}) do n = n + (command.method == method and command.executed and 1 or 0) end
    end
    return n
  end

  local function count(t)
    local n = 0
    for _ in pairs(t) do n = n + 1 end
    return n
  end

  it("makes a command for each item, fifty a request", function()
    start(120)
    local progress = {}
    local summary, told = bulk(numbers(1, 120), add, { on_progress = function(...) progress[#progress + 1] = { ... } end })
    assert.equal(120, summary.done)
    assert.equal(120, summary.ok)
    assert.equal(0, summary.failed + summary.unknown + summary.skipped + summary.replayed + summary.settled)
    assert.equal(3, summary.requests)
    assert.equal(3, requests())
    for i = 1, 120 do assert.equal(1000 + i, told[i].result.groupId) end
    assert.equal(3, #progress)
    assert.same({ 120, 120, 0, 0 }, progress[3])
  end)

  it("streams what an iterator gives", function()
    start(60)
    for _, concurrency in ipairs{ 1, 3 } do
      local i, most = 0, 0
      local summary
      summary = bulk(function()
        i = i + 1
        return i <= 60 and i or nil
      end, function(batch, n)
        most = math.max(most, n)
        return batch.scrum.epic_add{ groupId = 1001, name = "E" .. n }
      end, { concurrency = concurrency, on_progress = function(_, total) assert.is_nil(total) end })
      assert.equal(60, summary.ok)
    end
    -- Rows of a list, which makes calls itself.
    local names = {}
    local summary = client:bulk(client:list("tasks.api.scrum.epic.list", nil, { fast = true }), function(batch, row)
      return batch.scrum.epic_update{ id = row.id, name = row.name .. "!" }
    end, { on_result = function(row, result) names[row.id] = result.name end })
    assert.equal(120, summary.ok)
    assert.equal(120, count(names))
    assert.matches("^E%d+!$", names[1])
  end)

  it("goes on when items fail, and says how each did", function()
    start(60)
    client.scrum.backlog_add{ groupId = 1003, createdBy = 6 }
    local summary, told = bulk(numbers(1, 70), function(batch, i)
      if i == 5 then return nil end
      if i == 7 then return batch.scrum.backlog_add{ groupId = "x", createdBy = 6 } end
      return add(batch, i)
    end)
    assert.equal(70, summary.done)
    assert.equal(57, summary.ok)
    assert.equal(1, summary.skipped)
    assert.equal(12, summary.failed)
    assert.equal("backlog_already_added", told[3].err.reason)
    assert.equal("access_denied", told[61].err.reason)
    assert.is_nil(told[5])
    assert.is_string(told[7].err)
    assert.matches("bad argument #1 to 'backlog_add' %(field 'groupId': integer expected, got string%)", told[7].err)
  end)

  it("keeps several commands of an item together", function()
    start(1)
    local summary, told = bulk(numbers(1, 60), function(batch, i)
      local group = batch:call("sonet_group.create", { NAME = "G" .. i, SCRUM_MASTER_ID = 6 })
      return batch.scrum.backlog_add{ groupId = group:ref(), createdBy = 6 }
    end)
    assert.equal(60, summary.ok)
    assert.equal(3, summary.requests)
    for _, row in pairs(told) do assert.equal(6, row.result.createdBy) end
    assert.equal(60, #portal:dump().backlogs)
    -- One of them fails: the item did.
    summary, told = bulk({ 1 }, function(batch)
      local bad = batch.scrum.epic_get{ id = 999 }
      local good = batch.scrum.epic_add{ groupId = 1001, name = "x" }
      assert(bad)
      return good
    end)
    assert.equal(1, summary.failed)
    assert.equal("epic_not_found", told[1].err.reason)
  end)

  it("splits by size", function()
    start(1)
    local summary = bulk(numbers(1, 9), function(batch)
      return batch.scrum.epic_add{ groupId = 1001, name = ("x"):rep(900) }
    end, { max_bytes = 3000 })
    assert.equal(9, summary.ok)
    assert.equal(3, summary.requests)
  end)

  describe("when an answer is lost", function()
    -- The method ran, and the connection broke.
    local LOST = { execute = true, reset = true }

    it("reads back whether backlogs were made", function()
      start(120)
      portal:script{ { pass = true }, LOST }
      local summary, told = bulk(numbers(1, 120), add, { concurrency = 1 })
      assert.equal(120, summary.ok)
      assert.equal(50, summary.settled)
      assert.equal(4, summary.requests)
      for i = 1, 120 do assert.equal(1000 + i, told[i].result.groupId) end
      assert.equal(120, executed(ADD))
    end)

    it("adds the backlogs that were not", function()
      start(120)
      portal:script{ { pass = true }, { reset = true } }
      local summary, told = bulk(numbers(1, 120), add, { concurrency = 1 })
      assert.equal(120, summary.ok)
      assert.equal(50, summary.settled)
      assert.equal(120, count(told))
      assert.equal(120, executed(ADD))
    end)

    it("tells its own backlogs from others", function()
      start(3)
      portal:stop()
      portal = require("bitrix.portal").start{ groups = { { id = 1001, backlog = { createdBy = 1 } }, { id = 1002 } } }
      client = safe.new{ webhook = portal.webhook, limit = false, retry = false }
      portal:script{ LOST }
      local summary, told = bulk({ 1, 2 }, add)
      assert.equal(1, summary.ok)
      assert.equal(1, summary.failed)
      assert.is_true(bitrix.is_error(told[1].err, "backlog_already_added"))
      assert.equal("yes", told[1].err.executed)
      assert.equal(ADD, told[1].err.method)
    end)

    it("sends again what does no harm twice", function()
      start(1)
      portal:script{ LOST }
      local summary = bulk({ 1, 2 }, function(batch) return batch.scrum.backlog_get_fields() end)
      assert.equal(2, summary.ok)
      assert.equal(2, summary.requests)
    end)

    it("leaves alone what it cannot settle", function()
      start(1)
      portal:script{ LOST }
      local summary, told = bulk(numbers(1, 60), epic, { concurrency = 1 })
      assert.equal(10, summary.ok)
      assert.equal(50, summary.unknown)
      assert.equal(0, summary.failed)
      for i = 1, 50 do
        assert.equal("unknown", told[i].err.executed)
        assert.equal("reset", told[i].err.reason)
      end
      assert.equal(60, #portal:dump().epics)
    end)

    it("gives up when nothing more can be read, and says of each item what is known", function()
      start(60)
      portal:script{ LOST, { reset = true, times = 20 } }
      local summary, told, err = bulk(numbers(1, 60), add, { concurrency = 1 })
      assert.is_nil(summary)
      assert.is_true(bitrix.is_error(err, "network"))
      assert.equal(50, err.summary.unknown)
      assert.equal(50, count(told))
      assert.equal("unknown", told[1].err.executed)
    end)
  end)

  it("ends when the portal refuses the credentials, and goes on later", function()
    start(120)
    local wrong = safe.new{ webhook = portal.webhook:gsub("[^/]+/$", "wrongsecret/"), limit = false, retry = false }
    local summary, told, err = bulk(numbers(1, 120), add, { journal = path, concurrency = 1 }, wrong)
    assert.is_nil(summary)
    assert.equal("auth", err.kind)
    assert.equal(0, err.summary.done)
    assert.same({}, told)
    assert.equal(1, requests())
    summary = bulk(numbers(1, 120), add, { journal = path })
    assert.equal(120, summary.ok)
    assert.equal(0, summary.settled)
    assert.equal(120, executed(ADD))
  end)

  it("does not stop for a request that the portal did not take", function()
    start(120)
    local busy = { status = 503, body = '{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many requests"}' }
    portal:script{ busy, busy }
    local summary = bulk(numbers(1, 120), add, { journal = path, concurrency = 1 })
    assert.equal(120, summary.ok)
    assert.equal(5, summary.requests)
    portal:script{ busy, busy, busy }
    local none, _, err = bulk(numbers(1, 10), epic)
    assert.is_nil(none)
    assert.equal("query_limit_exceeded", err.reason)
  end)

  -- The limits are in minutes; here they pass at once.
  describe("when the portal has given a method all its time", function()
    local now, sleep = core.now, core.sleep
    local passed

    before_each(function()
      passed = 0
      core.now = function() return now() + passed end
      core.sleep = function(seconds) passed = passed + seconds end
    end)
    after_each(function() core.now, core.sleep = now, sleep end)

    for name, options in pairs{
      ["waits"] = {}, ["waits longer than the deadline of a call"] = { deadline = 10 },
      ["waits without a limiter, too"] = { limit = false },
    } do
      it(name .. ", and goes on", function()
        start(2)
        options.webhook, options.retry = portal.webhook, false
        local body = '{"result":{"result":{"i1_1":{"id":1}},"result_error":{"i2_1":{"error":"OPERATION_TIME_LIMIT",'
          .. '"error_description":"Method is blocked due to operation time limit."}}}}'
        portal:script{ { status = 200, body = body } }
        local summary, told = bulk({ 1, 2 }, add, { concurrency = 1, journal = path }, safe.new(options))
        assert.equal(2, summary.ok)
        assert.equal(1002, told[2].result.groupId)
        assert.is_true(passed > 55 and passed < 130, passed)
      end)
    end
  end)

  describe("with a journal", function()
    it("does nothing again", function()
      start(120)
      client.scrum.backlog_add{ groupId = 1003, createdBy = 1 }
      local first = bulk(numbers(1, 120), add, { journal = path })
      assert.equal(119, first.ok)
      local before = requests()
      local summary, told = bulk(numbers(1, 120), add, { journal = path })
      assert.equal(before, requests())
      assert.equal(120, summary.done)
      assert.equal(120, summary.replayed)
      assert.equal(119, summary.ok)
      assert.equal(1, summary.failed)
      for i = 1, 120 do
        assert.is_true(told[i].replayed)
        if i ~= 3 then assert.equal(1000 + i, told[i].result.groupId) end
      end
      assert.is_true(bitrix.is_error(told[3].err, "backlog_already_added"))
      assert.equal("bitrix: " .. ADD .. ": Backlog already added (backlog_already_added, HTTP 200, code 0)", tostring(told[3].err))
    end)

    it("goes on behind its end when there are more items", function()
      start(120)
      bulk(numbers(1, 60), add, { journal = path })
      local summary = bulk(numbers(1, 120), add, { journal = path })
      assert.equal(120, summary.ok)
      assert.equal(60, summary.replayed)
      assert.equal(120, executed(ADD))
    end)

    it("tries again what was refused before anything was sent", function()
      start(2)
      local bad = true
      local function f(batch, i) return batch.scrum.backlog_add{ groupId = bad and i == 1 and "x" or 1000 + i, createdBy = 6 } end
      assert.equal(1, bulk({ 1, 2 }, f, { journal = path }).failed)
      bad = false
      assert.equal(2, bulk({ 1, 2 }, f, { journal = path }).ok)
    end)

    it("refuses other items, another portal, another program, and what is no journal", function()
      start(120)
      bulk(numbers(1, 60), add, { journal = path })
      local function raises(text, ...)
        local ok, problem = pcall(client.bulk, client, ...)
        assert.is_false(ok)
        assert.truthy(tostring(problem):find(text, 1, true), problem)
      end
      local before = requests()
      raises("was written for other items: item 1 is not what it was", numbers(2, 60), add, { journal = path })
      assert.equal(before, requests())
      -- Known by a key of their own.
      os.remove(path)
      local function key(i) return "row " .. i end
      bulk(numbers(61, 70), add, { journal = path, key = key })
      assert.equal(10, bulk(numbers(61, 70), epic, { journal = path, key = key }).replayed)
      raises("other items", numbers(62, 70), add, { journal = path, key = key })
      local log = core.append(path)
      raises("another program is writing to it", { 1 }, add, { journal = path })
      log:close()
      portal:stop()
      start(1)
      raises("it is of another portal", { 1 }, add, { journal = path })
      local file = assert(io.open(path, "w"))
      file:write("groupId,createdBy\n")
      file:close()
      raises("it is no journal", { 1 }, add, { journal = path })
      raises("No such file", { 1 }, add, { journal = "/nonexistent/journal" })
      raises("Is a directory", { 1 }, add, { journal = "/" })
    end)

    -- What is on the disk after each possible end: every prefix of the bytes that a run writes.
    it("knows what to do after any end, byte by byte", function()
      start(60)
      portal:script{ { pass = true }, { execute = true, status = 500, body = "<html>" } }
      assert.equal(60, bulk(numbers(1, 60), add, { journal = path, concurrency = 1 }).ok)
      local file = assert(io.open(path, "rb"))
      local bytes = file:read("*a")
      file:close()
      for length = 0, #bytes, 97 do
        file = assert(io.open(path, "wb"))
        file:write(bytes:sub(1, length))
        file:close()
        local summary, told = bulk(numbers(1, 60), add, { journal = path, concurrency = 1 })
        -- Where not even the sending is on the disk it was not sent, as far as the client knows: the portal refuses.
        assert.equal(60, summary.done)
        for i = 1, 60 do
          assert.is_true(told[i].result ~= nil or told[i].err.reason == "backlog_already_added")
          if told[i].result then assert.equal(1000 + i, told[i].result.groupId) end
        end
        -- And it is whole again.
        summary = bulk(numbers(1, 60), add, { journal = path })
        assert.equal(60, summary.replayed)
      end
      assert.equal(60, #portal:dump().backlogs)
    end)

    it("is written before anybody is told, and told again when the telling was cut off", function()
      start(60)
      local told = 0
      local ok, problem = pcall(client.bulk, client, numbers(1, 60), add, {
        journal = path, concurrency = 1, on_result = function()
          told = told + 1
          if told == 10 then error("the disk of the caller is full") end
        end,
      })
      assert.is_false(ok)
      assert.matches("the disk of the caller is full", problem)
      local summary, all = bulk(numbers(1, 60), add, { journal = path })
      assert.equal(60, summary.ok)
      assert.equal(50, summary.replayed)
      assert.equal(60, count(all))
      assert.equal(60, executed(ADD))
    end)
  end)

  describe("killed at any moment", function()
    -- A program of its own, which is killed; each line it prints is something that it was told.
    local PROGRAM = [[
      local bitrix = require "bitrix"
      local client = bitrix.new{ webhook = arg[1], limit = false, retry = false }
      local method, concurrency = arg[3], tonumber(arg[4])
      io.stdout:setvbuf("no")
      local items = {}
      for i = 1, 300 do items[i] = i end
      local summary = client:bulk(items, function(batch, i)
        if method == "backlog" then return batch.scrum.backlog_add{ groupId = 1000 + i, createdBy = 6 } end
        return batch.scrum.epic_add{ groupId = 1001, name = "Epic " .. i, createdBy = 6 }
      end, {
        journal = arg[2], concurrency = concurrency,
        on_result = function(i, result, err, replayed)
          io.write(("%d %s %s\n"):format(i, result and "ok" or err.executed == "unknown" and "unknown" or tostring(err),
            replayed and "replayed" or "new"))
        end,
      })
      io.write("summary ", summary.ok, " ", summary.failed, " ", summary.unknown, "\n")
    ]]

    local function run(program, method, concurrency, seconds)
      local interpreter = os.getenv("BITRIX_LUA") or "lua5.4"
      local command = ("LUA_PATH='%s' LUA_CPATH='%s' timeout -s KILL %.3f %s %s '%s' %s %s %d 2>&1"):format(package.path, package.cpath,
        seconds, interpreter, program, portal.webhook, path, method, concurrency)
      local pipe = assert(io.popen(command))
      local output = pipe:read("*a")
      pipe:close()
      return output
    end

    for _, case in ipairs{ { "backlog", 1 }, { "backlog", 4 }, { "epic", 1 }, { "epic", 3 } } do
      local method, concurrency = case[1], case[2]
      it(("does no %s twice, with %d requests at once"):format(method, concurrency), function()
        start(300)
        -- An answer takes 5 ms, so that there is a moment to be killed in.
        local program = os.tmpname()
        local file = assert(io.open(program, "w"))
        file:write(PROGRAM)
        file:close()
        finally(function() os.remove(program) end)
        math.randomseed(os.time())
        local known, rounds, output = {}, 0, nil -- luacheck: ignore
        repeat
          rounds = rounds + 1
          portal:script{ { pass = true, delay = 0.005, times = 12 } }
          -- Later rounds are given more time, so that there is an end on a slow machine, too.
          output = run(program, method, concurrency, 0.01 + math.random() * 0.03 + (rounds > 20 and rounds / 20 or 0))
          for i, what, how in ("\n" .. output):gsub("\n", "\n\n"):gmatch("\n(%d+) (%w+) (%w+)\n") do
            -- What was told once stays true.
            assert.is_true(known[i] == nil or known[i] == what, ("%s: %s, then %s"):format(i, tostring(known[i]), what))
            assert.is_true(how == "new" or how == "replayed")
            known[i] = what
          end
          assert.is_nil(output:find("lua", 1, true), output)
        until output:find("summary", 1, true) or rounds > 200
        local ok, failed, unknown = output:match("summary (%d+) (%d+) (%d+)")
        assert.equal("0", failed)
        assert.equal(300, count(known))
        assert.equal(300, ok + unknown)
        if method == "backlog" then
          assert.equal("300", ok)
          assert.equal(300, #portal:dump().backlogs)
          assert.equal(300, executed(ADD))
        else
          local seen = {}
          for _, row in ipairs(portal:dump().epics) do
            assert.is_nil(seen[row.name], row.name)
            seen[row.name] = true
          end
          -- What is reported as done is there; what is unknown may be.
          for i, what in pairs(known) do assert.is_true(what == "unknown" or seen["Epic " .. i]) end
        end
      end)
    end
  end)

  it("says what is wrong with an argument where it was given", function()
    start(1)
    for _, case in ipairs{
      { "bad argument #1 to 'bulk' (list or function expected, got nil)" },
      { "bad argument #2 to 'bulk' (function expected, got nil)", {} },
      { "bad argument #3 to 'bulk' (unknown option 'jurnal')", {}, add, { jurnal = "x" } },
      { "bad argument #3 to 'bulk' (option 'on_result': function expected, got boolean)", {}, add, { on_result = true } },
    } do
      local ok, problem = pcall(function() return (client:bulk(case[2], case[3], case[4])) end)
      assert.is_false(ok)
      assert.truthy(problem:find(case[1], 1, true), problem)
      assert.truthy(problem:find("bulk_spec.lua", 1, true), problem)
    end
    local function raises(text, f)
      local ok, problem = pcall(client.bulk, client, { 1 }, f)
      assert.is_false(ok)
      assert.truthy(problem:find(text, 1, true), problem)
    end
    raises("must return the command that it made", function(batch) batch:call("user.current") end)
    raises("must return the command that it made", function() return 5 end)
    raises("attempt to index", function() return (nil).x end)
    raises("made 51 commands for one item", function(batch)
      local last
      for _ = 1, 51 do last = batch:call("user.current") end
      return last
    end)
    assert.same(0, client:bulk({}, add).done)
  end)

  it("is a function of the default client, and raises its errors in the face that does", function()
    start(2)
    bitrix.configure{ webhook = portal.webhook, limit = false, retry = false }
    assert.equal(2, bitrix.bulk({ 1, 2 }, add).ok)
    bitrix.configure{ webhook = portal.webhook:gsub("[^/]+/$", "wrongsecret/"), limit = false, retry = false }
    local ok, err = pcall(bitrix.bulk, { 1 }, add)
    assert.is_false(ok)
    assert.equal("auth", err.kind)
    assert.equal(0, err.summary.done)
  end)
end)
