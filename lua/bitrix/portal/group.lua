-- Groups: sonet_group.create and socialnetwork.api.workgroup.list. Knows no HTTP; methods.lua says what a row is.

local fields_of = require "bitrix.portal.fields"
local list = require "bitrix.portal.list"

local methods = {}

local function name_of(group)
  return group.name or "Group " .. ("%d"):format(group.id)
end

local VALUES = {
  name = name_of,
  description = function(group) return group.description or "" end,
  type = function(group) return group.scrum ~= false and "scrum" or "group" end,
  project = function(group) return group.scrum ~= false and "Y" or "N" end,
  active = function() return "Y" end,
  visible = function() return "Y" end,
  opened = function() return "N" end,
  closed = function() return "N" end,
  ownerId = function(group) return group.ownerId or 1 end,
  scrumMasterId = function(group) return group.masterId end,
}

local COLUMNS = list.columns({
  id = "number", name = "text", description = "text", type = "text", project = "text", active = "text",
  visible = "text", opened = "text", closed = "text", ownerId = "number", scrumMasterId = "number",
}, VALUES)

-- Strings, the numbers too.
local function view(group)
  local result = { id = ("%d"):format(group.id) }
  for field, value in pairs(VALUES) do
    value = value(group)
    result[field] = type(value) == "number" and ("%d"):format(value) or value
  end
  return result
end

local function add_once(members, id)
  for _, member in ipairs(members) do
    if member == id then
      return
    end
  end
  members[#members + 1] = id
end

methods["sonet_group.create"] = {
  params = {},
  run = function(domain, user, params)
    local name = fields_of.text(params, "NAME") or ""
    if name == "" then
      return nil, "Incorrect input data", ""
    end
    local owner = domain:get("users", user).admin and fields_of.given(params, "OWNER_ID") or user
    local master = fields_of.given(params, "SCRUM_MASTER_ID")
    if not domain:user_exists(owner) or (master and not domain:user_exists(master)) then
      return nil, "Cannot create group", ""
    end
    local members = { user }
    add_once(members, owner)
    if master then
      add_once(members, master)
    end
    return domain:put("groups", {
      name = name,
      description = fields_of.text(params, "DESCRIPTION"),
      scrum = master ~= nil,
      members = members,
      ownerId = owner,
      masterId = master,
    }).id
  end,
}

methods["socialnetwork.api.workgroup.list"] = {
  params = list.PARAMS,
  run = function(domain, user, params)
    local options = type(params.params) == "table" and params.params or {}
    local all = options.IS_ADMIN == "Y" and domain:get("users", user).admin
    local rows = domain:select("groups", function(group) return all or domain:may_access(user, group.id) end)
    local page, count = list.page(rows, params, COLUMNS, view, { ignore = true, default = { "ID" } })
    return { workgroups = page }, count
  end,
}

return methods
