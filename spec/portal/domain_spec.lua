-- bitrix/portal/domain.lua: the state of a portal.

local domain = require "bitrix.portal.domain"

describe("the domain", function()
  local state, changes

  before_each(function()
    changes = {}
    state = domain.new({
      users = { { id = 1, admin = true }, { id = 6 } },
      groups = { { id = 125 }, { id = 128, members = { 6 } } },
      backlogs = { { id = 2, groupId = 128, createdBy = 6, modifiedBy = 0, items = 0 } },
    }, function(kind, id, row)
      changes[#changes + 1] = { kind, id, row and row.groupId }
    end)
  end)

  it("knows its users", function()
    assert.is_true(state:user_exists(6))
    assert.is_false(state:user_exists(7))
    assert.is_false(state:user_exists(0))
  end)
  it("admits everybody to a group without a list of members", function()
    assert.is_true(state:may_access(1, 125))
    assert.is_true(state:may_access(6, 125))
  end)
  it("admits members only where there is a list, administrators included", function()
    assert.is_true(state:may_access(6, 128))
    assert.is_false(state:may_access(1, 128))
  end)
  it("admits nobody to a group that does not exist", function()
    assert.is_false(state:may_access(1, 999))
  end)
  it("finds a backlog by its id and by its group", function()
    assert.equal(128, state:get("backlogs", 2).groupId)
    assert.equal(2, state:backlog_of(128).id)
    assert.is_nil(state:backlog_of(125))
  end)
  it("gives ids from 1 on, leaves out those that are taken, and gives none twice", function()
    assert.equal(1, state:put("backlogs", { groupId = 1 }).id)
    local row = state:put("backlogs", { groupId = 3 })
    assert.equal(3, row.id)
    state:remove("backlogs", 3)
    assert.equal(4, state:put("backlogs", { groupId = 4 }).id)
  end)
  it("tells of each change", function()
    state:put("backlogs", { groupId = 125 })
    state:remove("backlogs", 2)
    assert.same({ { "backlogs", 1, 125 }, { "backlogs", 2 } }, changes)
  end)
  it("dumps copies, ordered by id, that can serve as a seed", function()
    state:put("backlogs", { groupId = 125 })
    local dump = state:dump()
    assert.same({ { id = 1, groupId = 125 }, { id = 2, groupId = 128, createdBy = 6, modifiedBy = 0, items = 0 } },
      dump.backlogs)
    dump.groups[2].members[1] = 1
    assert.is_false(state:may_access(1, 128))
    assert.is_true(domain.new(dump):may_access(1, 128))
  end)
  it("does not depend on the seed any more", function()
    local seed = { users = { { id = 1 } } }
    local other = domain.new(seed)
    seed.users[1].id = 2
    assert.equal(1, other:get("users", 1).id)
  end)

  local function ids_of(list)
    local ids = {}
    for i, row in ipairs(list) do
      ids[i] = row.id
    end
    return ids
  end

  local function from(source, id)
    local list = {}
    for row in source:from(id) do
      list[#list + 1] = row
    end
    return ids_of(list)
  end

  it("keeps rows in order, whatever comes and goes", function()
    for _, id in ipairs { 50, 10, 30, 20, 40, 60 } do
      state:put("tasks", { id = id, groupId = 0 })
    end
    state:remove("tasks", 30)
    state:remove("tasks", 31)
    state:put("tasks", { id = 20, groupId = 125 })
    assert.same({ 10, 20, 40, 50, 60 }, ids_of(state:find("tasks")))
    local source = state:source("tasks", function(row) return row.id ~= 50 end)
    assert.same({ 10, 20, 40, 60 }, from(source, 0))
    assert.same({ 20, 40, 60 }, from(source, 11))
    assert.same({ 20, 40, 60 }, from(source, 20))
    assert.same({}, from(source, 61))
    assert.same({}, from(state:source("epics", function() return true end), 0))
  end)
  it("shows a user what is open at this moment", function()
    state:put("epics", { id = 5, groupId = 128 })
    state:put("epics", { id = 6, groupId = 125 })
    assert.same({ 6 }, ids_of(state:open("epics", 1):all()))
    assert.same({ 5, 6 }, ids_of(state:open("epics", 6):all()))
    assert.same({ 6 }, from(state:open("epics", 1), 0))
    assert.equal(state:open("epics", 1):all(), state:open("epics", 1):all())
    state:change("groups", state:get("groups", 128), { members = { 1 } })
    assert.same({ 5, 6 }, ids_of(state:open("epics", 1):all()))
    assert.same({ 6 }, ids_of(state:open("epics", 6):all()))
    state:put("tasks", { id = 5, groupId = 0 })
    assert.same({ 5 }, ids_of(state:open_tasks(1):all()))
    state:remove("tasks", 5)
    assert.same({}, ids_of(state:open_tasks(1):all()))
  end)
end)
