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

-- Where an id is in an ascending list, or would be.
local function position_of(ids, id)
  local low, high = 1, #ids + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if ids[middle] < id then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

--- Makes a portal's state.
-- @tparam table seed `{ users = { row, ... }, groups = { row, ... }, ... }`, each optional; seed.lua says which fields
--   the rows of each kind have
-- @tparam[opt] function on_change called with `(kind, id, row or nil)` after each change
-- @treturn table the state
function M.new(seed, on_change)
  local self = setmetatable({ rows = {}, ids = {}, last = {}, version = 0, kept = {} }, Domain)
  for _, kind in ipairs(KINDS) do
    local rows, ids = {}, {}
    for i, row in ipairs(seed[kind] or {}) do
      rows[row.id] = copy(row)
      ids[i] = row.id
    end
    table.sort(ids)
    self.rows[kind], self.ids[kind] = rows, ids
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
  for row in self:source(kind, test):from(0) do
    list[#list + 1] = row
  end
  return list
end

--- The same without making the list: who reads a page of many rows need not look at all of them.
-- @tparam string kind
-- @tparam function test called with a row
-- @tparam[opt] string name of the test: then `all` is quick until the state changes
-- @treturn table `from(self, id)`: an iterator over the rows from this id on, ordered by id; `all(self)`: the list, not
--   to be changed
function Domain:source(kind, test, name)
  local rows, ids = self.rows[kind], self.ids[kind]
  return {
    all = function()
      local key = name and kind .. " " .. name
      local kept = key and self.kept[key]
      if not kept or kept.version ~= self.version then
        kept = { version = self.version, list = self:select(kind, test) }
        if key then
          self.kept[key] = kept
        end
      end
      return kept.list
    end,
    from = function(_, id)
      local i = position_of(ids, id) - 1
      return function()
        local row
        repeat
          i = i + 1
          row = rows[ids[i]]
        until not row or test(row)
        return row
      end
    end,
  }
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

--- The rows of a kind that belong to groups which are open to a user.
-- @treturn table as `source` returns it
function Domain:open(kind, user_id)
  return self:source(kind, function(row) return self:may_access(user_id, row.groupId) end, ("%d"):format(user_id))
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
  if not self.rows[kind][row.id] then
    local ids = self.ids[kind]
    table.insert(ids, position_of(ids, row.id), row.id)
  end
  self.rows[kind][row.id] = row
  self.version = self.version + 1
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
  if self.rows[kind][id] then
    local ids = self.ids[kind]
    table.remove(ids, position_of(ids, id))
  end
  self.rows[kind][id] = nil
  self.version = self.version + 1
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

--- The tasks that a user may see.
-- @treturn table as `source` returns it
function Domain:open_tasks(user_id)
  return self:source("tasks", function(task) return self:may_access_task(user_id, task) end, ("%d"):format(user_id))
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
