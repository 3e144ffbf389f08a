-- The methods tasks.api.scrum.epic.*: a row each, with its parameters and its rules in the portal's checking order.
-- Knows no HTTP; methods.lua says what a row is.

local fields_of = require "bitrix.portal.fields"
local find = require "bitrix.portal.find"
local list = require "bitrix.portal.list"
local php = require "bitrix.portal.php"

local methods = {}

local ID = { name = "id", type = "int" }
local FIELDS = { name = "fields", type = "array" }

local COLOR = "#69dafc"

local COLUMNS = list.columns {
  id = "number", groupId = "number", name = "text", description = "text", createdBy = "number", modifiedBy = "number",
  color = "text",
}

local function view(epic)
  return {
    id = epic.id,
    groupId = epic.groupId,
    name = epic.name,
    description = epic.description,
    createdBy = epic.createdBy,
    modifiedBy = epic.modifiedBy,
    color = epic.color,
  }
end

-- The portal answers its whole description of the field that holds the files; this is the part that says something.
local function view_with_files(epic)
  local result = view(epic)
  result.files = {
    ENTITY_ID = "TASKS_SCRUM_EPIC",
    FIELD_NAME = "UF_SCRUM_EPIC_FILES",
    USER_TYPE_ID = "disk_file",
    MULTIPLE = "Y",
    VALUE = epic.files,
    ENTITY_VALUE_ID = epic.id,
  }
  return result
end

local function find_epic(domain, user, id)
  return find.row(domain, user, "epics", id, "Epic not found")
end

local function files_of(fields)
  return type(fields.files) == "table" and fields.files or nil
end

methods["tasks.api.scrum.epic.add"] = {
  params = { FIELDS },
  run = function(domain, user, params)
    local fields = params.fields
    local created_by = fields_of.given(fields, "createdBy")
    if created_by and not domain:user_exists(created_by) then
      return nil, "createdBy user not found"
    end
    local group_id = php.to_integer(fields.groupId)
    if group_id == 0 then
      return nil, "Group id not found"
    end
    local name = fields_of.text(fields, "name") or ""
    if name == "" then
      return nil, "Name not found"
    end
    if not domain:may_access(user, group_id) then
      return nil, "Access denied"
    end
    return view(domain:put("epics", {
      groupId = group_id,
      name = name,
      description = fields_of.text(fields, "description") or "",
      color = fields_of.text(fields, "color") or COLOR,
      files = files_of(fields) or {},
      createdBy = created_by or 0,
      modifiedBy = fields_of.given(fields, "modifiedBy") or 0,
    }))
  end,
}

methods["tasks.api.scrum.epic.get"] = {
  params = { ID },
  run = function(domain, user, params)
    local epic, failure = find_epic(domain, user, params.id)
    if not epic then
      return nil, failure
    end
    return view_with_files(epic)
  end,
}

methods["tasks.api.scrum.epic.update"] = {
  params = { ID, FIELDS },
  run = function(domain, user, params)
    local epic, failure = find_epic(domain, user, params.id)
    if not epic then
      return nil, failure
    end
    local fields = params.fields
    local group_id = fields_of.given(fields, "groupId") or epic.groupId
    if group_id ~= epic.groupId and not domain:may_access(user, group_id) then
      return nil, "Access denied"
    end
    local created_by, modified_by
    created_by, modified_by, failure = fields_of.authors(domain, fields)
    if failure then
      return nil, failure
    end
    return view(domain:change("epics", epic, {
      groupId = group_id,
      name = fields_of.text(fields, "name"),
      description = fields_of.text(fields, "description"),
      color = fields_of.text(fields, "color"),
      files = files_of(fields),
      createdBy = created_by,
      modifiedBy = modified_by or 0,
    }))
  end,
}

methods["tasks.api.scrum.epic.delete"] = {
  params = { ID },
  run = function(domain, user, params)
    local epic, failure = find_epic(domain, user, params.id)
    if not epic then
      return nil, failure
    end
    for _, task in ipairs(domain:find("tasks", { epicId = epic.id })) do
      domain:change("tasks", task, { epicId = 0 })
    end
    domain:remove("epics", epic.id)
    return {}
  end,
}

methods["tasks.api.scrum.epic.list"] = {
  params = list.PARAMS,
  run = function(domain, user, params)
    local page, count = list.page(domain:open("epics", user), params, COLUMNS, view)
    if not page then
      return nil, "Could not load list"
    end
    return page, count
  end,
}

methods["tasks.api.scrum.epic.getFields"] = fields_of.description {
  name = "string", description = "string", groupId = "integer", color = "string", files = "array",
  createdBy = "integer", modifiedBy = "integer",
}

return methods
