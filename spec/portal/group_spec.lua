-- bitrix/portal/group.lua: groups.

local world = require "portal.world"

local CREATE, LIST = "sonet_group.create", "socialnetwork.api.workgroup.list"
local result = world.result

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
    assert.same({ id = "1", name = "Rocket", type = "scrum", project = "Y", ownerId = "1", scrumMasterId = "6" },
      result(LIST, { filter = { ID = 1 }, select = { "ID", "NAME", "TYPE", "PROJECT", "OWNER_ID", "SCRUM_MASTER_ID" } }).workgroups[1])
  end)
  it("has the groups that are open to the user, and all for an administrator who asks", function()
    assert.equal(3, #result(LIST).workgroups)
    assert.equal(3, #result(LIST, { params = { IS_ADMIN = "Y" } }).workgroups)
    world.state:put("users", { id = 1, admin = true })
    assert.equal(4, #result(LIST, { params = { IS_ADMIN = "Y" } }).workgroups)
  end)
end)
