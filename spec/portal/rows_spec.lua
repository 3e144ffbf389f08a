-- bitrix/portal/rows.lua: rows by the thousand; and that listing them is quick.

local dkjson = require "dkjson"
local portal = require "bitrix.portal"
local rows = require "bitrix.portal.rows"
local seed_reader = require "bitrix.portal.seed"
local support = require "portal.support"

local SEED = { groups = { { id = 5, members = { 1 } }, { id = 7 } }, epics = { { id = 3, groupId = 7, name = "E" } } }

describe("rows", function()
  it("come after those that are there, complete, in a group for everybody", function()
    local seed = rows.grown(SEED, { epics = 2, tasks = 3 }, 1)
    assert.same({ 3, 4, 5 }, { seed.epics[1].id, seed.epics[2].id, seed.epics[3].id })
    assert.same({ id = 4, groupId = 7, name = "Epic 4", description = "", color = "#69dafc", files = {}, createdBy = 1,
      modifiedBy = 0 }, seed.epics[2])
    assert.same({ 3, 1, "Task 3", 7, 1 }, { #seed.tasks, seed.tasks[1].id, seed.tasks[3].title, seed.tasks[3].groupId,
      seed.tasks[3].responsibleId })
    assert.equal(1, #SEED.epics)
    assert.equal(SEED.groups, seed.groups)
    local known = seed_reader.read({ groups = { { id = 7 } }, epics = seed.epics, tasks = seed.tasks }, 1)
    assert.same(seed.tasks, known.tasks)
  end)
  it("are refused when they cannot be", function()
    for text, given in pairs { ["unknown rows field 'users'"] = { users = 5 },
      ["rows field 'tasks': integer from 0 expected, got 1.5"] = { tasks = 1.5 } } do
      local ok, problem = pcall(rows.read, given, SEED)
      assert.same({ false, "bitrix.portal: " .. text }, { ok, problem })
    end
    local ok, problem = pcall(rows.read, { tasks = 5 }, { groups = { { id = 5, members = { 1 } } } })
    assert.same({ false, "bitrix.portal: option 'rows': a group that is open to everybody is needed" }, { ok, problem })
  end)
end)

describe("a portal with a hundred thousand tasks", function()
  it("is listed to its end in seconds", function()
    local p = portal.start { rows = { tasks = 100000, epics = 120 } }
    finally(function() p:stop() end)
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    for i = 0, 1999 do
      file:write(('url = "%stasks.task.list?start=-1&filter[%%3EID]=%d&order[ID]=ASC&select[]=ID"\n'):format(p.webhook,
        i * 50))
    end
    file:close()
    local started = os.time()
    local text, code = support.run("curl -s -g --max-time 60 -K " .. path)
    assert.is_true(os.time() - started < 20)
    os.remove(path)
    assert.equal(0, code)
    local count = 0
    for id in text:gmatch('"id":"(%d+)"') do
      count = count + 1
      assert(count == tonumber(id), id)
    end
    assert.equal(100000, count)

    local answer = dkjson.decode(support.call(p.webhook .. "tasks.task.list", '{"start":99950}').body)
    assert.same({ 100000, "99951", 50, nil }, { answer.total, answer.result.tasks[1].id, #answer.result.tasks, answer.next })
    answer = dkjson.decode(support.call(p.webhook .. "tasks.api.scrum.epic.list", '{"start":100}').body)
    assert.same({ 120, 20 }, { answer.total, #answer.result })
    support.call(p.webhook .. "tasks.task.delete", '{"taskId":7}')
    local dump = p:dump()
    assert.same({ 99999, 8, 120 }, { #dump.tasks, dump.tasks[7].id, #dump.epics })
  end)
end)
