-- Rows by the thousand, for whoever lists them: the same numbers always make the same rows.

local check = require "bitrix.portal.check"
local seed_reader = require "bitrix.portal.seed"

local M = {}

local FIELDS = { tasks = "number", epics = "number" }

local MAKE = {
  tasks = function(id, group, user)
    return { id = id, title = ("Task %d"):format(id), groupId = group, responsibleId = user, createdBy = user }
  end,
  epics = function(id, group, user)
    return { id = id, name = ("Epic %d"):format(id), groupId = group, createdBy = user }
  end,
}

-- The first group that is everybody's.
local function open_group(seed)
  for _, group in ipairs(seed.groups or {}) do
    if not group.members then
      return group.id
    end
  end
end

--- Checks the option `rows`. Raises what is wrong with it, without a position.
-- @tparam ?table given kind ("tasks", "epics") → how many
-- @tparam table seed what is there besides
-- @treturn table
function M.read(given, seed)
  given = given or {}
  check.table("rows field", given, FIELDS)
  if next(given) and not open_group(seed) then
    check.fail("option 'rows': a group that is open to everybody is needed")
  end
  return given
end

--- A seed with more rows. They are in the first group that is open to everybody; their ids follow those that are there.
-- @tparam table seed stays as it is
-- @tparam table counts what `read` returned
-- @tparam integer user whose they are
-- @treturn table another seed
function M.grown(seed, counts, user)
  local result = setmetatable({}, { __index = seed })
  for kind, count in pairs(counts) do
    local list, last = {}, 0
    for i, row in ipairs(seed[kind] or {}) do
      list[i] = row
      last = math.max(last, row.id)
    end
    for id = last + 1, last + count do
      list[#list + 1] = seed_reader.row(kind, MAKE[kind](id, open_group(seed), user))
    end
    result[kind] = list
  end
  return result
end

return M
