-- bitrix/portal/task.lua: a task's place in scrum, and the order of the checks.

local world = require "portal.world"

local GET, UPDATE = "tasks.api.scrum.task.get", "tasks.api.scrum.task.update"
local result = world.result

before_each(world.new)

describe("task.get", function()
  it("answers a task's place in scrum", function()
    assert.same({ entityId = 10, storyPoints = "3", epicId = 20, sort = 0, createdBy = 1, modifiedBy = 0 }, result(GET, { id = 53 }))
  end)
  world.it_needs(it, GET, { { "id", "int" } })
  world.it_refuses_in_order(it, GET, {
    { "Task id not found", { id = 0 } }, { "Task not found", { id = 99 } },
    -- In no backlog and no sprint:
    { "Task not found", { id = 55 } },
    { "Access denied", { id = 54 } },
  })
end)

describe("task.update", function()
  local function update(id, fields)
    assert.is_true(result(UPDATE, { id = id, fields = fields }))
    return result(GET, { id = id })
  end

  it("changes what is given", function()
    assert.same({ entityId = 31, storyPoints = "8", epicId = 20, sort = 5, createdBy = 6, modifiedBy = 1 },
      update(50, { entityId = 31, storyPoints = "8", epicId = "20", sort = 5, createdBy = 6, modifiedBy = 1 }))
  end)
  it("silently ignores story points that are no string", function()
    assert.equal("3", update(53, { storyPoints = 8 }).storyPoints)
    assert.equal("", update(53, { storyPoints = "" }).storyPoints)
  end)
  it("takes an epic away", function()
    assert.equal(0, update(53, { epicId = 0 }).epicId)
  end)
  it("puts a task that comes into an active sprint on the first stage, and leaves one that is there", function()
    update(53, { entityId = 30 })
    assert.equal(40, world.state:get("tasks", 53).stageId)
    update(51, { entityId = 30, sort = 1 })
    assert.equal(42, world.state:get("tasks", 51).stageId)
    update(50, { entityId = 10 })
    assert.equal(0, world.state:get("tasks", 50).stageId)
  end)
  it("puts a task that is nowhere into the backlog of its group", function()
    result("tasks.api.scrum.backlog.add", { fields = { groupId = 126 } })
    assert.equal(1, update(55, { sort = 1 }).entityId)
  end)
  world.it_needs(it, UPDATE, { { "id", "int" }, { "fields", "array" } })
  local bad = { entityId = 99, epicId = 99, createdBy = 99 }
  world.it_refuses_in_order(it, UPDATE, {
    { "Task id not found", { id = 0, fields = bad } },
    { "Access denied", { id = 99, fields = bad } },
    { "Access denied", { id = 54, fields = bad } },
    { "Entity id not found", { id = 50, fields = bad } },
    { "Entity id not found", { id = 50, fields = { entityId = 34, epicId = 99 } } },
    -- In a group without a backlog:
    { "Entity id not found", { id = 55, fields = { epicId = 99 } } },
    { "Epic not found", { id = 50, fields = { epicId = 99, createdBy = 99 } } },
    { "Epic not found", { id = 50, fields = { entityId = 31, epicId = 22, createdBy = 99 } } },
    { "createdBy user not found", { id = 50, fields = { createdBy = 99, modifiedBy = 99 } } },
    { "modifiedBy user not found", { id = 50, fields = { modifiedBy = 99 } } },
  })
end)

it("task.getFields names the fields", function()
  assert.same({ type = "string" }, result("tasks.api.scrum.task.getFields").fields.storyPoints)
end)
