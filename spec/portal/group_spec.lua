-- bitrix/portal/group.lua and general.lua: groups, users, and what an application asks about the portal.

local world = require "portal.world"

local CREATE, LIST = "sonet_group.create", "socialnetwork.api.workgroup.list"
local refuses, result = world.refuses, world.result

before_each(world.new)

describe("sonet_group.create", function()
  it("answers the id; with a scrum master the group is a scrum", function()
    assert.equal(1, result(CREATE, { NAME = "Rocket", SCRUM_MASTER_ID = "6" }))
    assert.equal(2, result(CREATE, { NAME = "Plain" }))
    assert.is_true(world.state:get("groups", 1).scrum)
    assert.is_false(world.state:get("groups", 2).scrum)
  end)
  it("makes creator and master members, and nobody else", function()
    result(CREATE, { NAME = "Rocket", SCRUM_MASTER_ID = 6 })
    result(CREATE, { NAME = "Plain" })
    assert.same({ 1, 6 }, world.state:get("groups", 1).members)
    assert.is_false(world.state:may_access(6, 2))
  end)
  world.it_refuses_in_order(it, CREATE, {
    { "Incorrect input data", { SCRUM_MASTER_ID = 99 }, "" },
    { "Cannot create group", { NAME = "x", SCRUM_MASTER_ID = 99 }, "" },
  })
end)

describe("socialnetwork.api.workgroup.list", function()
  it("answers wrapped rows of strings, with nothing but the id unless more is selected", function()
    result(CREATE, { NAME = "Rocket", SCRUM_MASTER_ID = 6 })
    local answer, body = result(LIST, { filter = { ["%NAME"] = "rock" } })
    assert.same({ workgroups = { { id = "1" } } }, answer)
    assert.equal(1, body.total)
    assert.same({ id = "1", name = "Rocket", type = "scrum", scrumMasterId = "6" },
      result(LIST, { filter = { ID = 1 }, select = { "ID", "NAME", "TYPE", "SCRUM_MASTER_ID" } }).workgroups[1])
  end)
  it("has the groups that are open to the user, and all for an administrator who asks", function()
    assert.equal(3, #result(LIST).workgroups)
    assert.equal(3, #result(LIST, { params = { IS_ADMIN = "Y" } }).workgroups)
    world.state:put("users", { id = 1, admin = true })
    assert.equal(4, #result(LIST, { params = { IS_ADMIN = "Y" } }).workgroups)
  end)
end)

describe("users", function()
  it("are the webhook's, or a list", function()
    assert.same({ ID = "1", ACTIVE = true, NAME = "User", LAST_NAME = "1" }, result "user.current")
    assert.is_false(result "user.admin")
    local rows, body = result("user.get", { ID = 6 })
    assert.same({ "6", 1 }, { rows[1].ID, body.total })
    assert.equal(2, #result("user.get"))
    assert.equal("6", result("user.get", { filter = { [">ID"] = 1 } })[1].ID)
  end)
end)

describe("the portal", function()
  it("names its methods and scopes", function()
    local names = {}
    for _, name in ipairs(result "methods") do
      names[name] = true
    end
    local count = 0
    for name in pairs(names) do
      count = count + (name:find("^tasks%.api%.scrum%.") and 1 or 0)
    end
    assert.equal(29, count)
    assert.same({ isExisting = true, isAvailable = true }, result("method.get", { name = "Profile" }))
    assert.same({ isExisting = false, isAvailable = false }, result("method.get", { name = "x" }))
    assert.is_table(result "scope")
  end)
  it("has no other codes than those it is asked for", function()
    refuses("tasks.task.get", {}, "Could not find value for parameter {taskId}", "100")
  end)
end)
