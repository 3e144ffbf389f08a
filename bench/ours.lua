-- Contender: one backlog_add after another with this client, as a user writes it.
-- Usage: lua ours.lua <webhook> <calls> [<ca file>]
local bitrix = require "bitrix"

bitrix.configure { webhook = arg[1], ca_file = arg[3], limit = false }
for _ = 1, tonumber(arg[2]) do
  local backlog = bitrix.scrum.backlog_add { groupId = 125, createdBy = 6 }
  assert(backlog.groupId == 125)
end
