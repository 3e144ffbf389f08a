-- Reads a state from a table or a JSON file, checks each row and fills in what is missing. What `p:dump()` returns is
-- such a table.

local date = require "bitrix.portal.date"
local files = require "bitrix.portal.file"
local json = require "bitrix.portal.json"

local M = {}

local ID, SORT, TEXT, DATE, LIST, BOOLEAN = "id", "sort", "text", "date", "list", "boolean"

-- kind → field → { type, default }; without a default the field may be missing, and REQUIRED must be there.
local REQUIRED = {}
local ROWS = {
  users = { admin = { BOOLEAN, false } },
  groups = { name = { TEXT }, description = { TEXT }, scrum = { BOOLEAN, true }, members = { LIST }, ownerId = { ID },
    masterId = { ID } },
  backlogs = { groupId = { ID, REQUIRED }, createdBy = { ID, 0 }, modifiedBy = { ID, 0 }, items = { ID, 0 } },
  epics = { groupId = { ID, REQUIRED }, name = { TEXT, REQUIRED }, description = { TEXT, "" },
    color = { TEXT, "#69dafc" }, files = { LIST, {} }, createdBy = { ID, 0 }, modifiedBy = { ID, 0 } },
  sprints = { groupId = { ID, REQUIRED }, name = { TEXT, "" }, sort = { SORT, 0 }, createdBy = { ID, 0 },
    modifiedBy = { ID, 0 }, dateStart = { DATE, REQUIRED }, dateEnd = { DATE, REQUIRED },
    status = { TEXT, "planned" } },
  stages = { sprintId = { ID, REQUIRED }, name = { TEXT, REQUIRED }, type = { TEXT, "WORK" }, sort = { SORT, 100 },
    color = { TEXT, "00C4FB" } },
  tasks = { title = { TEXT, REQUIRED }, description = { TEXT, "" }, groupId = { ID, 0 },
    responsibleId = { ID, REQUIRED }, createdBy = { ID, 0 }, status = { ID, 2 }, entityId = { ID, 0 },
    stageId = { ID, 0 }, epicId = { ID, 0 }, storyPoints = { TEXT, "" }, sort = { SORT, 0 }, itemCreatedBy = { ID, 0 },
    itemModifiedBy = { ID, 0 } },
}

local function fail(text, ...)
  error("bitrix.portal: " .. text:format(...), 0)
end

local function integer(value)
  return type(value) == "number" and value >= 0 and value % 1 == 0 and math.floor(value) or nil
end

local READ = {
  [ID] = integer,
  [SORT] = function(value) return type(value) == "number" and value % 1 == 0 and math.floor(value) or nil end,
  [TEXT] = function(value) return type(value) == "string" and value or nil end,
  [DATE] = function(value)
    local seconds = date.parse(value)
    return seconds and date.format(seconds)
  end,
  [LIST] = function(value) return type(value) == "table" and value or nil end,
  [BOOLEAN] = function(value)
    if type(value) == "boolean" then
      return value
    end
  end,
}

local NAMES = {
  [ID] = "integer from 0", [SORT] = "integer", [TEXT] = "string", [DATE] = "date", [LIST] = "list",
  [BOOLEAN] = "boolean",
}

local function read_row(where, row, fields)
  if type(row) ~= "table" then
    fail("%s: table expected, got %s", where, type(row))
  end
  local result = { id = integer(row.id) }
  if not result.id or result.id == 0 then
    fail("%s: an id is missing", where)
  end
  for name, value in pairs(row) do
    local field = fields[name]
    if not field and name ~= "id" then
      fail("%s: unknown field '%s'", where, tostring(name))
    elseif field then
      result[name] = READ[field[1]](value)
      if result[name] == nil then
        fail("%s.%s: %s expected, got %s", where, name, NAMES[field[1]], tostring(value))
      end
    end
  end
  for name, field in pairs(fields) do
    if result[name] == nil then
      if field[2] == REQUIRED then
        fail("%s: '%s' is missing", where, name)
      end
      result[name] = field[2]
    end
  end
  return result
end

--- One row with everything that it lacks.
-- @tparam string kind
-- @tparam table row
-- @treturn table another row
function M.row(kind, row)
  return read_row(kind, row, ROWS[kind])
end

local function read_file(path)
  local text, problem = files.read(path)
  if not text then
    fail("seed: %s", problem)
  end
  local value, message = json.decode(text)
  if type(value) ~= "table" then
    fail("seed: %s holds no JSON object%s", path, message and ": " .. message or "")
  end
  return value
end

-- Backlogs and sprints share their ids.
local function id_space(kind)
  return (kind == "backlogs" or kind == "sprints") and "entities" or kind
end

--- Reads a seed. Raises what is wrong with it, without a position.
-- @param given a table `{ users = { row, ... }, ... }`, each kind optional, or the path of a JSON file with one
-- @tparam integer user the webhook's user, who is added as an administrator where missing
-- @treturn table the seed for domain.new
function M.read(given, user)
  local seed, taken = {}, {}
  if type(given) == "string" then
    given = read_file(given)
  end
  for kind in pairs(given) do
    if not ROWS[kind] then
      fail("seed: unknown kind '%s'", tostring(kind))
    end
  end
  for kind, fields in pairs(ROWS) do
    local rows = given[kind] or {}
    if type(rows) ~= "table" then
      fail("seed.%s: list expected, got %s", kind, type(rows))
    end
    local space = id_space(kind)
    taken[space] = taken[space] or {}
    seed[kind] = {}
    for i, row in ipairs(rows) do
      local read = read_row(("seed.%s[%d]"):format(kind, i), row, fields)
      if taken[space][read.id] then
        fail("seed.%s[%d]: id %d cannot be had", kind, i, read.id)
      end
      taken[space][read.id] = true
      seed[kind][i] = read
    end
  end
  if not taken.users[user] then
    table.insert(seed.users, { id = user, admin = true })
  end
  return seed
end

return M
