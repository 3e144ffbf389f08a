-- bitrix/portal/kanban.lua: the kanban methods and the order of their checks.

local world = require "portal.world"

local PREFIX = "tasks.api.scrum.kanban."
local WRONG_TASK = "Task not found. The task must be with GROUP_ID"
local result = world.result

before_each(world.new)

describe("kanban.addStage", function()
  local METHOD = PREFIX .. "addStage"

  it("answers the id as a number", function()
    assert.equal(1, result(METHOD, { fields = { sprintId = "30", name = "Review", type = "FINISH", sort = 250, color = "112233" } }))
    assert.same({ id = 1, sprintId = 30, name = "Review", type = "FINISH", sort = 250, color = "112233" },
      world.state:get("stages", 1))
  end)
  it("has defaults, also for a type that is none", function()
    result(METHOD, { fields = { sprintId = 32, name = "Review", type = "NONE" } })
    assert.same({ id = 1, sprintId = 32, name = "Review", type = "WORK", sort = 100, color = "00C4FB" },
      world.state:get("stages", 1))
  end)
  world.it_needs(it, METHOD, { { "fields", "array" } })
  world.it_refuses_in_order(it, METHOD, {
    { "Sprint id not found", { fields = {} } },
    { "Sprint not found", { fields = { sprintId = 99 } } },
    { "Access denied", { fields = { sprintId = 34 } } },
    { "Incorrect name format", { fields = { sprintId = 30 } } },
    { "Incorrect name format", { fields = { sprintId = 30, name = 5 } } },
  })
end)

describe("kanban.getStages", function()
  local METHOD = PREFIX .. "getStages"

  it("answers everything as strings, in the kanban's order", function()
    result(METHOD:gsub("getStages", "addStage"), { fields = { sprintId = 30, name = "Between", sort = 150 } })
    local stages = result(METHOD, { sprintId = 30 })
    assert.same({ id = "40", name = "Stage 40", sort = "100", type = "NEW", sprintId = "30", color = "00C4FB" }, stages[1])
    assert.same({ "40", "1", "41", "42" }, { stages[1].id, stages[2].id, stages[3].id, stages[4].id })
  end)
  it("answers an empty list for a sprint that was not started", function()
    assert.same({}, result(METHOD, { sprintId = 32 }))
  end)
  world.it_needs(it, METHOD, { { "sprintId", "int" } })
  world.it_refuses_in_order(it, METHOD, {
    { "Sprint id not found", { sprintId = 0 } }, { "Sprint not found", { sprintId = 99 } }, { "Access denied", { sprintId = 34 } },
  })
end)

describe("kanban.updateStage", function()
  local METHOD = PREFIX .. "updateStage"

  it("changes what is given and answers true", function()
    assert.is_true(result(METHOD, { stageId = 41, fields = { name = "X", sort = "50", type = "NONE", color = "ABCDEF" } }))
    assert.same({ id = 41, sprintId = 30, name = "X", type = "WORK", sort = 50, color = "ABCDEF" }, world.state:get("stages", 41))
  end)
  it("takes a stage to another sprint of the group, without its tasks", function()
    assert.is_true(result(METHOD, { stageId = 40, fields = { sprintId = 31 } }))
    assert.equal(31, world.state:get("stages", 40).sprintId)
    assert.same({ 30, 0 }, { world.state:get("tasks", 50).entityId, world.state:get("tasks", 50).stageId })
  end)
  world.it_needs(it, METHOD, { { "stageId", "int" }, { "fields", "array" } })
  world.it_refuses_in_order(it, METHOD, {
    { "Stage id not found", { stageId = 0, fields = { sprintId = 99 } } },
    { "Stage not found", { stageId = 99, fields = { sprintId = 99 } } },
    { "Access denied", { stageId = 44, fields = { sprintId = 99 } } },
    { "Incorrect sprintId value", { stageId = 41, fields = { sprintId = 99 } } },
    { "Incorrect sprintId value", { stageId = 41, fields = { sprintId = "x" } } },
    { "Incorrect sprintId value", { stageId = 41, fields = { sprintId = 34 } } },
  })
end)

describe("kanban.deleteStage", function()
  local METHOD = PREFIX .. "deleteStage"

  it("answers true", function()
    assert.is_true(result(METHOD, { stageId = 41 }))
    assert.is_nil(world.state:get("stages", 41))
  end)
  world.it_needs(it, METHOD, { { "stageId", "int" } })
  world.it_refuses_in_order(it, METHOD, {
    { "Stage id not found", { stageId = 0 } }, { "Stage not found", { stageId = 99 } },
    { "Access denied", { stageId = 44 } }, { "Stage has tasks", { stageId = 40 } },
  })
end)

describe("kanban.addTask", function()
  local METHOD = PREFIX .. "addTask"

  it("puts a task on a stage, and thereby into the sprint", function()
    assert.is_true(result(METHOD, { sprintId = 30, taskId = 53, stageId = 41 }))
    local task = world.state:get("tasks", 53)
    assert.same({ 30, 41 }, { task.entityId, task.stageId })
  end)
  world.it_needs(it, METHOD, { { "sprintId", "int" }, { "taskId", "int" }, { "stageId", "int" } })
  world.it_refuses_in_order(it, METHOD, {
    { "Sprint id not found", { sprintId = 0, taskId = 0, stageId = 0 } },
    { "Task id not found", { sprintId = 99, taskId = 0, stageId = 0 } },
    { "Stage id not found", { sprintId = 99, taskId = 99, stageId = 0 } },
    { "Sprint not found", { sprintId = 99, taskId = 99, stageId = 99 } },
    { "Access denied", { sprintId = 34, taskId = 99, stageId = 99 } },
    { "Stage not found", { sprintId = 30, taskId = 99, stageId = 99 } },
    { "Stage not found", { sprintId = 30, taskId = 99, stageId = 44 } },
    { WRONG_TASK, { sprintId = 30, taskId = 99, stageId = 40 } },
    { WRONG_TASK, { sprintId = 30, taskId = 55, stageId = 40 } },
  })
end)

describe("kanban.deleteTask", function()
  local METHOD = PREFIX .. "deleteTask"

  it("takes a task off its stage and leaves it in the sprint", function()
    assert.is_true(result(METHOD, { sprintId = 30, taskId = 50 }))
    local task = world.state:get("tasks", 50)
    assert.same({ 30, 0 }, { task.entityId, task.stageId })
  end)
  it("does not touch a task on another kanban", function()
    assert.is_true(result(METHOD, { sprintId = 31, taskId = 50 }))
    assert.equal(40, world.state:get("tasks", 50).stageId)
  end)
  world.it_needs(it, METHOD, { { "sprintId", "int" }, { "taskId", "int" } })
  world.it_refuses_in_order(it, METHOD, {
    { "Sprint id not found", { sprintId = 0, taskId = 0 } },
    { "Task id not found", { sprintId = 99, taskId = 0 } },
    { "Sprint not found", { sprintId = 99, taskId = 99 } },
    { "Access denied", { sprintId = 34, taskId = 99 } },
    { WRONG_TASK, { sprintId = 30, taskId = 99 } },
    { WRONG_TASK, { sprintId = 30, taskId = 55 } },
  })
end)

it("kanban.getFields names the fields", function()
  assert.same({ name = { type = "string" }, sort = { type = "integer" }, type = { type = "string" },
    sprintId = { type = "integer" }, color = { type = "string" } }, result(PREFIX .. "getFields").fields)
end)
