-- Users, and what an application asks about the portal itself. Knows no HTTP; methods.lua says what a row is.

local date = require "bitrix.portal.date"
local list = require "bitrix.portal.list"

local methods = {}

local COLUMNS = list.columns({ id = "number", name = "text", lastName = "text", active = "text" }, {
  name = function() return "User" end,
  lastName = function(user) return ("%d"):format(user.id) end,
  active = function() return "Y" end,
})

local function view(user)
  local id = ("%d"):format(user.id)
  return { ID = id, ACTIVE = true, NAME = "User", LAST_NAME = id }
end

methods["profile"] = {
  params = {},
  run = function(domain, user)
    local id = ("%d"):format(user)
    return { ID = id, ADMIN = domain:get("users", user).admin or false, NAME = "User", LAST_NAME = id }
  end,
}

methods["user.current"] = {
  params = {},
  run = function(domain, user)
    return view(domain:get("users", user))
  end,
}

methods["user.admin"] = {
  params = {},
  run = function(domain, user)
    return domain:get("users", user).admin or false
  end,
}

methods["user.get"] = {
  params = {},
  run = function(domain, _, params)
    -- The one method here whose filter can also stand beside the parameters: { ID = 6 }. Its order is a direction.
    local filter = type(params.filter or params.FILTER) == "table" and (params.filter or params.FILTER) or {}
    if params.ID ~= nil then
      filter = { ID = params.ID }
    end
    return list.page(domain:find("users"), {
      filter = filter, start = params.start, order = { ID = params.order == "DESC" and "DESC" or "ASC" },
    }, COLUMNS, view, { ignore = true })
  end,
}

methods["server.time"] = {
  params = {},
  run = function(_, _, _, now)
    return date.format(now)
  end,
}

methods["scope"] = {
  params = {},
  run = function()
    return { "task", "tasks", "sonet_group", "socialnetwork", "user" }
  end,
}

return methods
