-- bitrix/portal/sprint.lua: the sprint methods, the states of a sprint, and the order of the checks.

local world = require "portal.world"

local PREFIX = "tasks.api.scrum.sprint."
local refuses, result = world.refuses, world.result
local START, FINISH = "2024-04-03T12:50:17+02:00", 1713347417

before_each(world.new)

local function entity_of(task)
  return world.state:get("tasks", task).entityId
end

describe("sprint.add", function()
  local METHOD = PREFIX .. "add"

  local function fields(changes)
    local all = { groupId = 126, name = "S", dateStart = START, dateEnd = FINISH, status = "planned" }
    for name, value in pairs(changes or {}) do
      all[name] = value
    end
    return { fields = all }
  end

  it("adds a sprint and answers it", function()
    assert.same({
      id = 1, groupId = 126, entityType = "sprint", name = "S", goal = "", sort = 5, createdBy = 6, modifiedBy = 1,
      dateStart = "2024-04-03T10:50:17+00:00", dateEnd = "2024-04-17T09:50:17+00:00", status = "planned",
    }, result(METHOD, fields { sort = "5", createdBy = 6, modifiedBy = 1 }))
  end)
  it("shares its ids with the backlogs", function()
    assert.equal(1, result("tasks.api.scrum.backlog.add", { fields = { groupId = 126 } }).id)
    assert.equal(2, result(METHOD, fields()).id)
  end)
  it("gives an active one a kanban, and a planned one none", function()
    local active, planned = result(METHOD, fields { status = "active" }).id, result(METHOD, fields()).id
    assert.equal(3, #world.state:stages_of(active))
    assert.equal(0, #world.state:stages_of(planned))
  end)
  world.it_needs(it, METHOD, { { "fields", "array" } })
  world.it_refuses_in_order(it, METHOD, {
    { "Group id not found", { fields = { createdBy = 99 } } },
    { "Access denied", { fields = { groupId = 128, createdBy = 99 } } },
    { "createdBy user not found", { fields = { groupId = 125, createdBy = 99, modifiedBy = 99 } } },
    { "modifiedBy user not found", { fields = { groupId = 125, createdBy = 6, modifiedBy = 99 } } },
    { "Incorrect dateStart format", { fields = { groupId = 125, dateEnd = "x", status = "active" } } },
    { "Incorrect dateStart format", { fields = { groupId = 125, dateStart = "2024-02-30", dateEnd = "x" } } },
    { "Incorrect dateEnd format", { fields = { groupId = 125, dateStart = START, status = "x" } } },
    { "Incorrect sprint status", { fields = { groupId = 125, dateStart = START, dateEnd = FINISH } } },
    { "Incorrect sprint status", { fields = { groupId = 125, dateStart = START, dateEnd = FINISH, status = {} } } },
    { "Unable to add two active sprint", { fields = { groupId = 125, dateStart = START, dateEnd = FINISH,
      status = "active" } } },
  })
end)

describe("sprint.get", function()
  world.it_needs(it, PREFIX .. "get", { { "id", "int" } })
  world.it_refuses_in_order(it, PREFIX .. "get", {
    { "Sprint id not found", { id = 0 } }, { "Sprint not found", { id = 10 } }, { "Access denied", { id = 34 } },
  })
  it("answers the sprint", function()
    assert.same({
      id = 30, groupId = 125, entityType = "sprint", name = "Sprint 30", goal = "", sort = 0, createdBy = 6, modifiedBy = 0,
      dateStart = "2024-04-01T00:00:00+00:00", dateEnd = "2024-04-15T00:00:00+00:00", status = "active",
    }, result(PREFIX .. "get", { id = 30 }))
  end)
end)

describe("sprint.update", function()
  local METHOD = PREFIX .. "update"

  it("changes what is given", function()
    local sprint = result(METHOD, { id = 32, fields = { groupId = 126, name = "New", sort = 7, dateEnd = "2024-05-01" } })
    assert.same({ 126, "New", 7, "2024-04-01T00:00:00+00:00", "2024-05-01T00:00:00+00:00", "planned" },
      { sprint.groupId, sprint.name, sprint.sort, sprint.dateStart, sprint.dateEnd, sprint.status })
  end)
  it("lets an active sprint stay active", function()
    assert.equal("active", result(METHOD, { id = 30, fields = { status = "active" } }).status)
  end)
  it("prepares the kanban of a sprint that becomes active", function()
    result(METHOD, { id = 30, fields = { status = "completed" } })
    result(METHOD, { id = 31, fields = { status = "active" } })
    local stages = world.state:stages_of(31)
    assert.equal(3, #stages)
    assert.equal(stages[1].id, world.state:get("tasks", 52).stageId)
  end)
  world.it_needs(it, METHOD, { { "id", "int" }, { "fields", "array" } })
  local bad = { groupId = 126, createdBy = 99 }
  world.it_refuses_in_order(it, METHOD, {
    { "Sprint id not found", { id = 0, fields = bad } },
    { "Sprint not found", { id = 99, fields = bad } },
    { "Access denied", { id = 34, fields = bad } },
    { "It is forbidden move a sprint with items", { id = 31, fields = bad } },
    { "createdBy user not found", { id = 31, fields = { createdBy = 99, modifiedBy = 99 } } },
    { "modifiedBy user not found", { id = 31, fields = { modifiedBy = 99, dateStart = "x" } } },
    { "Incorrect dateStart format", { id = 31, fields = { dateStart = "x", dateEnd = "x" } } },
    { "Incorrect dateEnd format", { id = 31, fields = { dateEnd = "x", status = "x" } } },
    { "Incorrect sprint status", { id = 31, fields = { status = "started" } } },
    { "Unable to add two active sprint", { id = 31, fields = { status = "active" } } },
  })
end)

describe("sprint.delete", function()
  local METHOD = PREFIX .. "delete"

  it("answers an empty list; tasks move to the backlog, stages go", function()
    assert.same({}, result(METHOD, { id = 30 }))
    assert.same({ 10, 10 }, { entity_of(50), entity_of(51) })
    assert.equal(0, world.state:get("tasks", 50).stageId)
    assert.is_nil(world.state:get("stages", 40))
    refuses(METHOD, { id = 30 }, "Sprint not found")
  end)
  world.it_needs(it, METHOD, { { "id", "int" } })
  world.it_refuses_in_order(it, METHOD, {
    { "Sprint not found", { id = 0 } }, { "Sprint not found", { id = 99 } },
    { "Access denied", { id = 35 } },
    -- Without a backlog there is no place for its tasks.
    { "It is forbidden remove a sprint with items", { id = 37 } },
  })
end)

describe("sprint.start", function()
  local METHOD = PREFIX .. "start"

  it("makes a planned sprint active, with a kanban and its tasks on the first stage", function()
    assert.equal("active", result(METHOD, { id = 37 }).status)
    local stages = result("tasks.api.scrum.kanban.getStages", { sprintId = 37 })
    assert.same({ "NEW", "WORK", "FINISH" }, { stages[1].type, stages[2].type, stages[3].type })
    assert.equal(tonumber(stages[1].id), world.state:get("tasks", 56).stageId)
  end)
  it("leaves a kanban alone that is there already", function()
    result("tasks.api.scrum.kanban.addStage", { fields = { sprintId = 37, name = "Only" } })
    result(METHOD, { id = 37 })
    assert.equal(1, #world.state:stages_of(37))
  end)
  world.it_needs(it, METHOD, { { "id", "int" } })
  world.it_refuses_in_order(it, METHOD, {
    { "Sprint id not found", { id = 0 } },
    { "Sprint not found", { id = 99 } },
    -- 34 is not to be accessed, either.
    { "Sprint must be planned", { id = 34 } }, { "Sprint must be planned", { id = 36 } }, { "Sprint must be planned", { id = 30 } },
    -- Group 128 has an active sprint, too.
    { "Access denied", { id = 35 } },
    { "Unable to start sprint", { id = 31 } },
  })
end)

describe("sprint.complete", function()
  local METHOD = PREFIX .. "complete"

  it("takes the group's id, completes its active sprint, and moves what is not finished to the backlog", function()
    local sprint = result(METHOD, { id = 125 })
    assert.same({ 30, "completed" }, { sprint.id, sprint.status })
    assert.same({ 10, 30 }, { entity_of(50), entity_of(51) })
    assert.equal(0, world.state:get("tasks", 50).stageId)
    refuses(METHOD, { id = 125 }, "Sprint not found")
  end)
  it("leaves tasks where they are when there is no backlog", function()
    result(PREFIX .. "start", { id = 37 })
    result(METHOD, { id = 127 })
    assert.equal(37, entity_of(56))
  end)
  world.it_needs(it, METHOD, { { "id", "int" } })
  world.it_refuses_in_order(it, METHOD, {
    { "Group id not found", { id = 0 } }, { "Sprint not found", { id = 126 } }, { "Sprint not found", { id = 999 } },
    { "Access denied", { id = 128 } },
  })
end)

describe("sprint.list", function()
  local METHOD = PREFIX .. "list"

  local function ids(params)
    local list = {}
    for i, row in ipairs(result(METHOD, params)) do
      list[i] = row.id
    end
    return list
  end

  it("lists, filters by status and date, and sorts", function()
    assert.same({ 30, 31, 32, 33, 37 }, ids())
    assert.same({ 31, 32 }, ids { filter = { GROUP_ID = 125, STATUS = "planned" } })
    assert.same({ 37, 33, 32, 31, 30 }, ids { order = { ID = "desc" } })
    assert.same({}, ids { filter = { [">=DATE_END"] = "2024-04-15T00:00:01+00:00" } })
    assert.same({ 30 }, ids { filter = { [">=DATE_END"] = "2024-04-15T02:00:00+02:00", STATUS = "active" } })
    assert.equal(5, #ids { filter = { ENTITY_TYPE = "sprint" } })
  end)
  it("cannot be had with fields that are not there", function()
    refuses(METHOD, { filter = { NONSENSE = 1 } }, "Could not load list")
  end)
end)

it("sprint.getFields names the fields", function()
  assert.same({ type = "string" }, result(PREFIX .. "getFields").fields.dateStart)
end)
