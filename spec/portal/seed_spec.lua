-- bitrix/portal/seed.lua: a state from a table or a file.

local domain = require "bitrix.portal.domain"
local seed = require "bitrix.portal.seed"
local world = require "portal.world"

local function refuses(given, text)
  local ok, problem = pcall(seed.read, given, 1)
  assert.is_false(ok)
  assert.equal("bitrix.portal: " .. text, problem)
end

local function file_with(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

describe("a seed", function()
  it("can be what was dumped", function()
    world.new()
    local dump = world.state:dump()
    local again = seed.read(dump, 1)
    for _, user in ipairs(dump.users) do
      user.admin = false
    end
    for _, group in ipairs(dump.groups) do
      group.scrum = true
    end
    assert.same(dump, domain.new(again):dump())
  end)
  it("has defaults for almost everything", function()
    local read = seed.read({
      groups = { { id = 5 } }, tasks = { { id = 1, title = "T", responsibleId = 6 } },
      sprints = { { id = 2, groupId = 5, dateStart = "2024-04-03T12:50:17+02:00", dateEnd = 1712137817 } },
    }, 1)
    assert.same({ id = 5, scrum = true }, read.groups[1])
    assert.same({ 2, 0, "" }, { read.tasks[1].status, read.tasks[1].entityId, read.tasks[1].storyPoints })
    assert.same({ "planned", "2024-04-03T10:50:17+00:00", "2024-04-03T09:50:17+00:00" },
      { read.sprints[1].status, read.sprints[1].dateStart, read.sprints[1].dateEnd })
    assert.same({ { id = 1, admin = true } }, read.users)
  end)
  it("is read from a file", function()
    local path = file_with '{"users":[{"id":1}],"groups":[{"id":5,"members":[1]}]}'
    assert.same({ id = 5, scrum = true, members = { 1 } }, seed.read(path, 1).groups[1])
    os.remove(path)
    local ok, problem = pcall(seed.read, path, 1)
    assert.is_false(ok)
    assert.matches("seed: .*No such file", problem)
    path = file_with "[1,2"
    ok, problem = pcall(seed.read, path, 1)
    os.remove(path)
    assert.is_false(ok)
    assert.matches("holds no JSON object", problem)
  end)
  it("names what is wrong with it", function()
    refuses({ group = {} }, "seed: unknown kind 'group'")
    refuses({ groups = 5 }, "seed.groups: list expected, got number")
    refuses({ groups = { 5 } }, "seed.groups[1]: table expected, got number")
    refuses({ groups = { {} } }, "seed.groups[1]: an id is missing")
    refuses({ groups = { { id = 1, title = "x" } } }, "seed.groups[1]: unknown field 'title'")
    refuses({ backlogs = { { id = 1 } } }, "seed.backlogs[1]: 'groupId' is missing")
    refuses({ backlogs = { { id = 1, groupId = "x" } } }, "seed.backlogs[1].groupId: integer from 0 expected, got x")
    refuses({ groups = { { id = 1 }, { id = 1 } } }, "seed.groups[2]: id 1 cannot be had")
  end)
  it("gives backlogs and sprints no common id", function()
    local ok, problem = pcall(seed.read, { backlogs = { { id = 1, groupId = 5 } },
      sprints = { { id = 1, groupId = 5, dateStart = 0, dateEnd = 1 } } }, 1)
    assert.is_false(ok)
    assert.matches("id 1 cannot be had", problem)
  end)
end)
