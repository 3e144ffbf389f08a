-- Creates the backlog of a scrum group, then tries it again and tells the error apart.
--
--   make && eval "$(make -s env)"                                 (in a checkout)
--   lua5.4 examples/backlog_add.lua [groupId [createdBy]]        (125 and 6 if not given)
--
-- With BITRIX24_WEBHOOK_URL in the environment it talks to that portal, otherwise to an emulated one that it
-- starts for itself and stops at its end.
local bitrix = require "bitrix"

local groupId, createdBy = arg[1] or 125, arg[2] or 6

local portal
if not os.getenv("BITRIX24_WEBHOOK_URL") then
  portal = require("bitrix.portal").start()
  bitrix.configure{ webhook = portal.webhook }
  print("No BITRIX24_WEBHOOK_URL: using an emulated portal at " .. portal.url)
end

local function add()
  return pcall(bitrix.scrum.backlog_add, { groupId = groupId, createdBy = createdBy })
end

local function show(backlog)
  for _, field in ipairs{ "id", "groupId", "createdBy", "modifiedBy" } do
    print(("  %-10s = %s"):format(field, tostring(backlog[field])))
  end
end

--- Prints what happened; true when the group has a backlog now.
local function report(ok, outcome, info)
  if ok then
    print(("Created, HTTP %d in %.0f ms:"):format(info.status, info.timings.total * 1000))
    show(outcome)
    return true
  elseif not bitrix.is_error(outcome) then
    error(outcome, 0) -- a mistake in this program
  elseif outcome.reason == "backlog_already_added" then
    print("The group has a backlog already:")
    print("  " .. tostring(outcome))
    show((bitrix.scrum.backlog_get{ groupId = groupId }))
    return true
  elseif outcome.reason == "group_id_not_found" or outcome.reason == "access_denied" then
    print(("Group %s does not exist, or is closed to this webhook's user:"):format(groupId))
    print("  " .. tostring(outcome))
    print("Give another: backlog_add.lua groupId createdBy")
  elseif outcome.executed == "unknown" then
    print("Nobody knows whether the backlog was created; look before you try again:\n  " .. tostring(outcome))
  else
    print("Not created (" .. outcome.kind .. "):\n  " .. tostring(outcome))
  end
  return false
end

print(("Creating the backlog of group %s:"):format(groupId))
local done = report(add())
if done then
  print("Once more, which a portal refuses:")
  done = report(add())
end

if portal then portal:stop() end
os.exit(done and 0 or 1, true)
