-- bitrix/portal/epic.lua: the epic methods and the order of their checks.

local world = require "portal.world"

local PREFIX = "tasks.api.scrum.epic."
local refuses, result = world.refuses, world.result

before_each(world.new)

describe("epic.add", function()
  local METHOD = PREFIX .. "add"

  it("adds an epic and answers it", function()
    local expected = { id = 1, groupId = 125, name = "Goal", description = "x", color = "#112233", createdBy = 6, modifiedBy = 1 }
    assert.same(expected, result(METHOD, { fields = { groupId = "125", name = "Goal", description = "x",
      color = "#112233", createdBy = "6", modifiedBy = 1, files = { "n1" } } }))
    assert.same({ "n1" }, result(PREFIX .. "get", { id = 1 }).files.VALUE)
  end)
  it("has defaults", function()
    assert.same({ id = 1, groupId = 126, name = "Goal", description = "", color = "#69dafc", createdBy = 0, modifiedBy = 0 },
      result(METHOD, { fields = { groupId = 126, name = "Goal" } }))
  end)
  it("ignores a name and a description that are no strings", function()
    refuses(METHOD, { fields = { groupId = 125, name = 5 } }, "Name not found")
    assert.equal("", result(METHOD, { fields = { groupId = 125, name = "5", description = 5 } }).description)
  end)
  world.it_needs(it, METHOD, { { "fields", "array" } })
  world.it_refuses_in_order(it, METHOD, {
    { "createdBy user not found", { fields = { createdBy = 99 } } },
    { "Group id not found", { fields = { createdBy = 6 } } },
    { "Group id not found", { fields = { groupId = "abc" } } },
    { "Name not found", { fields = { groupId = 128 } } },
    { "Name not found", { fields = { groupId = 128, name = "" } } },
    { "Access denied", { fields = { groupId = 128, name = "Goal" } } },
    { "Access denied", { fields = { groupId = 999, name = "Goal" } } },
  })
end)

describe("epic.get", function()
  local METHOD = PREFIX .. "get"

  it("answers the epic with its files", function()
    local epic = result(METHOD, { id = 20 })
    assert.same({}, epic.files.VALUE)
    epic.files = nil
    assert.same({ id = 20, groupId = 125, name = "Epic 20", description = "", color = "#69dafc", createdBy = 6, modifiedBy = 0 },
      epic)
  end)
  world.it_needs(it, METHOD, { { "id", "int" } })
  world.it_refuses_in_order(it, METHOD, {
    { "Epic not found", { id = 0 } }, { "Epic not found", { id = 99 } }, { "Access denied", { id = 22 } },
  })
end)

describe("epic.update", function()
  local METHOD = PREFIX .. "update"

  it("changes what is given", function()
    assert.same({ id = 20, groupId = 126, name = "New", description = "", color = "#000000", createdBy = 6, modifiedBy = 1 },
      result(METHOD, { id = 20, fields = { groupId = 126, name = "New", description = 5, color = "#000000", modifiedBy = 1 } }))
    assert.equal("New", world.state:get("epics", 20).name)
    local epic = result(METHOD, { id = 20, fields = { createdBy = 1 } })
    assert.same({ 1, 0 }, { epic.createdBy, epic.modifiedBy })
  end)
  world.it_needs(it, METHOD, { { "id", "int" }, { "fields", "array" } })
  world.it_refuses_in_order(it, METHOD, {
    { "Epic not found", { id = 99, fields = { groupId = 128, createdBy = 99 } } },
    { "Access denied", { id = 22, fields = { groupId = 125, createdBy = 99 } } },
    { "Access denied", { id = 20, fields = { groupId = 128, createdBy = 99 } } },
    { "createdBy user not found", { id = 20, fields = { createdBy = 99, modifiedBy = 99 } } },
    { "modifiedBy user not found", { id = 20, fields = { createdBy = 6, modifiedBy = 99 } } },
  })
end)

describe("epic.delete", function()
  local METHOD = PREFIX .. "delete"

  it("answers an empty list and takes the epic off its tasks", function()
    assert.same({}, result(METHOD, { id = 20 }))
    assert.equal(0, world.state:get("tasks", 53).epicId)
    refuses(METHOD, { id = 20 }, "Epic not found")
  end)
  world.it_needs(it, METHOD, { { "id", "int" } })
  world.it_refuses_in_order(it, METHOD, {
    { "Epic not found", { id = 99 } }, { "Access denied", { id = 22 } },
  })
end)

describe("epic.list", function()
  local METHOD = PREFIX .. "list"

  it("lists the epics of groups that are open to the user", function()
    local rows, body = result(METHOD)
    assert.same({ 20 }, { rows[1].id, rows[2] })
    assert.equal(1, body.total)
    assert.is_nil(body.next)
  end)
  it("filters and selects", function()
    assert.same({ { name = "Epic 20" } }, result(METHOD, { filter = { GROUP_ID = 125, ["%NAME"] = "epic" }, select = { "NAME" } }))
    assert.same({}, result(METHOD, { filter = { GROUP_ID = 126 } }))
  end)
  it("cannot be had with fields that are not there", function()
    for _, params in ipairs { { filter = { NONSENSE = 1 } }, { order = { NONSENSE = "asc" } }, { select = { "NONSENSE" } } } do
      refuses(METHOD, params, "Could not load list")
    end
  end)
  it("wants arrays", function()
    refuses(METHOD, { filter = "x" }, "Invalid value {x} to match with parameter {filter}. Should be value of type array.", "100")
  end)
end)

it("epic.getFields names the fields", function()
  local fields = result(PREFIX .. "getFields").fields
  assert.same({ type = "array" }, fields.files)
  assert.same({ type = "integer" }, fields.groupId)
end)
