-- bitrix/portal/methods.lua: all methods together.

local json = require "bitrix.portal.json"
local world = require "portal.world"

local STRANGE = { 0, 1, -1, 1.5, 1e300, 10, 20, 30, 40, 50, 125, 126, 128, "", "x", "30", "5%", "planned", "active", "WORK", true, false,
  {}, { {} }, { 1, 2 }, { ID = 1 }, { ["!=%NAME"] = { "%" } }, { ["><ID"] = 1 }, { ID = "desc", NAME = {} }, "$result[x]" }
local FIELDS = { "id", "groupId", "name", "sprintId", "stageId", "taskId", "entityId", "epicId", "createdBy", "modifiedBy", "status",
  "dateStart", "dateEnd", "storyPoints", "sort", "type", "color", "files", "description", "NAME", "SCRUM_MASTER_ID", "OWNER_ID",
  "TITLE", "RESPONSIBLE_ID", "GROUP_ID", "STATUS", "ID", "params", "start", "filter", "order", "select" }

describe("no method", function()
  local names = {}
  world.new()
  for name in pairs(world.entrance.methods) do
    names[#names + 1] = name
  end
  table.sort(names)

  -- A generator of its own: the same sequence with each Lua.
  local state = 1
  local function random(n)
    state = (state * 16807) % 2147483647
    return state % n + 1
  end

  local function some_table(depth)
    local result = {}
    for _ = 1, random(8) do
      result[FIELDS[random(#FIELDS)]] = STRANGE[random(#STRANGE)]
    end
    for _, name in ipairs { "fields", "filter", "order", "select" } do
      result[name] = depth > 0 and random(3) > 1 and some_table(depth - 1) or result[name]
    end
    return result
  end

  local function consistent()
    for _, task in ipairs(world.state:find("tasks")) do
      assert.is_true(task.entityId == 0 or world.state:entity(task.entityId) ~= nil)
      assert.is_true(task.stageId == 0 or world.state:get("stages", task.stageId).sprintId == task.entityId)
      assert.is_true(task.epicId == 0 or world.state:get("epics", task.epicId) ~= nil)
    end
  end

  it("raises an error or spoils the state, whatever it gets", function()
    for round = 1, 6000 do
      if round % 100 == 0 then
        consistent()
        world.new()
      end
      local name = names[random(#names)]
      local params = some_table(1)
      local status, body = world.call(name, params)
      assert.is_true(status == 200 or status == 400, name)
      assert.is_truthy(json.encode(body))
      assert.is_true((status == 200) == (body.result ~= nil))
    end
  end)
end)

it("a method is there once", function()
  local seen = {}
  for _, rows in ipairs(require "bitrix.portal.methods") do
    for name in pairs(rows) do
      assert.is_nil(seen[name:lower()])
      seen[name:lower()] = true
    end
  end
end)
