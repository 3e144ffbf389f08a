-- The methods tasks.api.scrum.kanban.*: a row each, with its parameters and its rules in the portal's checking order.
-- Knows no HTTP; methods.lua says what a row is.

local fields_of = require "bitrix.portal.fields"
local find = require "bitrix.portal.find"
local php = require "bitrix.portal.php"

local methods = {}

local SPRINT_ID = { name = "sprintId", type = "int" }
local TASK_ID = { name = "taskId", type = "int" }
local STAGE_ID = { name = "stageId", type = "int" }
local FIELDS = { name = "fields", type = "array" }

local TYPES = { NEW = true, WORK = true, FINISH = true }
local WRONG_TASK = "Task not found. The task must be with GROUP_ID"

local function type_of(fields)
  return TYPES[fields.type] and fields.type or nil
end

-- The sprint, or nil and the error; that its id is not 0 has been checked.
local function find_sprint(domain, user, id)
  return find.row(domain, user, "sprints", id, "Sprint not found")
end

-- The stage and its sprint, or two nils and the error.
local function find_stage(domain, user, id)
  if id == 0 then
    return nil, nil, "Stage id not found"
  end
  local stage = domain:get("stages", id)
  if not stage then
    return nil, nil, "Stage not found"
  end
  local sprint = domain:get("sprints", stage.sprintId)
  if not sprint or not domain:may_access(user, sprint.groupId) then
    return nil, nil, "Access denied"
  end
  return stage, sprint
end

-- The task, if it is of the sprint's group.
local function find_task(domain, sprint, id)
  local task = domain:get("tasks", id)
  return task and task.groupId == sprint.groupId and task or nil
end

methods["tasks.api.scrum.kanban.addStage"] = {
  params = { FIELDS },
  run = function(domain, user, params)
    local fields = params.fields
    local sprint_id = php.to_integer(fields.sprintId)
    if sprint_id == 0 then
      return nil, "Sprint id not found"
    end
    local sprint, failure = find_sprint(domain, user, sprint_id)
    if not sprint then
      return nil, failure
    end
    local name = fields_of.text(fields, "name") or ""
    if name == "" then
      return nil, "Incorrect name format"
    end
    return domain:put("stages", {
      sprintId = sprint_id,
      name = name,
      type = type_of(fields) or "WORK",
      sort = fields_of.given(fields, "sort") or 100,
      color = fields_of.text(fields, "color") or "00C4FB",
    }).id
  end,
}

methods["tasks.api.scrum.kanban.getStages"] = {
  params = { SPRINT_ID },
  run = function(domain, user, params)
    if params.sprintId == 0 then
      return nil, "Sprint id not found"
    end
    local sprint, failure = find_sprint(domain, user, params.sprintId)
    if not sprint then
      return nil, failure
    end
    local result = {}
    for i, stage in ipairs(domain:stages_of(sprint.id)) do
      -- Strings, the numbers too.
      result[i] = {
        id = ("%d"):format(stage.id),
        name = stage.name,
        sort = ("%d"):format(stage.sort),
        type = stage.type,
        sprintId = ("%d"):format(stage.sprintId),
        color = stage.color,
      }
    end
    return result
  end,
}

methods["tasks.api.scrum.kanban.updateStage"] = {
  params = { STAGE_ID, FIELDS },
  run = function(domain, user, params)
    local stage, sprint, failure = find_stage(domain, user, params.stageId)
    if not stage then
      return nil, failure
    end
    local fields = params.fields
    if fields.sprintId ~= nil then
      local target = domain:get("sprints", fields_of.given(fields, "sprintId") or 0)
      if not target or target.groupId ~= sprint.groupId then
        return nil, "Incorrect sprintId value"
      end
      sprint = target
    end
    if sprint.id ~= stage.sprintId then
      for _, task in ipairs(domain:find("tasks", { stageId = stage.id })) do
        domain:change("tasks", task, { stageId = 0 })
      end
    end
    local name = fields_of.text(fields, "name")
    domain:change("stages", stage, {
      sprintId = sprint.id,
      name = name ~= "" and name or nil,
      type = type_of(fields),
      sort = fields_of.given(fields, "sort"),
      color = fields_of.text(fields, "color"),
    })
    return true
  end,
}

methods["tasks.api.scrum.kanban.deleteStage"] = {
  params = { STAGE_ID },
  run = function(domain, user, params)
    local stage, _, failure = find_stage(domain, user, params.stageId)
    if not stage then
      return nil, failure
    end
    if #domain:find("tasks", { stageId = stage.id }) > 0 then
      return nil, "Stage has tasks"
    end
    domain:remove("stages", stage.id)
    return true
  end,
}

methods["tasks.api.scrum.kanban.addTask"] = {
  params = { SPRINT_ID, TASK_ID, STAGE_ID },
  run = function(domain, user, params)
    if params.sprintId == 0 then
      return nil, "Sprint id not found"
    elseif params.taskId == 0 then
      return nil, "Task id not found"
    elseif params.stageId == 0 then
      return nil, "Stage id not found"
    end
    local sprint, failure = find_sprint(domain, user, params.sprintId)
    if not sprint then
      return nil, failure
    end
    local stage = domain:get("stages", params.stageId)
    if not stage or stage.sprintId ~= sprint.id then
      return nil, "Stage not found"
    end
    local task = find_task(domain, sprint, params.taskId)
    if not task then
      return nil, WRONG_TASK
    end
    -- A task can only stand on the kanban of the sprint that it is in.
    domain:change("tasks", task, { entityId = sprint.id, stageId = stage.id })
    return true
  end,
}

methods["tasks.api.scrum.kanban.deleteTask"] = {
  params = { SPRINT_ID, TASK_ID },
  run = function(domain, user, params)
    if params.sprintId == 0 then
      return nil, "Sprint id not found"
    elseif params.taskId == 0 then
      return nil, "Task id not found"
    end
    local sprint, failure = find_sprint(domain, user, params.sprintId)
    if not sprint then
      return nil, failure
    end
    local task = find_task(domain, sprint, params.taskId)
    if not task then
      return nil, WRONG_TASK
    end
    if task.entityId == sprint.id then
      domain:change("tasks", task, { stageId = 0 })
    end
    return true
  end,
}

methods["tasks.api.scrum.kanban.getFields"] = fields_of.description {
  name = "string", sort = "integer", type = "string", sprintId = "integer", color = "string",
}

return methods
