-- The state of a portal: users, groups and their members, backlogs. Rows are plain tables with an `id`.
-- Knows no methods, no JSON, no HTTP; which rule applies when is scrum.lua's business.

local M = {}

local Domain = {}
Domain.__index = Domain

local KINDS = { "users", "groups", "backlogs" }

local function copy(value)
  if type(value) ~= "table" then
    return value
  end
  local result = {}
  for key, inner in pairs(value) do
    result[key] = copy(inner)
  end
  return result
end

--- Makes a portal's state.
-- @tparam table seed `{ users = { row, ... }, groups = { row, ... }, backlogs = { row, ... } }`, each optional;
--   user: `id`, `admin`; group: `id`, `scrum`, `members` (list of user ids, nil: everybody);
--   backlog: `id`, `groupId`, `createdBy`, `modifiedBy`, `items` (how many tasks are in it)
-- @tparam[opt] function on_change called with `(kind, id, row or nil)` after each change
-- @treturn table the state
function M.new(seed, on_change)
  local self = setmetatable({ rows = {}, last = {} }, Domain)
  for _, kind in ipairs(KINDS) do
    self.rows[kind] = {}
    for _, row in ipairs(seed[kind] or {}) do
      self.rows[kind][row.id] = copy(row)
    end
  end
  self.on_change = on_change
  return self
end

--- The row of a kind with an id, or nil. Not to be changed in place: use `put`.
function Domain:get(kind, id)
  return self.rows[kind][id]
end

--- Stores a row under its `id`; without one it gets the next free id (an id is never given twice).
-- @treturn table the row
function Domain:put(kind, row)
  local rows = self.rows[kind]
  if not row.id then
    local id = self.last[kind] or 0
    repeat
      id = id + 1
    until not rows[id]
    self.last[kind] = id
    row.id = id
  end
  rows[row.id] = row
  if self.on_change then
    self.on_change(kind, row.id, row)
  end
  return row
end

--- Takes a row away.
function Domain:remove(kind, id)
  self.rows[kind][id] = nil
  if self.on_change then
    self.on_change(kind, id, nil)
  end
end

--- Whether there is such a user.
function Domain:user_exists(id)
  return self.rows.users[id] ~= nil
end

--- Whether a user may work in a group. The group must exist; a group with a list of members admits nobody else, not
-- even an administrator.
function Domain:may_access(user_id, group_id)
  local group = self.rows.groups[group_id]
  if not group then
    return false
  end
  if not group.members then
    return true
  end
  for _, member in ipairs(group.members) do
    if member == user_id then
      return true
    end
  end
  return false
end

--- The backlog of a group, or nil.
function Domain:backlog_of(group_id)
  for _, backlog in pairs(self.rows.backlogs) do
    if backlog.groupId == group_id then
      return backlog
    end
  end
  return nil
end

--- A copy of everything: `{ users = { row, ... }, ... }`, each list ordered by id. It can serve as a seed.
function Domain:dump()
  local result = {}
  for _, kind in ipairs(KINDS) do
    local list = {}
    for _, row in pairs(self.rows[kind]) do
      list[#list + 1] = copy(row)
    end
    table.sort(list, function(a, b) return a.id < b.id end)
    result[kind] = list
  end
  return result
end

return M
