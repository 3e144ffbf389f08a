-- The methods tasks.api.scrum.task.*, which see a task's place in scrum (tasks themselves: tasks.lua): a row each, with
-- its parameters and its rules in the portal's checking order. Knows no HTTP; methods.lua says what a row is.

local fields_of = require "bitrix.portal.fields"

local methods = {}

local ID = { name = "id", type = "int" }
local FIELDS = { name = "fields", type = "array" }

-- The backlog or sprint that a task is to be in, or nil.
local function find_entity(domain, task, given)
  local id = given or task.entityId
  local entity = domain:entity(id) or (not given and domain:backlog_of(task.groupId)) or nil
  return entity and entity.groupId == task.groupId and entity or nil
end

methods["tasks.api.scrum.task.get"] = {
  params = { ID },
  run = function(domain, user, params)
    if params.id == 0 then
      return nil, "Task id not found"
    end
    local task = domain:get("tasks", params.id)
    if not task or not domain:entity(task.entityId) then
      return nil, "Task not found"
    end
    if not domain:may_access_task(user, task) then
      return nil, "Access denied"
    end
    return {
      entityId = task.entityId,
      storyPoints = task.storyPoints,
      epicId = task.epicId,
      sort = task.sort,
      createdBy = task.itemCreatedBy,
      modifiedBy = task.itemModifiedBy,
    }
  end,
}

methods["tasks.api.scrum.task.update"] = {
  params = { ID, FIELDS },
  run = function(domain, user, params)
    if params.id == 0 then
      return nil, "Task id not found"
    end
    -- The portal asks for access to the task, which nobody has to a task that does not exist.
    local task = domain:get("tasks", params.id)
    if not task or not domain:may_access_task(user, task) then
      return nil, "Access denied"
    end
    local fields = params.fields
    local entity = find_entity(domain, task, fields_of.given(fields, "entityId"))
    if not entity then
      return nil, "Entity id not found"
    end
    local epic_id = fields_of.given(fields, "epicId")
    local epic = epic_id and domain:get("epics", epic_id)
    if epic_id and epic_id ~= 0 and not (epic and epic.groupId == task.groupId) then
      return nil, "Epic not found"
    end
    local created_by, modified_by, failure = fields_of.authors(domain, fields)
    if failure then
      return nil, failure
    end
    local changes = {
      storyPoints = fields_of.text(fields, "storyPoints"),
      epicId = epic_id,
      sort = fields_of.given(fields, "sort"),
      itemCreatedBy = created_by,
      itemModifiedBy = modified_by or 0,
    }
    if entity.id == task.entityId then
      domain:change("tasks", task, changes)
    else
      domain:move_task(task, entity, changes)
    end
    return true
  end,
}

methods["tasks.api.scrum.task.getFields"] = fields_of.description {
  entityId = "integer", storyPoints = "string", epicId = "integer", sort = "integer", createdBy = "integer",
  modifiedBy = "integer",
}

return methods
