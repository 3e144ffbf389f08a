-- bitrix/portal/general.lua, and what rest.lua says of the methods: users, and what an application asks about the portal.

local world = require "portal.world"

local result = world.result

before_each(world.new)

describe("users", function()
  it("are the webhook's, or a list", function()
    assert.same({ ID = "1", ACTIVE = true, NAME = "User", LAST_NAME = "1" }, result "user.current")
    assert.is_false(result "user.admin")
    assert.same({ ID = "1", ADMIN = false, NAME = "User", LAST_NAME = "1" }, result "profile")
    world.state:put("users", { id = 1, admin = true })
    assert.is_true(result "user.admin")
    assert.is_true(result("profile").ADMIN)
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
  it("tells the time", function()
    assert.equal("2024-04-03T09:50:17+00:00", result "server.time")
  end)
end)
