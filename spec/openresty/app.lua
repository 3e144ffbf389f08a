-- Handlers for the specs of this directory; this file runs in nginx. `here` is written by the spec.
local M = {}

local here = require "here"

--- A client that the requests of a worker share.
function M.client()
  if not M.shared then
    M.shared = require("bitrix.safe").new { webhook = here.webhook, ca_file = here.ca_file, retry = false, limit = false }
  end
  return M.shared
end

--- The backlog of the group that `?id=` names, by its id: an answer for another request would be another number.
function M.own(id)
  local backlog, problem = M.client().scrum.backlog_get { groupId = id }
  if not backlog then return tostring(problem) end
  return ("%d %d"):format(backlog.groupId, backlog.id)
end

--- As a content handler.
function M.answer()
  ngx.print(M.own(tonumber(ngx.var.arg_id)))
end

--- Whether a call is refused here, and how: its outcome in one line.
function M.try(id)
  local ok, outcome = pcall(M.own, id or 1)
  return tostring(ok) .. " " .. tostring(outcome)
end

return M
