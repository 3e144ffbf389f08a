-- A small portal for the specs of the methods: its state, a way to call, and assertions. Group 125 is user 1's and 6's
-- with everything in it, 126 is empty, 128 is not for user 1 but has one of everything, too.

local assert = require "luassert"
local domain = require "bitrix.portal.domain"
local rest = require "bitrix.portal.rest"

local M = {}

local NOW = 1712137817

local function task(id, group_id, entity_id, changes)
  local row = { id = id, title = "Task " .. id, description = "", groupId = group_id, responsibleId = 6, createdBy = 1,
    status = 2, entityId = entity_id, stageId = 0, epicId = 0, storyPoints = "", sort = 0, itemCreatedBy = 1,
    itemModifiedBy = 0 }
  for name, value in pairs(changes or {}) do
    row[name] = value
  end
  return row
end

local function sprint(id, group_id, status)
  return { id = id, groupId = group_id, name = "Sprint " .. id, sort = 0, createdBy = 6, modifiedBy = 0,
    dateStart = "2024-04-01T00:00:00+00:00", dateEnd = "2024-04-15T00:00:00+00:00", status = status }
end

local function epic(id, group_id)
  return { id = id, groupId = group_id, name = "Epic " .. id, description = "", color = "#69dafc", files = {},
    createdBy = 6, modifiedBy = 0 }
end

local function stage(id, sprint_id, kind, sort)
  return { id = id, sprintId = sprint_id, name = "Stage " .. id, type = kind, sort = sort, color = "00C4FB" }
end

--- Makes the portal anew.
function M.new()
  M.state = domain.new {
    users = { { id = 1 }, { id = 6 } },
    groups = { { id = 125, members = { 1, 6 } }, { id = 126 }, { id = 127 }, { id = 128, members = { 6 } } },
    backlogs = {
      { id = 10, groupId = 125, createdBy = 6, modifiedBy = 0, items = 0 },
      { id = 12, groupId = 128, createdBy = 6, modifiedBy = 0, items = 0 },
    },
    epics = { epic(20, 125), epic(22, 128) },
    -- 30 is active with tasks, 31 planned with a task, 32 planned and empty, 33 completed; 34 to 36 as 30, 31, 33 in 128.
    sprints = { sprint(30, 125, "active"), sprint(31, 125, "planned"), sprint(32, 125, "planned"),
      sprint(33, 125, "completed"), sprint(34, 128, "active"), sprint(35, 128, "planned"), sprint(36, 128, "completed"),
      sprint(37, 127, "planned") },
    stages = { stage(40, 30, "NEW", 100), stage(41, 30, "WORK", 200), stage(42, 30, "FINISH", 300),
      stage(44, 34, "NEW", 100) },
    tasks = { task(50, 125, 30, { stageId = 40 }), task(51, 125, 30, { stageId = 42, status = 5 }),
      task(52, 125, 31), task(53, 125, 10, { epicId = 20, storyPoints = "3" }), task(54, 128, 12), task(55, 126, 0),
      task(56, 127, 37), task(57, 128, 34, { stageId = 44 }) },
  }
  M.entrance = rest.new {
    domain = M.state, user = 1, secret = "secret", methods = require "bitrix.portal.methods",
  }
end

--- Calls a method as user 1; returns the status and the body.
function M.call(method, params)
  return M.entrance:call(method, params or {}, NOW)
end

--- The result of a call that must succeed, and the whole body.
function M.result(method, params)
  local status, body = M.call(method, params)
  assert.equal(200, status, body.error_description)
  return body.result, body
end

--- A call must be refused with a text, and must change nothing.
function M.refuses(method, params, text, code)
  local before = M.state:dump()
  local status, body = M.call(method, params)
  assert.same({ 400, { error = code or 0, error_description = text } }, { status, body })
  assert.same(before, M.state:dump())
end

--- Declares one `it` for each row { text, params }: that the method refuses these parameters with this text. Rows stand
-- in the checking order; each has the fault of the row below it, too, so that the first of the two must win.
function M.it_refuses_in_order(it, method, rows)
  for i, row in ipairs(rows) do
    it(("answers %q before what is checked later (%d)"):format(row[1], i), function()
      M.refuses(method, row[2], row[1], row[3])
    end)
  end
end

--- Declares that a method asks for its top-level parameters in their order and looks at their types.
function M.it_needs(it, method, params)
  it("needs its parameters in their types", function()
    local given = {}
    for _, param in ipairs(params) do
      local name, kind = param[1], param[2]
      M.refuses(method, given, ("Could not find value for parameter {%s}"):format(name), "100")
      given[name] = "abc"
      M.refuses(method, given, ("Invalid value {abc} to match with parameter {%s}. Should be value of type %s."):format(
        name, kind), "100")
      given[name] = kind == "int" and 1 or {}
    end
  end)
end

return M
