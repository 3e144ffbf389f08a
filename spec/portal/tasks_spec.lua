-- bitrix/portal/tasks.lua: tasks themselves.

local world = require "portal.world"

local result = world.result
local ADD, GET, UPDATE = "tasks.task.add", "tasks.task.get", "tasks.task.update"

before_each(world.new)

local function place(id)
  return result("tasks.api.scrum.task.get", { id = id })
end

describe("tasks.task.add", function()
  it("answers the task, numbers as strings, and puts it into the backlog of its group", function()
    local task = result(ADD, { fields = { TITLE = "T", RESPONSIBLE_ID = 6, GROUP_ID = 125 } }).task
    assert.same({ id = "1", title = "T", description = "", groupId = "125", responsibleId = "6", createdBy = "1", status = "2" },
      task)
    assert.same({ entityId = 10, storyPoints = "", epicId = 0, sort = 0, createdBy = 1, modifiedBy = 0 }, place(1))
  end)
  it("puts a task of a group without a backlog, or of none, nowhere", function()
    result(ADD, { fields = { TITLE = "T", RESPONSIBLE_ID = 6, GROUP_ID = 126 } })
    assert.equal("0", result(ADD, { fields = { TITLE = "T", RESPONSIBLE_ID = 6 } }).task.groupId)
    world.refuses("tasks.api.scrum.task.get", { id = 1 }, "Task not found")
  end)
  world.it_needs(it, ADD, { { "fields", "array" } })
  world.it_refuses_in_order(it, ADD, {
    { "Task name is not specified.", { fields = { TITLE = "", RESPONSIBLE_ID = 99, GROUP_ID = 128 } } },
    { "Responsible person is not found.", { fields = { TITLE = "T", RESPONSIBLE_ID = 99, GROUP_ID = 128 } } },
    { "Access denied", { fields = { GROUP_ID = 128 } } },
    { "Task name is not specified.", { fields = {} } },
    { "Responsible person is not specified.", { fields = { TITLE = "T" } } },
  })
end)

describe("a task", function()
  for _, method in ipairs { GET, "tasks.task.complete", "tasks.task.delete" } do
    describe("for " .. method, function() world.it_needs(it, method, { { "taskId", "int" } }) end)
  end
  it("can be read, changed, completed, listed and deleted", function()
    assert.equal("Task 50", result(GET, { taskId = 50 }).task.title)
    assert.equal("3", result(UPDATE, { taskId = "50", fields = { STATUS = 3 } }).task.status)
    assert.equal("5", result("tasks.task.complete", { taskId = 50 }).task.status)
    local answer, body = result("tasks.task.list", { filter = { GROUP_ID = 125, STATUS = 5 } })
    assert.same({ "50", "51", 2 }, { answer.tasks[1].id, answer.tasks[2].id, body.total })
    assert.same({ task = true }, result("tasks.task.delete", { taskId = 50 }))
    world.refuses(GET, { taskId = 50 }, "Task not found or not accessible")
  end)
  it("keeps its status when told one that there is not", function()
    assert.equal("2", result(UPDATE, { taskId = 50, fields = { STATUS = 9 } }).task.status)
  end)
  it("leaves its place in scrum when it goes to another group", function()
    result(UPDATE, { taskId = 53, fields = { GROUP_ID = 126 } })
    assert.same({ 0, 0 }, { world.state:get("tasks", 53).entityId, world.state:get("tasks", 53).epicId })
    result(UPDATE, { taskId = 50, fields = { GROUP_ID = 126 } })
    world.refuses("tasks.api.scrum.task.get", { id = 50 }, "Task not found")
    result(UPDATE, { taskId = 50, fields = { GROUP_ID = 125 } })
    assert.equal(10, place(50).entityId)
  end)
  it("of a group that is not open to the user is as good as none", function()
    for _, method in ipairs { GET, "tasks.task.complete", "tasks.task.delete" } do
      world.refuses(method, { taskId = 54 }, "Task not found or not accessible")
    end
  end)
end)
