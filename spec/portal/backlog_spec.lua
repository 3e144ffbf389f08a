-- bitrix/portal/backlog.lua: the backlog methods and the order of their checks.

local domain = require "bitrix.portal.domain"
local methods = require "bitrix.portal.backlog"

local state

-- Group 125 has no backlog, 126 has backlog 10, 129 has backlog 11 with items; 128 with backlog 12 is not for user 1.
before_each(function()
  state = domain.new {
    users = { { id = 1 }, { id = 6 } },
    groups = { { id = 125 }, { id = 126 }, { id = 128, members = { 6 } }, { id = 129 }, { id = 130 } },
    backlogs = {
      { id = 10, groupId = 126, createdBy = 6, modifiedBy = 6, items = 0 },
      { id = 11, groupId = 129, createdBy = 6, modifiedBy = 0, items = 3 },
      { id = 12, groupId = 128, createdBy = 6, modifiedBy = 0, items = 3 },
    },
  }
end)

local function run(name, params)
  return methods["tasks.api.scrum.backlog." .. name].run(state, 1, params)
end

local function refuses(name, params, text)
  local before = state:dump()
  local result, message = run(name, params)
  assert.is_nil(result)
  assert.equal(text, message)
  assert.same(before, state:dump())
end

describe("backlog.add", function()
  local function add(fields)
    return run("add", { fields = fields })
  end

  it("adds a backlog and answers it", function()
    assert.same({ id = 1, groupId = 125, createdBy = 6, modifiedBy = 1 },
      add { groupId = 125, createdBy = 6, modifiedBy = 1 })
    assert.same({ id = 1, groupId = 125, createdBy = 6, modifiedBy = 1, items = 0 }, state:get("backlogs", 1))
  end)
  it("takes the strings of a form", function()
    assert.same({ id = 1, groupId = 125, createdBy = 6, modifiedBy = 0 }, add { groupId = "125", createdBy = "6" })
  end)
  it("stores 0 for authors that are not given", function()
    assert.same({ id = 1, groupId = 125, createdBy = 0, modifiedBy = 0 }, add { groupId = 125 })
  end)
  it("never looks at authors that are not numeric", function()
    assert.same({ id = 1, groupId = 125, createdBy = 0, modifiedBy = 0 },
      add { groupId = 125, createdBy = "nobody", modifiedBy = {} })
  end)
  it("takes a group once", function()
    add { groupId = 125 }
    refuses("add", { fields = { groupId = 125 } }, "Backlog already added")
  end)
  it("denies access to a group that does not exist", function()
    refuses("add", { fields = { groupId = 999 } }, "Access denied")
  end)

  -- Each row has all the faults of the rows below it: the order of the answers is the order of the checks.
  local rows = {
    { "Group id not found", { createdBy = 99, modifiedBy = 99 } },
    { "Group id not found", { groupId = 0, createdBy = 99, modifiedBy = 99 } },
    { "Group id not found", { groupId = "abc", createdBy = 99, modifiedBy = 99 } },
    { "Access denied", { groupId = 128, createdBy = 99, modifiedBy = 99 } },
    { "Backlog already added", { groupId = 126, createdBy = 99, modifiedBy = 99 } },
    { "createdBy user not found", { groupId = 125, createdBy = 99, modifiedBy = 99 } },
    { "createdBy user not found", { groupId = 125, createdBy = 0 } },
    { "modifiedBy user not found", { groupId = 125, createdBy = 6, modifiedBy = 99 } },
  }
  for i, row in ipairs(rows) do
    it(("answers %q (%d)"):format(row[1], i), function()
      refuses("add", { fields = row[2] }, row[1])
    end)
  end
end)

describe("backlog.get", function()
  it("takes the id of the group", function()
    assert.same({ id = 10, groupId = 126, createdBy = 6, modifiedBy = 6 }, run("get", { id = 126 }))
  end)
  it("answers its errors in order", function()
    refuses("get", { id = 0 }, "Group id not found")
    refuses("get", { id = 125 }, "Backlog not found")
    refuses("get", { id = 10 }, "Backlog not found")
    refuses("get", { id = 128 }, "Access denied")
  end)
end)

describe("backlog.update", function()
  it("changes what is given", function()
    assert.same({ id = 10, groupId = 125, createdBy = 1, modifiedBy = 6 },
      run("update", { id = 10, fields = { groupId = 125, createdBy = 1, modifiedBy = 6 } }))
    assert.equal(10, state:backlog_of(125).id)
    assert.is_nil(state:backlog_of(126))
  end)
  it("keeps group and creator, but no earlier modifier", function()
    assert.same({ id = 10, groupId = 126, createdBy = 6, modifiedBy = 0 }, run("update", { id = 10, fields = {} }))
  end)
  it("does not look at what is not numeric", function()
    assert.same({ id = 10, groupId = 126, createdBy = 6, modifiedBy = 0 },
      run("update", { id = 10, fields = { groupId = "x", createdBy = "y", modifiedBy = "z" } }))
  end)
  it("lets a backlog with items stay in its group", function()
    assert.same({ id = 11, groupId = 129, createdBy = 1, modifiedBy = 0 },
      run("update", { id = 11, fields = { groupId = 129, createdBy = 1 } }))
    assert.equal(3, state:get("backlogs", 11).items)
  end)
  it("answers its errors in order", function()
    local bad = { groupId = 126, createdBy = 99, modifiedBy = 99 }
    refuses("update", { id = 0, fields = bad }, "Backlog id not found")
    refuses("update", { id = 126, fields = bad }, "Backlog not found")
    refuses("update", { id = 12, fields = bad }, "Access denied")
    refuses("update", { id = 11, fields = bad }, "It is forbidden move a backlog with items")
    refuses("update", { id = 10, fields = { groupId = 129, createdBy = 99 } }, "The target group already has a backlog")
    refuses("update", { id = 10, fields = { groupId = 125, createdBy = 99, modifiedBy = 99 } },
      "createdBy user not found")
    refuses("update", { id = 10, fields = { groupId = 125, modifiedBy = 99 } }, "modifiedBy user not found")
  end)
end)

describe("backlog.delete", function()
  it("answers an empty table and makes room for another one", function()
    assert.same({}, run("delete", { id = 10 }))
    refuses("delete", { id = 10 }, "Backlog not found")
    assert.equal(126, run("add", { fields = { groupId = 126 } }).groupId)
  end)
  it("answers its errors in order", function()
    refuses("delete", { id = 0 }, "Backlog id not found")
    refuses("delete", { id = 126 }, "Backlog not found")
    refuses("delete", { id = 12 }, "Access denied")
    refuses("delete", { id = 11 }, "It is forbidden remove a backlog with items")
  end)
end)

describe("backlog.getFields", function()
  it("names the fields with their types", function()
    assert.same({ fields = { groupId = { type = "integer" }, createdBy = { type = "integer" },
      modifiedBy = { type = "integer" } } }, run("getFields", {}))
  end)
end)
