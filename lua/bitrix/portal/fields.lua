-- What several methods read from their `fields`, as the portal reads it: numbers, texts, users, dates.
-- Knows no method.

local date = require "bitrix.portal.date"
local php = require "bitrix.portal.php"

local M = {}

--- A number, if the field is numeric; anything else counts as not given.
-- @treturn ?integer
function M.given(fields, name)
  if php.is_numeric(fields[name]) then
    return php.to_integer(fields[name])
  end
  return nil
end

--- A text, if the field is a string; anything else counts as not given.
-- @treturn ?string
function M.text(fields, name)
  return type(fields[name]) == "string" and fields[name] or nil
end

--- The users `createdBy` and `modifiedBy`.
-- @treturn ?integer createdBy, nil when not given
-- @treturn ?integer modifiedBy
-- @treturn ?string the error when one of them does not exist
function M.authors(domain, fields)
  local created_by, modified_by = M.given(fields, "createdBy"), M.given(fields, "modifiedBy")
  if created_by and not domain:user_exists(created_by) then
    return nil, nil, "createdBy user not found"
  end
  if modified_by and not domain:user_exists(modified_by) then
    return nil, nil, "modifiedBy user not found"
  end
  return created_by, modified_by
end

--- A date as it is stored and answered.
-- @treturn ?string ISO 8601 in UTC, nil when the field is no date
function M.date(fields, name)
  local seconds = date.parse(fields[name])
  return seconds and date.format(seconds)
end

--- The row of a method that describes fields.
-- @tparam table types name → type
function M.description(types)
  return {
    params = {},
    run = function()
      local result = {}
      for name, kind in pairs(types) do
        result[name] = { type = kind }
      end
      return { fields = result }
    end,
  }
end

return M
