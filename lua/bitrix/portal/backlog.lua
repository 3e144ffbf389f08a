-- The methods tasks.api.scrum.backlog.*: a row each, with its parameters and its rules in the portal's checking order.
-- Knows no HTTP; methods.lua says what a row is.

local fields_of = require "bitrix.portal.fields"
local find = require "bitrix.portal.find"
local php = require "bitrix.portal.php"

local methods = {}

local ID = { name = "id", type = "int" }
local FIELDS = { name = "fields", type = "array" }

local function view(backlog)
  return {
    id = backlog.id,
    groupId = backlog.groupId,
    createdBy = backlog.createdBy,
    modifiedBy = backlog.modifiedBy,
  }
end

-- The backlog that `update` and `delete` speak of, or nil and the error.
local function find_backlog(domain, user, id)
  if id == 0 then
    return nil, "Backlog id not found"
  end
  return find.row(domain, user, "backlogs", id, "Backlog not found")
end

methods["tasks.api.scrum.backlog.add"] = {
  params = { FIELDS },
  run = function(domain, user, params)
    local fields = params.fields
    local group_id = php.to_integer(fields.groupId)
    if group_id == 0 then
      return nil, "Group id not found"
    end
    -- The portal asks only for access: a group that does not exist is "Access denied", too.
    if not domain:may_access(user, group_id) then
      return nil, "Access denied"
    end
    if domain:backlog_of(group_id) then
      return nil, "Backlog already added"
    end
    local created_by, modified_by, failure = fields_of.authors(domain, fields)
    if failure then
      return nil, failure
    end
    return view(domain:put("backlogs", {
      groupId = group_id,
      createdBy = created_by or 0,
      modifiedBy = modified_by or 0,
      items = 0,
    }))
  end,
}

methods["tasks.api.scrum.backlog.get"] = {
  params = { ID },
  run = function(domain, user, params)
    if params.id == 0 then
      return nil, "Group id not found"
    end
    local backlog = domain:backlog_of(params.id)
    if not backlog then
      return nil, "Backlog not found"
    end
    if not domain:may_access(user, backlog.groupId) then
      return nil, "Access denied"
    end
    return view(backlog)
  end,
}

methods["tasks.api.scrum.backlog.update"] = {
  params = { ID, FIELDS },
  run = function(domain, user, params)
    local backlog, failure = find_backlog(domain, user, params.id)
    if not backlog then
      return nil, failure
    end
    local fields = params.fields
    local group_id = fields_of.given(fields, "groupId") or backlog.groupId
    if group_id ~= backlog.groupId then
      if domain:has_items(backlog) then
        return nil, "It is forbidden move a backlog with items"
      end
      if domain:backlog_of(group_id) then
        return nil, "The target group already has a backlog"
      end
    end
    local created_by, modified_by
    created_by, modified_by, failure = fields_of.authors(domain, fields)
    if failure then
      return nil, failure
    end
    return view(domain:change("backlogs", backlog, {
      groupId = group_id,
      createdBy = created_by or backlog.createdBy,
      -- An update that does not say who made it is the update of nobody; the portal keeps no earlier name.
      modifiedBy = modified_by or 0,
    }))
  end,
}

methods["tasks.api.scrum.backlog.delete"] = {
  params = { ID },
  run = function(domain, user, params)
    local backlog, failure = find_backlog(domain, user, params.id)
    if not backlog then
      return nil, failure
    end
    if domain:has_items(backlog) then
      return nil, "It is forbidden remove a backlog with items"
    end
    domain:remove("backlogs", backlog.id)
    return {}
  end,
}

methods["tasks.api.scrum.backlog.getFields"] = fields_of.description {
  groupId = "integer", createdBy = "integer", modifiedBy = "integer",
}

return methods
