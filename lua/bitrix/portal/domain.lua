-- The state of a portal: users, groups and their members, backlogs, epics, sprints, stages, tasks. Rows are plain
-- tables with an `id`. Knows no methods, no JSON, no HTTP; which rule applies when is the methods' business.

local M = {}

local Domain = {}
Domain.__index = Domain

local KINDS = { "users", "groups", "backlogs", "epics", "sprints", "stages", "tasks" }

-- Backlogs and sprints share their ids: a task's `entityId` is one or the other.
local SHARED = { backlogs = "sprints", sprints = "backlogs" }

local COMPLETED = 5

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

local function by_id(a, b)
  return a.id < b.id
end

--- Makes a portal's state.
-- @tparam table seed `{ users = { row, ... }, groups = { row, ... }, ... }`, each optional; seed.lua says which fields
--   the rows of each kind have
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

--- The row of a kind with an id, or nil. Not to be changed in place: use `put` or `change`.
function Domain:get(kind, id)
  return self.rows[kind][id]
end

--- The rows of a kind that pass a test, ordered by id.
-- @tparam string kind
-- @tparam function test called with a row
-- @treturn table a list
function Domain:select(kind, test)
  local list = {}
  for _, row in pairs(self.rows[kind]) do
    if test(row) then
      list[#list + 1] = row
    end
  end
  table.sort(list, by_id)
  return list
end

--- The rows of a kind whose fields have these values, ordered by id.
-- @tparam string kind
-- @tparam[opt] table match field → value; nil: all rows
-- @treturn table a list
function Domain:find(kind, match)
  return self:select(kind, function(row)
    for field, value in pairs(match or {}) do
      if row[field] ~= value then
        return false
      end
    end
    return true
  end)
end

--- The rows of a kind that belong to groups which are open to a user, ordered by id.
-- @treturn table a list
function Domain:find_open(kind, user_id)
  return self:select(kind, function(row) return self:may_access(user_id, row.groupId) end)
end

local function next_id(self, kind)
  local rows, others = self.rows[kind], self.rows[SHARED[kind] or kind]
  local counter = SHARED[kind] and "entities" or kind
  local id = self.last[counter] or 0
  repeat
    id = id + 1
  until not rows[id] and not others[id]
  self.last[counter] = id
  return id
end

--- Stores a row under its `id`; without one it gets the next free id (an id is never given twice).
-- @treturn table the row
function Domain:put(kind, row)
  row.id = row.id or next_id(self, kind)
  self.rows[kind][row.id] = row
  if self.on_change then
    self.on_change(kind, row.id, row)
  end
  return row
end

--- Stores a row with some fields changed.
-- @treturn table the new row
function Domain:change(kind, row, changes)
  local changed = copy(row)
  for field, value in pairs(changes) do
    changed[field] = value
  end
  return self:put(kind, changed)
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

--- Whether a user may see and change a task; one without a group is everybody's.
function Domain:may_access_task(user_id, task)
  return task.groupId == 0 or self:may_access(user_id, task.groupId)
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

--- The active sprint of a group, or nil.
function Domain:active_sprint(group_id)
  for _, sprint in pairs(self.rows.sprints) do
    if sprint.groupId == group_id and sprint.status == "active" then
      return sprint
    end
  end
  return nil
end

--- The backlog or sprint with an id, or nil.
function Domain:entity(id)
  return self.rows.backlogs[id] or self.rows.sprints[id]
end

--- Whether there are tasks in a backlog or a sprint.
function Domain:has_items(entity)
  if (entity.items or 0) > 0 then
    return true
  end
  for _, task in pairs(self.rows.tasks) do
    if task.entityId == entity.id then
      return true
    end
  end
  return false
end

--- Whether somebody has completed a task.
function Domain.is_finished(_, task)
  return task.status == COMPLETED
end

--- The stages of a sprint in the order of its kanban.
function Domain:stages_of(sprint_id)
  local list = self:find("stages", { sprintId = sprint_id })
  table.sort(list, function(a, b)
    if a.sort ~= b.sort then
      return a.sort < b.sort
    end
    return a.id < b.id
  end)
  return list
end

--- The stage that a task gets when it comes into a sprint: the first of type NEW if the sprint is active, or 0.
function Domain:first_stage(sprint)
  if sprint.status == "active" then
    for _, stage in ipairs(self:stages_of(sprint.id)) do
      if stage.type == "NEW" then
        return stage.id
      end
    end
  end
  return 0
end

--- Puts a task into a backlog or a sprint, there on the stage that `first_stage` says.
-- @tparam table task
-- @tparam ?table entity nil: into none
-- @tparam[opt] table changes other fields to be changed with it
-- @treturn table the new row
function Domain:move_task(task, entity, changes)
  local all = { entityId = entity and entity.id or 0, stageId = entity and self:first_stage(entity) or 0 }
  for field, value in pairs(changes or {}) do
    all[field] = value
  end
  return self:change("tasks", task, all)
end

--- A copy of everything: `{ users = { row, ... }, ... }`, each list ordered by id. It can serve as a seed.
function Domain:dump()
  local result = {}
  for _, kind in ipairs(KINDS) do
    result[kind] = copy(self:find(kind))
  end
  return result
end

return M
