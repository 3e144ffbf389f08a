-- client:batch: outcomes of commands, splitting, references, requests that fail.
local bitrix = require "bitrix"
local core = require "bitrix.core"
local json = require "dkjson"
local safe = require "bitrix.safe"
local is_integer = require "support.integers"

describe("a batch", function()
  local portal, client

  local function fresh()
    if portal then portal:stop() end
    portal = require("bitrix.portal").start()
    client = bitrix.new{ webhook = portal.webhook, limit = false, retry = false }
  end

  setup(fresh)
  teardown(function() portal:stop() end)
  before_each(function() portal:clear() end)

  local function scripted(body, status)
    portal:script{ { status = status or 200, body = type(body) == "table" and json.encode(body) or body } }
  end

  local function requests()
    local list = {}
    for i, row in ipairs(portal:journal()) do
      list[i] = { method = row.method, cmd = row.params.cmd, halt = row.params.halt, size = #row.body }
    end
    return list
  end

  local function count(cmd)
    local n = 0
    for _ in pairs(cmd) do n = n + 1 end
    return n
  end

  it("gives each command what the plain call gives", function()
    fresh()
    local batch = client:batch()
    local added = batch.scrum.backlog_add{ groupId = 125, createdBy = "6" }
    local again = batch.scrum.backlog_add{ groupId = 125, createdBy = 6 }
    local got = batch:call("tasks.api.scrum.backlog.get", { id = 125 })
    local deleted = batch.scrum.backlog_delete{ id = added:ref("id") }
    local unknown = batch:call("no.such.method")
    assert.equal("pending", added.status)
    local ok, failed = batch:run()
    assert.is_false(ok)
    assert.equal(2, #failed)
    assert.equal(again, failed[1])
    assert.equal(unknown, failed[2])
    assert.equal(125, added.result.groupId)
    assert.is_true(is_integer(added.result.id))
    assert.same(added.result, got.result)
    assert.same({}, deleted.result)
    assert.is_nil(added.error)
    assert.equal("tasks.api.scrum.backlog.add", added.method)
    assert.equal(200, added.info.status)
    assert.is_number(added.info.time.duration)
    assert.equal(1, #added.info.attempts)
    assert.is_true(bitrix.is_error(again.error, "backlog_already_added"))
    assert.equal("failed", again.status)
    assert.equal("yes", again.error.executed)
    assert.equal("0", again.error.code)
    assert.equal("tasks.api.scrum.backlog.add", again.error.method)
    assert.equal("bitrix: tasks.api.scrum.backlog.add: Backlog already added (backlog_already_added, HTTP 200, code 0)",
      tostring(again.error))
    assert.equal("error_method_not_found", unknown.error.reason)
    assert.equal("no", unknown.error.executed)
    assert.equal(1, #requests())
  end)

  it("makes the same integers of the portal's strings", function()
    fresh()
    local sprint = client.scrum.sprint_add{ groupId = 125, name = "S", status = "active", dateStart = 0, dateEnd = 86400 * 9999 }
    local batch = client:batch()
    local stages = batch.scrum.kanban_get_stages{ sprintId = sprint.id }
    batch:run()
    assert.is_true(#stages.result > 0)
    for _, stage in ipairs(stages.result) do assert.is_true(is_integer(stage.id) and is_integer(stage.sprintId)) end
    assert.same((client.scrum.kanban_get_stages{ sprintId = sprint.id }), stages.result)
  end)

  it("sends fifty a request, in order, and says nothing of it", function()
    fresh()
    local batch, commands = client:batch(), {}
    for i = 1, 120 do commands[i] = batch.scrum.epic_add{ groupId = 125, name = "Epic " .. i, createdBy = 6 } end
    assert.is_true(batch:run())
    local sent = requests()
    assert.same({ 50, 50, 20 }, { count(sent[1].cmd), count(sent[2].cmd), count(sent[3].cmd) })
    for i = 1, 120 do
      assert.equal("Epic " .. i, commands[i].result.name)
      assert.is_true(i == 1 or commands[i].result.id > commands[i - 1].result.id)
    end
  end)

  it("runs nothing when there is nothing to run, and what was added later in a later run", function()
    fresh()
    local batch = client:batch()
    local ok, failed = batch:run()
    assert.is_true(ok)
    assert.same({}, failed)
    assert.equal(0, #requests())
    local epic = batch.scrum.epic_add{ groupId = 125, name = "A", createdBy = 6 }
    batch:run()
    local read = batch.scrum.epic_get{ id = epic:ref("id") }
    assert.is_true(batch:run())
    assert.equal("A", read.result.name)
    assert.equal(2, #requests())
    assert.is_true(batch:run())
    assert.equal(2, #requests())
  end)

  it("resolves references alike within a request and over its boundary", function()
    local seen
    for _, before in ipairs{ 0, 49 } do
      fresh()
      local batch = client:batch()
      local group = batch:call("sonet_group.create", { NAME = "Rocket", SCRUM_MASTER_ID = 6 })
      local epic = batch.scrum.epic_add{ groupId = group:ref(), name = "A&B=C+D 100% Ёж", createdBy = 6 }
      for _ = 1, before do batch.scrum.backlog_get_fields() end
      local list = batch:call("tasks.api.scrum.epic.list", { filter = { GROUP_ID = group:ref() } })
      local copy = batch.scrum.epic_add{ groupId = group:ref(), name = epic:ref("name"), createdBy = epic:ref("createdBy") }
      local first = batch:call("tasks.api.scrum.epic.get", { id = list:ref(0, "id") })
      local nothing = batch:call("tasks.api.scrum.epic.get", { id = list:ref(7, "id") })
      local failed = batch:call("tasks.api.scrum.epic.get", { id = nothing:ref("id") })
      local missing = batch.scrum.epic_get{ id = epic:ref("no", "such", "field") }
      batch:run()
      assert.equal("A&B=C+D 100% Ёж", copy.result.name)
      assert.equal(6, copy.result.createdBy)
      assert.equal(epic.result.id, first.result.id)
      local outcome = {}
      for i, cmd in ipairs{ nothing, failed, missing } do outcome[i] = cmd.status .. " " .. tostring(cmd.error) end
      seen = seen or outcome
      assert.same(seen, outcome)
      assert.equal(before == 0 and 1 or 2, #requests())
      if before > 0 then
        for _, text in pairs(requests()[2].cmd) do assert.is_nil(text:find("%24result%5Bc1%5D", 1, true)) end
      end
    end
  end)

  it("puts a whole list in the place of a reference", function()
    fresh()
    local batch = client:batch()
    local fields = batch:call("tasks.api.scrum.backlog.get", { id = 129 })
    batch:run()
    batch:call("x.y", { all = fields:ref(), list = { fields:ref("id"), "b" }, flag = true })
    batch:run()
    local text = requests()[2].cmd.c2
    assert.equal("x.y?all%5BcreatedBy%5D=" .. fields.result.createdBy .. "&all%5BgroupId%5D=129&all%5Bid%5D=901&all%5BmodifiedBy%5D=0"
      .. "&flag=1&list%5B0%5D=901&list%5B1%5D=b", text)
  end)

  it("keeps what the parameters were when the command was made", function()
    fresh()
    local batch = client:batch()
    local epic = batch.scrum.epic_add{ groupId = 125, name = "A", createdBy = 6 }
    batch:run()
    local params = { id = epic:ref("id"), name = "before" }
    local changed = batch.scrum.epic_update(params)
    params.name = "after"
    batch:run()
    assert.equal("before", changed.result.name)
  end)

  it("says what is wrong with an argument as the plain call does", function()
    local batch = client:batch()
    local epic = batch.scrum.epic_add{ groupId = 125, name = "A" }
    for _, case in ipairs{
      { "backlog_add", { groupid = 1 } }, { "backlog_add", { groupId = "x", createdBy = 6 } }, { "backlog_add", nil },
      { "backlog_add", "text" }, { "backlog_add", { groupId = 1 } }, { "epic_update", { id = 1 } }, { "epic_list", { filter = { print } } },
      { "sprint_add", { groupId = 1, status = "plan", dateStart = "x", dateEnd = 0 } }, { "epic_add", { name = "\255", groupId = 1 } },
      { "epic_list", { filter = { a = { b = 0 / 0 } } } }, { "epic_list", { filter = { [true] = 1 } } },
    } do
      local name, params = case[1], case[2]
      local function plain() client.scrum[name](params) end
      local function command() batch.scrum[name](params) end
      local _, expected = pcall(plain)
      local _, got = pcall(command)
      assert.equal(expected:match(": (.*)"), got:match(": (.*)"), name)
    end
    for _, case in ipairs{ { 5 }, { "" }, { "a b" }, { "x.y", 5 }, { "x.y", { a = { b = print } } } } do
      local _, expected = pcall(client.call, client, case[1], case[2])
      local _, got = pcall(batch.call, batch, case[1], case[2])
      assert.equal(expected:gsub("^.-:%d+: ", ""), (got:gsub("^.-:%d+: ", "")))
    end
    local function raises(text, f, ...)
      local ok, problem = pcall(f, ...)
      assert.is_false(ok)
      assert.truthy(problem:find(text, 1, true), problem)
    end
    raises("a batch cannot stand in a batch", batch.call, batch, "Batch", {})
    raises("write batch:call(...), with a colon", batch.call, "x.y")
    raises("write batch:run(...), with a colon", batch.run)
    raises("write batch.scrum.backlog_add{...}, with a dot", batch.scrum.backlog_add, batch.scrum)
    raises("write cmd:ref(...), with a colon", epic.ref, "id")
    raises("bad argument #1 to 'ref'", epic.ref, epic, "a]")
    raises("bad argument #2 to 'ref'", epic.ref, epic, "a", -1)
    raises("bad argument #1 to 'ref'", epic.ref, epic, {})
    raises("bad argument #1 to 'batch' (unknown option 'hlt')", client.batch, client, { hlt = true })
    raises("option 'halt': boolean expected, got number", client.batch, client, { halt = 1 })
    raises("option 'max_bytes': a positive number expected, got 0", client.batch, client, { max_bytes = 0 })
    raises("write client:batch(...), with a colon", client.batch)
    -- A reference is nothing that a plain call could send.
    raises("userdata", client.scrum.epic_get, { id = epic:ref("id") })
  end)

  it("never lets the portal take a text for a reference", function()
    local batch = client:batch()
    for _, text in ipairs{ "$result[c1][id]", "see $result[0]", "$$result[" } do
      assert.has_error(function() batch.scrum.epic_add{ groupId = 125, name = text } end)
      assert.has_error(function() batch:call("x.y", { fields = { [text] = 1 } }) end)
      assert.has_error(function() batch:call("x.y", { fields = { { text } } }) end)
    end
    for _, text in ipairs{ "$result", "$", "$results[0]", "$result [0]" } do batch.scrum.epic_add{ groupId = 125, name = text } end
    batch:run()
  end)

  it("stops at the first failure when told to, in later requests, too", function()
    fresh()
    local batch, rest = client:batch{ halt = true }, {}
    local good = batch.scrum.backlog_add{ groupId = 125, createdBy = 6 }
    local bad = batch.scrum.backlog_add{ groupId = 125, createdBy = 6 }
    for i = 1, 60 do rest[i] = batch.scrum.epic_add{ groupId = 125, name = "E" .. i } end
    local ok, failed = batch:run()
    assert.is_false(ok)
    assert.equal(61, #failed)
    assert.equal("ok", good.status)
    assert.equal("failed", bad.status)
    for _, cmd in ipairs(rest) do
      assert.equal("not_executed", cmd.status)
      assert.equal("halted", cmd.error.reason)
      assert.equal("no", cmd.error.executed)
    end
    local sent = requests()
    assert.equal(1, #sent)
    assert.equal(1, sent[1].halt)
    assert.equal(0, #portal:dump().epics)
  end)

  it("keeps what the other requests brought when one fails", function()
    for _, case in ipairs{
      { rule = { status = 500, body = "<html>" }, executed = "unknown", status = "failed", kind = "protocol" },
      { rule = { status = 503, body = '{"error":"QUERY_LIMIT_EXCEEDED","error_description":"Too many requests"}' }, executed = "no",
        status = "not_executed", kind = "limit" },
      { rule = { reset = true }, executed = "unknown", status = "failed", kind = "network" },
      { rule = { status = 200, body = '{"result":true}' }, executed = "unknown", status = "failed", kind = "protocol" },
      -- The batch was refused, and who knows what was done before.
      { rule = { status = 400, body = '{"error":"ERROR_CORE","error_description":"x"}' }, executed = "unknown",
        status = "failed", kind = "api" },
    } do
      fresh()
      -- `pass` lets the first request through.
      portal:script{ { pass = true }, case.rule }
      local lone = bitrix.new{ webhook = portal.webhook, limit = false, retry = false }
      local batch, commands = lone:batch(), {}
      for i = 1, 130 do commands[i] = batch.scrum.epic_add{ groupId = 125, name = "Epic " .. i } end
      -- The lost one's id is needed here: it makes no sense to run this.
      local dependent = batch.scrum.epic_get{ id = commands[60]:ref("id") }
      local independent = batch.scrum.epic_get{ id = commands[1]:ref("id") }
      local ok, failed = batch:run()
      assert.is_false(ok)
      assert.equal(51, #failed)
      for i, cmd in ipairs(commands) do
        if i <= 50 or i > 100 then
          assert.equal("Epic " .. i, cmd.result.name)
        else
          assert.equal(case.status, cmd.status)
          assert.equal(case.executed, cmd.error.executed)
          assert.equal(case.kind, cmd.error.kind)
          assert.equal("tasks.api.scrum.epic.add", cmd.error.method)
          assert.equal(1, #cmd.error.attempts)
        end
      end
      assert.equal("not_executed", dependent.status)
      assert.equal("no", dependent.error.executed)
      assert.equal("Epic 1", independent.result.name)
      assert.equal(3, #requests())
    end
  end)

  it("does not go on asking a portal that refuses the credentials", function()
    fresh()
    local wrong = bitrix.new{ webhook = portal.webhook:gsub("[^/]+/$", "wrongsecret/"), limit = false, retry = false }
    local batch, commands = wrong:batch(), {}
    for i = 1, 120 do commands[i] = batch.scrum.epic_add{ groupId = 125, name = "Epic " .. i } end
    assert.is_false(batch:run())
    assert.equal(1, #requests())
    for _, cmd in ipairs(commands) do
      assert.equal("not_executed", cmd.status)
      assert.equal("auth", cmd.error.kind)
      assert.equal("no", cmd.error.executed)
      assert.is_nil(tostring(cmd.error):find("wrongsecret", 1, true))
    end
  end)

  it("splits by the size of the body", function()
    fresh()
    local batch, commands = client:batch{ max_bytes = 4000 }, {}
    for i = 1, 10 do commands[i] = batch.scrum.epic_add{ groupId = 125, name = ("x"):rep(i == 5 and 5000 or 900) .. i } end
    assert.is_true(batch:run())
    local sizes, sent = {}, requests()
    for i, request in ipairs(sent) do
      sizes[i] = count(request.cmd)
      assert.is_true(request.size <= 4000 or sizes[i] == 1)
    end
    assert.same({ 4, 1, 4, 1 }, sizes)
    for i, cmd in ipairs(commands) do assert.equal(tostring(i), cmd.result.name:match("%d+$")) end
  end)

  it("survives every shape of the five sections", function()
    local function outcome(sections, halt)
      scripted{ result = sections }
      local batch = client:batch{ halt = halt }
      local list = { batch:call("a.add"), batch:call("b.add"), batch:call("c.add") }
      batch:run()
      return list
    end
    local empty = json.decode("[]")
    local list = outcome{ result = { c1 = 1, c2 = false, c3 = { 1, 2 } }, result_error = empty, result_time = empty }
    assert.equal(1, list[1].result)
    assert.is_false(list[2].result)
    assert.same({ 1, 2 }, list[3].result)
    -- A null that ran.
    list = outcome{ result = { c1 = json.null, c3 = 3 }, result_error = { c2 = { error = "", error_description = "" } },
      result_time = { c1 = { duration = 1 }, c3 = { duration = 1 } } }
    assert.equal(bitrix.null, list[1].result)
    assert.equal("ok", list[1].status)
    assert.equal("", list[2].error.code)
    assert.equal("unknown", list[2].error.reason)
    assert.equal("yes", list[2].error.executed)
    -- Of one nothing is said.
    list = outcome{ result = { c1 = 1 }, result_error = { c3 = { error = 0, error_description = "Access denied" } } }
    assert.equal("failed", list[2].status)
    assert.equal("bad_shape", list[2].error.reason)
    assert.equal("unknown", list[2].error.executed)
    assert.equal("access_denied", list[3].error.reason)
    -- Halted: it did not run.
    list = outcome({ result = { c1 = 1 }, result_error = { c2 = { error = "X" } } }, true)
    assert.equal("not_executed", list[3].status)
    -- An error without a table around it, and one of REST v3.
    list = outcome{ result = {}, result_error = { c1 = "odd", c2 = { error = { code = "V3", message = "m",
      validation = { { field = "f", message = "g" } } } }, c3 = { error = "expired_token" } } }
    assert.equal("odd", list[1].error.message)
    assert.equal("V3", list[2].error.code)
    assert.same({ { field = "f", message = "g" } }, list[2].error.validation)
    assert.equal("auth", list[3].error.kind)
  end)

  it("masks what the portal says of secrets", function()
    scripted{ result = { result = { c1 = 1 }, result_time = { c1 = { start = portal.webhook } },
      result_error = { c2 = { error = "X", error_description = "see " .. portal.webhook } } } }
    local batch = client:batch()
    local good, bad = batch:call("a.b"), batch:call("c.d")
    batch:run()
    assert.is_nil(good.info.time.start:find(portal.secret, 1, true))
    assert.is_nil(bad.error.message:find(portal.secret, 1, true))
    assert.is_nil(tostring(bad.error):find(portal.secret, 1, true))
  end)

  it("is the same in the face that returns errors, and of the default client", function()
    fresh()
    local batch = safe.new{ webhook = portal.webhook, limit = false }:batch()
    local cmd = batch.scrum.backlog_add{ groupId = 1, createdBy = 6 }
    assert.is_false(batch:run())
    assert.equal("access_denied", cmd.error.reason)
    bitrix.configure{ webhook = portal.webhook, limit = false }
    batch = bitrix.batch()
    batch:call("user.current")
    assert.is_true(batch:run())
    assert.has_error(function() bitrix.batch(bitrix) end)
  end)

  it("shows nothing but its state", function()
    local batch = client:batch()
    local cmd = batch.scrum.backlog_get{ groupId = 125 }
    assert.equal("bitrix.batch (1 to run)", tostring(batch))
    assert.equal("bitrix.command (tasks.api.scrum.backlog.get, pending)", tostring(cmd))
    assert.equal("$result[c1][id][0]", tostring(cmd:ref("id", 0)))
    assert.equal("$result[c1]", tostring(core.reference({}, "c1")))
  end)

  it("raises an error on a closed client", function()
    local closed = bitrix.new{ webhook = portal.webhook, limit = false }
    local batch = closed:batch()
    batch:call("user.current")
    closed:close()
    assert.has_error(function() batch:call("user.current") end)
    assert.has_error(function() batch:run() end)
  end)
end)
