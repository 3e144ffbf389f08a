-- Tasks themselves: tasks.task.*, as much as it takes to have some (their place in scrum: task.lua).
-- Knows no HTTP; methods.lua says what a row is.

local fields_of = require "bitrix.portal.fields"
local list = require "bitrix.portal.list"

local methods = {}

local TASK_ID = { name = "taskId", type = "int" }
local FIELDS = { name = "fields", type = "array" }

local PENDING, COMPLETED = 2, 5
local STATUSES = { [2] = true, [3] = true, [4] = true, [5] = true, [6] = true }

local COLUMNS = list.columns {
  id = "number", title = "text", description = "text", groupId = "number", responsibleId = "number",
  createdBy = "number", status = "number",
}

-- Strings, the numbers too.
local function view(task)
  return {
    id = ("%d"):format(task.id),
    title = task.title,
    description = task.description,
    groupId = ("%d"):format(task.groupId),
    responsibleId = ("%d"):format(task.responsibleId),
    createdBy = ("%d"):format(task.createdBy),
    status = ("%d"):format(task.status),
  }
end

local function find_task(domain, user, id)
  local task = domain:get("tasks", id)
  if not task or not domain:may_access_task(user, task) then
    return nil, "Task not found or not accessible"
  end
  return task
end

-- What is given of the fields that both `add` and `update` take, or nil and the error.
local function read(domain, user, fields)
  local result = {
    title = fields_of.text(fields, "TITLE"),
    description = fields_of.text(fields, "DESCRIPTION"),
    responsibleId = fields_of.given(fields, "RESPONSIBLE_ID"),
    groupId = fields_of.given(fields, "GROUP_ID"),
    status = fields_of.given(fields, "STATUS"),
  }
  if result.title == "" then
    return nil, "Task name is not specified."
  elseif result.responsibleId and not domain:user_exists(result.responsibleId) then
    return nil, "Responsible person is not found."
  elseif result.groupId and result.groupId ~= 0 and not domain:may_access(user, result.groupId) then
    return nil, "Access denied"
  end
  result.status = STATUSES[result.status] and result.status or nil
  return result
end

methods["tasks.task.add"] = {
  params = { FIELDS },
  run = function(domain, user, params)
    local task, failure = read(domain, user, params.fields)
    if not task then
      return nil, failure
    elseif not task.title then
      return nil, "Task name is not specified."
    elseif not task.responsibleId then
      return nil, "Responsible person is not specified."
    end
    task.groupId = task.groupId or 0
    local backlog = domain:backlog_of(task.groupId)
    task.description = task.description or ""
    task.status = task.status or PENDING
    task.createdBy = user
    task.entityId = backlog and backlog.id or 0
    task.stageId, task.epicId, task.storyPoints, task.sort = 0, 0, "", 0
    task.itemCreatedBy, task.itemModifiedBy = user, 0
    return { task = view(domain:put("tasks", task)) }
  end,
}

methods["tasks.task.get"] = {
  params = { TASK_ID },
  run = function(domain, user, params)
    local task, failure = find_task(domain, user, params.taskId)
    if not task then
      return nil, failure
    end
    return { task = view(task) }
  end,
}

methods["tasks.task.update"] = {
  params = { TASK_ID, FIELDS },
  run = function(domain, user, params)
    local task, failure = find_task(domain, user, params.taskId)
    if not task then
      return nil, failure
    end
    local changes
    changes, failure = read(domain, user, params.fields)
    if not changes then
      return nil, failure
    end
    if changes.groupId and changes.groupId ~= task.groupId then
      -- Its place in scrum stays behind.
      changes.epicId = 0
      return { task = view(domain:move_task(task, domain:backlog_of(changes.groupId), changes)) }
    end
    return { task = view(domain:change("tasks", task, changes)) }
  end,
}

methods["tasks.task.complete"] = {
  params = { TASK_ID },
  run = function(domain, user, params)
    local task, failure = find_task(domain, user, params.taskId)
    if not task then
      return nil, failure
    end
    return { task = view(domain:change("tasks", task, { status = COMPLETED })) }
  end,
}

methods["tasks.task.delete"] = {
  params = { TASK_ID },
  run = function(domain, user, params)
    local task, failure = find_task(domain, user, params.taskId)
    if not task then
      return nil, failure
    end
    domain:remove("tasks", task.id)
    return { task = true }
  end,
}

methods["tasks.task.list"] = {
  params = list.PARAMS,
  run = function(domain, user, params)
    local page, count = list.page(domain:open_tasks(user), params, COLUMNS, view, { ignore = true })
    return { tasks = page }, count
  end,
}

return methods
