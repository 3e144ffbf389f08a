-- The methods tasks.api.scrum.sprint.*: a row each, with its parameters and its rules in the portal's checking order.
-- Knows no HTTP; methods.lua says what a row is.

local fields_of = require "bitrix.portal.fields"
local find = require "bitrix.portal.find"
local list = require "bitrix.portal.list"
local php = require "bitrix.portal.php"

local methods = {}

local ID = { name = "id", type = "int" }
local FIELDS = { name = "fields", type = "array" }

local STATUSES = { active = true, planned = true, completed = true }

-- The kanban of a sprint that becomes active without one.
local STAGES = {
  { name = "New", type = "NEW", sort = 100, color = "00C4FB" },
  { name = "In Progress", type = "WORK", sort = 200, color = "47D1E2" },
  { name = "Done", type = "FINISH", sort = 300, color = "75D900" },
}

local COLUMNS = list.columns({
  id = "number", groupId = "number", entityType = "text", name = "text", goal = "text", sort = "number",
  createdBy = "number", modifiedBy = "number", dateStart = "date", dateEnd = "date", status = "text",
}, { entityType = function() return "sprint" end, goal = function() return "" end })

local function view(sprint)
  return {
    id = sprint.id,
    groupId = sprint.groupId,
    entityType = "sprint",
    name = sprint.name,
    -- Only the web page can set it.
    goal = "",
    sort = sprint.sort,
    createdBy = sprint.createdBy,
    modifiedBy = sprint.modifiedBy,
    dateStart = sprint.dateStart,
    dateEnd = sprint.dateEnd,
    status = sprint.status,
  }
end

local function find_sprint(domain, user, id)
  if id == 0 then
    return nil, "Sprint id not found"
  end
  return find.row(domain, user, "sprints", id, "Sprint not found")
end

-- What a sprint that has become active needs: stages, and its tasks on the first of them.
local function prepare_kanban(domain, sprint)
  if #domain:stages_of(sprint.id) == 0 then
    for _, stage in ipairs(STAGES) do
      domain:put("stages", {
        sprintId = sprint.id, name = stage.name, type = stage.type, sort = stage.sort, color = stage.color,
      })
    end
  end
  for _, task in ipairs(domain:find("tasks", { entityId = sprint.id, stageId = 0 })) do
    domain:move_task(task, sprint)
  end
end

-- Dates and status, as far as they are given or required, or nil and the error.
local function read_plan(domain, fields, required, group_id, own)
  local plan = {}
  for _, name in ipairs { "dateStart", "dateEnd" } do
    if required or fields[name] ~= nil then
      plan[name] = fields_of.date(fields, name)
      if not plan[name] then
        return nil, ("Incorrect %s format"):format(name)
      end
    end
  end
  if required or fields.status ~= nil then
    plan.status = fields.status
    if not STATUSES[plan.status] then
      return nil, "Incorrect sprint status"
    end
  end
  local status = plan.status or own and own.status
  local active = status == "active" and domain:active_sprint(group_id)
  if active and not (own and active.id == own.id) then
    return nil, "Unable to add two active sprint"
  end
  return plan
end

methods["tasks.api.scrum.sprint.add"] = {
  params = { FIELDS },
  run = function(domain, user, params)
    local fields = params.fields
    local group_id = php.to_integer(fields.groupId)
    if group_id == 0 then
      return nil, "Group id not found"
    end
    if not domain:may_access(user, group_id) then
      return nil, "Access denied"
    end
    local created_by, modified_by, failure = fields_of.authors(domain, fields)
    if failure then
      return nil, failure
    end
    local plan
    plan, failure = read_plan(domain, fields, true, group_id)
    if not plan then
      return nil, failure
    end
    local sprint = domain:put("sprints", {
      groupId = group_id,
      name = fields_of.text(fields, "name") or "",
      sort = fields_of.given(fields, "sort") or 0,
      createdBy = created_by or 0,
      modifiedBy = modified_by or 0,
      dateStart = plan.dateStart,
      dateEnd = plan.dateEnd,
      status = plan.status,
    })
    if sprint.status == "active" then
      prepare_kanban(domain, sprint)
    end
    return view(sprint)
  end,
}

methods["tasks.api.scrum.sprint.get"] = {
  params = { ID },
  run = function(domain, user, params)
    local sprint, failure = find_sprint(domain, user, params.id)
    if not sprint then
      return nil, failure
    end
    return view(sprint)
  end,
}

methods["tasks.api.scrum.sprint.update"] = {
  params = { ID, FIELDS },
  run = function(domain, user, params)
    local sprint, failure = find_sprint(domain, user, params.id)
    if not sprint then
      return nil, failure
    end
    local fields = params.fields
    local group_id = fields_of.given(fields, "groupId") or sprint.groupId
    if group_id ~= sprint.groupId and domain:has_items(sprint) then
      return nil, "It is forbidden move a sprint with items"
    end
    local created_by, modified_by
    created_by, modified_by, failure = fields_of.authors(domain, fields)
    if failure then
      return nil, failure
    end
    local changes
    changes, failure = read_plan(domain, fields, false, group_id, sprint)
    if not changes then
      return nil, failure
    end
    changes.groupId = group_id
    changes.name = fields_of.text(fields, "name")
    changes.sort = fields_of.given(fields, "sort")
    changes.createdBy = created_by
    changes.modifiedBy = modified_by or 0
    local changed = domain:change("sprints", sprint, changes)
    if changed.status == "active" and sprint.status ~= "active" then
      prepare_kanban(domain, changed)
    end
    return view(changed)
  end,
}

methods["tasks.api.scrum.sprint.delete"] = {
  params = { ID },
  run = function(domain, user, params)
    local sprint, failure = find.row(domain, user, "sprints", params.id, "Sprint not found")
    if not sprint then
      return nil, failure
    end
    local backlog = domain:backlog_of(sprint.groupId)
    if not backlog and domain:has_items(sprint) then
      return nil, "It is forbidden remove a sprint with items"
    end
    for _, task in ipairs(domain:find("tasks", { entityId = sprint.id })) do
      domain:move_task(task, backlog)
    end
    for _, stage in ipairs(domain:stages_of(sprint.id)) do
      domain:remove("stages", stage.id)
    end
    domain:remove("sprints", sprint.id)
    return {}
  end,
}

methods["tasks.api.scrum.sprint.start"] = {
  params = { ID },
  run = function(domain, user, params)
    if params.id == 0 then
      return nil, "Sprint id not found"
    end
    local sprint = domain:get("sprints", params.id)
    if not sprint then
      return nil, "Sprint not found"
    end
    if sprint.status ~= "planned" then
      return nil, "Sprint must be planned"
    end
    if not domain:may_access(user, sprint.groupId) then
      return nil, "Access denied"
    end
    if domain:active_sprint(sprint.groupId) then
      return nil, "Unable to start sprint"
    end
    local started = domain:change("sprints", sprint, { status = "active" })
    prepare_kanban(domain, started)
    return view(started)
  end,
}

methods["tasks.api.scrum.sprint.complete"] = {
  params = { ID },
  run = function(domain, user, params)
    if params.id == 0 then
      return nil, "Group id not found"
    end
    local sprint = domain:active_sprint(params.id)
    if not sprint then
      return nil, "Sprint not found"
    end
    if not domain:may_access(user, params.id) then
      return nil, "Access denied"
    end
    local completed = domain:change("sprints", sprint, { status = "completed" })
    local backlog = domain:backlog_of(params.id)
    for _, task in ipairs(domain:find("tasks", { entityId = sprint.id })) do
      if backlog and not domain:is_finished(task) then
        domain:move_task(task, backlog)
      end
    end
    return view(completed)
  end,
}

methods["tasks.api.scrum.sprint.list"] = {
  params = list.PARAMS,
  run = function(domain, user, params)
    local page, count = list.page(domain:open("sprints", user), params, COLUMNS, view)
    if not page then
      return nil, "Could not load list"
    end
    return page, count
  end,
}

methods["tasks.api.scrum.sprint.getFields"] = fields_of.description {
  groupId = "integer", name = "string", sort = "integer", createdBy = "integer", modifiedBy = "integer",
  dateStart = "string", dateEnd = "string", status = "string",
}

return methods
