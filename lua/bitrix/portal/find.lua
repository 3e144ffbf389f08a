-- Finds the row that a method speaks of: there is one, and its group is open to the user. The texts of the refusals are
-- the method's, as is what else it checks in between.

local M = {}

--- A row of a kind whose rows belong to groups.
-- @tparam table domain
-- @tparam integer user
-- @tparam string kind
-- @tparam integer id
-- @tparam string missing the error when there is no such row
-- @treturn ?table the row, nil when it cannot be had
-- @treturn ?string then the error
function M.row(domain, user, kind, id, missing)
  local row = domain:get(kind, id)
  if not row then
    return nil, missing
  end
  if not domain:may_access(user, row.groupId) then
    return nil, "Access denied"
  end
  return row
end

return M
