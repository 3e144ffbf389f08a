-- The scrum API: each method's documented request and answer, its refusals, and that a wrong argument is never sent.
local bitrix = require "bitrix"
local cjson = require "cjson"
local core = require "bitrix.core"
local is_integer = require "support.integers"
local safe = require "bitrix.safe"

local BACKLOG = '{"id":1,"groupId":125,"createdBy":6,"modifiedBy":0}'
local EPIC = '{"id":3,"groupId":125,"name":"Goal","description":"","createdBy":6,"modifiedBy":0,"color":"#69dafc"}'
local SPRINT = '{"id":7,"groupId":125,"entityType":"sprint","name":"S","goal":"","sort":0,"createdBy":6,"modifiedBy":6,'
  .. '"dateStart":"2021-11-22T00:00:00+02:00","dateEnd":"2021-11-29T00:00:00+02:00","status":"planned"}'
local TASK = '{"entityId":2,"storyPoints":"3","epicId":3,"sort":10,"createdBy":6,"modifiedBy":6}'
local FIELDS = '{"fields":{"groupId":{"type":"integer"}}}'
local STAGES = '[{"id":"48","name":"New","sort":"100","type":"NEW","sprintId":"7","color":"00C4FB"},'
  .. '{"id":"49","name":"2024","sort":"200","type":"FINISH","sprintId":"7","color":"75D900"}]'

-- { parameters, body on the wire, the portal's result }
local EXAMPLES = {
  backlog_add = { { groupId = 125, createdBy = 6 }, '{"fields":{"groupId":125,"createdBy":6}}', BACKLOG },
  backlog_get = { { groupId = 125 }, '{"id":125}', BACKLOG },
  backlog_update = { { id = 1, groupId = 126, createdBy = 6, modifiedBy = 1 },
    '{"id":1,"fields":{"groupId":126,"createdBy":6,"modifiedBy":1}}', BACKLOG },
  backlog_delete = { { id = 1 }, '{"id":1}', "[]" },
  backlog_get_fields = { nil, "{}", FIELDS },
  epic_add = { { name = "Goal", groupId = 125, description = "x", color = "#69dafc", files = { "n428", "n345" }, createdBy = 6 },
    '{"fields":{"name":"Goal","groupId":125,"description":"x","color":"#69dafc","files":["n428","n345"],"createdBy":6}}', EPIC },
  epic_get = { { id = 3 }, '{"id":3}', EPIC },
  epic_update = { { id = 3, name = 2024, modifiedBy = 1 }, '{"id":3,"fields":{"name":"2024","modifiedBy":1}}', EPIC },
  epic_delete = { { id = 3 }, '{"id":3}', "[]" },
  epic_list = { { filter = { GROUP_ID = 125 }, start = 50 }, '{"filter":{"GROUP_ID":125},"start":50}', "[" .. EPIC .. "]" },
  epic_get_fields = { nil, "{}", FIELDS },
  sprint_add = { { groupId = 125, name = "S", dateStart = "2021-11-22T00:00:00+02:00", dateEnd = 1638144000, status = "planned" },
    '{"fields":{"groupId":125,"name":"S","dateStart":"2021-11-22T00:00:00+02:00","dateEnd":"2021-11-29T00:00:00+00:00",'
      .. '"status":"planned"}}', SPRINT },
  sprint_get = { { id = 7 }, '{"id":7}', SPRINT },
  sprint_update = { { id = 7, status = "active", sort = 5 }, '{"id":7,"fields":{"sort":5,"status":"active"}}', SPRINT },
  sprint_delete = { { id = 7 }, '{"id":7}', "[]" },
  sprint_start = { { id = 7 }, '{"id":7}', SPRINT },
  sprint_complete = { { groupId = 125 }, '{"id":125}', SPRINT },
  sprint_list = { { order = { ID = "asc" } }, '{"order":{"ID":"asc"}}', "[" .. SPRINT .. "]" },
  sprint_get_fields = { nil, "{}", FIELDS },
  kanban_add_stage = { { sprintId = 7, name = "Test", type = "WORK", sort = 150, color = "00C4FB" },
    '{"fields":{"sprintId":7,"name":"Test","type":"WORK","sort":150,"color":"00C4FB"}}', "50" },
  kanban_get_stages = { { sprintId = 7 }, '{"sprintId":7}', STAGES },
  kanban_update_stage = { { stageId = 50, name = "Review" }, '{"stageId":50,"fields":{"name":"Review"}}', "true" },
  kanban_delete_stage = { { stageId = 50 }, '{"stageId":50}', "true" },
  kanban_add_task = { { sprintId = 7, taskId = 751, stageId = 48 }, '{"sprintId":7,"taskId":751,"stageId":48}', "true" },
  kanban_delete_task = { { sprintId = 7, taskId = 751 }, '{"sprintId":7,"taskId":751}', "true" },
  kanban_get_fields = { nil, "{}", FIELDS },
  task_get = { { id = 751 }, '{"id":751}', TASK },
  task_update = { { id = 751, entityId = 7, storyPoints = 5, epicId = 3 },
    '{"id":751,"fields":{"entityId":7,"storyPoints":"5","epicId":3}}', "true" },
  task_get_fields = { nil, "{}", FIELDS },
}

describe("the scrum API", function()
  local portal, client

  setup(function()
    portal = require("bitrix.portal").start()
    client = safe.new{ webhook = portal.webhook, limit = false, retry = false }
  end)

  teardown(function()
    client:close()
    portal:stop()
  end)

  before_each(function() portal:clear() end)

  it("has 29 methods, each with an example here", function()
    local rows = core.methods()
    assert.equal(29, #rows)
    for _, row in ipairs(rows) do assert.is_table(EXAMPLES[row.name], row.name) end
  end)

  for _, row in ipairs(core.methods()) do
    local example = EXAMPLES[row.name]

    it(row.name .. " sends the documented request and returns the documented answer", function()
      portal:script{ { status = 200, body = ('{"result":%s,"time":{}}'):format(example[3]) } }
      local result, info = client.scrum[row.name](example[1])
      assert.not_nil(result, tostring(info))
      local request = portal:journal()[1]
      assert.equal(row.method, request.method)
      assert.equal(example[2], request.body)
      -- The numbers of stages come as strings; what becomes of them is below.
      if row.name ~= "kanban_get_stages" then assert.same(cjson.decode(example[3]), result) end
    end)
  end

  -- The refusals that the reference documents for each method, in its checking order: tools/catalog_docs.lua has them.
  local docs = assert(loadfile("tools/catalog_docs.lua"))("not run as a program")
  for name, reasons in pairs(docs.reasons_of_methods()) do
    if #reasons > 0 then
      it(name .. " tells its documented refusals apart", function()
        local texts = {}
        for _, known in ipairs(core.reasons()) do texts[known.reason] = known.key end
        for _, reason in ipairs(reasons) do
          portal:script{ { status = 400, body = ('{"error":0,"error_description":"%s"}'):format(texts[reason]) } }
          local result, err = client.scrum[name](EXAMPLES[name][1])
          assert.is_nil(result)
          assert.same({ reason, texts[reason], 400 }, { err.reason, err.message, err.status })
        end
      end)
    end
  end

  it("knows every spelling of the portal's refusals", function()
    local count = 0
    for _, known in ipairs(core.reasons()) do
      if known.kind == "api" and known.executed == "yes" then
        count = count + 1
        portal:script{ { status = 400, body = ('{"error":0,"error_description":"%s"}'):format(known.key) } }
        local result, err = client.scrum.backlog_get{ groupId = 125 }
        assert.is_nil(result)
        assert.same({ "api", known.reason, "0", known.key, 400, "yes" },
          { err.kind, err.reason, err.code, err.message, err.status, err.executed })
      end
    end
    assert.is_true(count > 40)
  end)

  it("gives integers for the stages' ids and sort, and leaves their names alone", function()
    portal:script{ { status = 200, body = ('{"result":%s}'):format(STAGES) } }
    local stages = client.scrum.kanban_get_stages{ sprintId = 7 }
    assert.same({ id = 48, name = "New", sort = 100, type = "NEW", sprintId = 7, color = "00C4FB" }, stages[1])
    assert.equal("2024", stages[2].name)
    for _, field in ipairs{ "id", "sort", "sprintId" } do assert.is_true(is_integer(stages[2][field])) end
    portal:script{ { status = 200, body = '{"result":[{"sort":"-7"},{"sort":"-"},{"sort":"7x"}]}' } }
    assert.same({ { sort = -7 }, { sort = "-" }, { sort = "7x" } }, (client.scrum.kanban_get_stages{ sprintId = 7 }))
    portal:script{ { status = 200, body = '{"result":[]}' }, { status = 200, body = '{"result":[{"id":null},5]}' } }
    assert.same({}, (client.scrum.kanban_get_stages{ sprintId = 7 }))
    assert.same({ {}, 5 }, (client.scrum.kanban_get_stages{ sprintId = 7 }))
  end)

  it("knows a task that is in another group by any ending of its text", function()
    portal:script{ { status = 400,
      body = '{"error":0,"error_description":"Task not found. The task must be with GROUP_ID = 125"}' } }
    local _, err = client.scrum.kanban_add_task{ sprintId = 1, taskId = 2, stageId = 3 }
    assert.equal("task_not_in_group", err.reason)
  end)

  describe("takes dates", function()
    local function sent(date)
      portal:clear()
      portal:script{ { status = 200, body = '{"result":{}}' } }
      assert(client.scrum.sprint_update{ id = 1, dateStart = date })
      return portal:journal()[1].params.fields.dateStart
    end

    it("in ISO 8601, as they are", function()
      for _, date in ipairs{ "2024-04-03", "2024-02-29", "2024-04-03T12:50", "2024-04-03T12:50:17", "2024-04-03 12:50:17",
        "2024-04-03T12:50:17Z", "2024-04-03T12:50:17.250+02:00", "2024-04-03T12:50:17-0330", "2024-04-03T12:50:17+02" } do
        assert.equal(date, sent(date))
      end
    end)

    it("in seconds since 1970, as UTC", function()
      assert.equal("1970-01-01T00:00:00+00:00", sent(0))
      assert.equal("2024-04-03T09:50:17+00:00", sent(1712137817))
      assert.equal("2024-04-03T09:50:17+00:00", sent(1712137817.9))
      assert.equal("1969-12-31T23:59:59+00:00", sent(-0.5))
      assert.equal("9999-12-31T23:59:59+00:00", sent(253402300799))
    end)

    it("and refuses what is none", function()
      for _, date in ipairs{ "", "03.04.2024", "2024-13-01", "2024-02-30", "2023-02-29", "2024-04-03T", "2024-04-03T25:00",
        "2024-04-03T12:60", "2024-04-03T12:50:17+2",
        "2024-04-03T12:50:17+02:",
        "2024-04-03T12:50:17Zx", "2024-4-3", "tomorrow", "2024-04-03\0",
        253402300800, -1e12, 0 / 0, math.huge, true, {}, bitrix.null } do
        local ok, problem = pcall(client.scrum.sprint_update, { id = 1, dateStart = date })
        assert.is_false(ok)
        assert.truthy(problem:find("(field 'dateStart': a date in ISO 8601", 1, true), problem)
      end
    end)
  end)

  it("sends numbers as strings where the portal wants strings", function()
    for given, expected in pairs{ [5] = "5", [0.5] = "0.5", ["XL"] = "XL", [-1] = "-1", [1e15] = "1000000000000000",
      [9007199254740992] = "9007199254740992", [123456789012345] = "123456789012345" } do
      portal:clear()
      portal:script{ { status = 200, body = '{"result":true}' } }
      client.scrum.task_update{ id = 1, storyPoints = given }
      assert.equal(expected, portal:journal()[1].params.fields.storyPoints)
    end
    portal:clear()
    portal:script{ { status = 200, body = '{"result":{}}' } }
    client.scrum.epic_add{ groupId = 1, name = 'a "b" \\ \n \t \1 Ёж', description = "" }
    assert.same({ groupId = 1, name = 'a "b" \\ \n \t \1 Ёж', description = "" }, portal:journal()[1].params.fields)
  end)

  -- Random wrong parameters: an argument error that names the parameter, never a request.
  it("never sends a wrong argument", function()
    local seed = os.time()
    math.randomseed(seed)
    local wrong = {
      integer = { true, 1.5, "x", "", "1.0", {}, print, bitrix.null, 0 / 0, math.huge, "-1", "\0", ("9"):rep(30) },
      string = { true, {}, print, bitrix.null, "\255", "\237\160\128", 0 / 0, math.huge },
      date = { true, {}, print, bitrix.null, "x", "2024-99-01", 1e300 },
      choice = { true, 1, {}, print, bitrix.null, "", "nonsense", "active ", "planned\0", "NEW\0x" },
      table = { true, 1, "x", print, bitrix.null },
    }
    local right = { integer = 1, string = "x", date = "2024-04-03", table = {} }
    local rows = core.methods()

    local function complete(row)
      local params = {}
      for _, param in ipairs(row.params) do params[param.name] = param.choices and param.choices[1] or right[param.type] end
      return params
    end

    local function refused(row, params, named, what)
      local ok, problem = pcall(client.scrum[row.name], params)
      local note = ("seed %d, %s, %s: %s"):format(seed, row.name, what, tostring(problem))
      assert.is_false(ok, note)
      assert.equal("string", type(problem), note)
      assert.truthy(problem:find("bad argument #1 to '" .. row.name .. "'", 1, true), note)
      assert.truthy(problem:find("'" .. named .. "'", 1, true), note)
    end

    local function twisted(name)
      local at = math.random(#name)
      return name:sub(1, at) .. "q" .. name:sub(at + 1)
    end

    for _ = 1, 1500 do
      local row = rows[math.random(#rows)]
      local params = complete(row)
      local choice = math.random(3)
      local param = row.params[math.random(math.max(1, #row.params))]
      if not param or choice == 1 then
        local name = twisted(param and param.name or "id")
        params[name] = 1
        refused(row, params, name, "unknown name")
      elseif choice == 2 and param.required then
        params[param.name] = nil
        refused(row, params, param.name, "missing")
      else
        local values = wrong[param.type]
        params[param.name] = values[math.random(#values)]
        refused(row, params, param.name, "wrong value " .. tostring(params[param.name]))
      end
    end
    assert.equal(0, #portal:journal())
  end)

  describe("backlog_ensure", function()
    it("creates a backlog, and finds it the second time", function()
      local backlog, created, info = client.scrum.backlog_ensure{ groupId = 125, createdBy = 6 }
      assert.equal(125, backlog.groupId)
      assert.is_true(created)
      assert.equal(1, #info.attempts)
      local again, created_again, second = client.scrum.backlog_ensure{ groupId = "125", createdBy = 6 }
      assert.same(backlog, again)
      assert.is_false(created_again)
      assert.equal(2, #second.attempts)
      assert.equal(400, second.attempts[1].status)
      client.scrum.backlog_delete{ id = backlog.id }
    end)

    it("settles an add whose outcome is unknown, when it ran and when it did not", function()
      for _, rule in ipairs{ { execute = true, close = true }, { execute = true, status = 502, body = "<html>" } } do
        portal:script{ rule }
        local backlog, created = client.scrum.backlog_ensure{ groupId = 126, createdBy = 6 }
        assert.equal(126, backlog.groupId)
        assert.is_true(created)
        client.scrum.backlog_delete{ id = backlog.id }
      end
      portal:clear()
      portal:script{ { close = true } }
      local backlog, created, info = client.scrum.backlog_ensure{ groupId = 126, createdBy = 6 }
      assert.is_true(created)
      assert.equal(3, #info.attempts)
      local adds = 0
      for _, request in ipairs(portal:journal()) do
        if request.method == "tasks.api.scrum.backlog.add" then adds = adds + 1 end
      end
      assert.equal(2, adds)
      -- Somebody else's, found after the answer to our add was lost:
      portal:script{ { close = true } }
      local other, ours = client.scrum.backlog_ensure{ groupId = 126, createdBy = 1 }
      assert.same(backlog, other)
      assert.is_false(ours)
    end)

    it("is safe from several places at once: one creates, all have the same", function()
      local code = ([[
        local scrum = require("bitrix").new{ webhook = %q }.scrum
        local backlog, created = scrum.backlog_ensure{ groupId = 125, createdBy = 6 }
        print(backlog.id, created)
      ]]):format(portal.webhook):gsub("\n", " ")
      local command = ("%s -e '%s'"):format(os.getenv("BITRIX_LUA") or arg[-1], code)
      for _ = 1, 5 do
        local pipes, ids, creators = {}, {}, 0
        for i = 1, 4 do pipes[i] = io.popen(command) end
        for i = 1, 4 do
          local id, created = pipes[i]:read("*a"):match("^(%d+)%s+(%a+)")
          pipes[i]:close()
          ids[assert(id)] = true
          if created == "true" then creators = creators + 1 end
        end
        assert.equal(1, creators)
        local only = next(ids)
        assert.is_nil(next(ids, only))
        client.scrum.backlog_delete{ id = only }
      end
    end)

    it("passes on what it cannot settle", function()
      local _, refused = client.scrum.backlog_ensure{ groupId = 125, createdBy = 999999 }
      assert.equal("created_by_not_found", refused.reason)
      local raising = bitrix.new{ webhook = "http://127.0.0.1:1/rest/1/abcdefgh/" }
      local ok, raised = pcall(raising.scrum.backlog_ensure, { groupId = 1, createdBy = 1 })
      assert.is_false(ok)
      assert.equal("connect", raised.reason)
    end)

    local function ran_and_lost() return { execute = true, close = true } end

    it("never says that nothing ran when its add may have", function()
      local hasty = safe.new{ webhook = portal.webhook, deadline = 0.3 }
      -- The read may just fit in before the deadline, or not: neither brings an answer in time.
      portal:script{ { delay = 1, execute = true, status = 200, body = "{}" }, { pass = true, delay = 1 } }
      local _, err = hasty.scrum.backlog_ensure{ groupId = 125, createdBy = 6 }
      assert.equal("deadline", err.reason)
      assert.equal("unknown", err.executed)
      portal:clear()
      portal:script{ ran_and_lost(), { status = 503, body = '{"error":"QUERY_LIMIT_EXCEEDED"}' } }
      _, err = client.scrum.backlog_ensure{ groupId = 125, createdBy = 6 }
      assert.same({ "query_limit_exceeded", "unknown" }, { err.reason, err.executed })
      client.scrum.backlog_delete{ id = client.scrum.backlog_get{ groupId = 125 }.id }
    end)

    it("counts as created what its lost add created late, and what answers strings", function()
      portal:script{ ran_and_lost(), { status = 400, body = '{"error":0,"error_description":"Backlog not found"}' } }
      local backlog, created = client.scrum.backlog_ensure{ groupId = 125, createdBy = 6 }
      assert.equal(125, backlog.groupId)
      assert.is_true(created)
      client.scrum.backlog_delete{ id = backlog.id }
      portal:script{ { close = true }, { status = 200, body = '{"result":{"id":"1","groupId":"125","createdBy":"6"}}' } }
      assert.is_true((select(2, client.scrum.backlog_ensure{ groupId = 125, createdBy = 6 })))
    end)

    it("survives answers of odd shape", function()
      for _, result in ipairs{ "null", "true", "5", '"x"', "[]" } do
        portal:script{ { close = true }, { status = 200, body = ('{"result":%s}'):format(result) } }
        local ok, _, created = pcall(client.scrum.backlog_ensure, { groupId = 125, createdBy = 6 })
        assert.is_true(ok)
        assert.is_false(created)
      end
      portal:script{ { status = 200, body = "{}", execute = true } }
      local backlog, created = client.scrum.backlog_ensure{ groupId = 125, createdBy = 6 }
      assert.equal(125, backlog.groupId)
      assert.is_true(created)
      client.scrum.backlog_delete{ id = backlog.id }
    end)

    it("does not go round for ever when somebody keeps deleting", function()
      for _ = 1, 6 do
        portal:script{ { status = 400, body = '{"error":0,"error_description":"Backlog already added"}' },
          { status = 400, body = '{"error":0,"error_description":"Backlog not found"}' } }
      end
      local backlog, err = client.scrum.backlog_ensure{ groupId = 125, createdBy = 6 }
      assert.is_nil(backlog)
      assert.equal("backlog_already_added", err.reason)
      assert.equal(10, #err.attempts)
    end)

    it("goes by the parameters as they were when the call began", function()
      local params = { groupId = 125, createdBy = 6 }
      local watched = safe.new{ webhook = portal.webhook, limit = false, retry = { base = 0.01 },
        on_event = function() params.groupId = 128 end }
      for _, name in ipairs{ "backlog_add", "backlog_ensure" } do
        params.groupId = 125
        portal:script{ { execute = true, close = true } }
        local backlog, more = watched.scrum[name](params)
        assert.is_table(backlog, tostring(more))
        assert.equal(125, backlog.groupId)
        client.scrum.backlog_delete{ id = backlog.id }
      end
    end)

    it("closed while an add is lost: the add's error, and that it may have run", function()
      for _, name in ipairs{ "backlog_add", "backlog_ensure" } do
        local closing
        closing = safe.new{ webhook = portal.webhook, limit = false, retry = { base = 0.01 },
          on_event = function() closing:close() end }
        portal:script{ { close = true } }
        local backlog, err = closing.scrum[name]{ groupId = 125, createdBy = 6 }
        assert.is_nil(backlog)
        assert.equal("unknown", err.executed)
      end
    end)

    it("keeps within one deadline", function()
      local hasty = safe.new{ webhook = portal.webhook, deadline = 0.3 }
      portal:script{ { status = 400, body = '{"error":0,"error_description":"Backlog already added"}', delay = 0.2 },
        { pass = true, delay = 2 } }
      local started = core.now()
      local backlog, err = hasty.scrum.backlog_ensure{ groupId = 125, createdBy = 6 }
      assert.is_nil(backlog)
      assert.equal("deadline", err.reason)
      assert.is_true(core.now() - started < 1)
    end)

    it("names itself in an argument error, at the caller's line", function()
      local ok, problem = pcall(function() client.scrum.backlog_ensure{ groupId = "x" } end)
      assert.is_false(ok)
      assert.truthy(problem:find("^[^:]*scrum_spec.lua:%d+: bad argument #1 to 'backlog_ensure' %(field 'groupId'"), problem)
      assert.has_error(function() client.scrum.backlog_ensure() end)
    end)
  end)
end)
