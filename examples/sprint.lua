-- From a group to a completed sprint: backlog, epic, sprint, tasks, kanban.
--
--   lua5.4 examples/sprint.lua [scrumMasterId]        (6 if not given)
--
-- With BITRIX24_WEBHOOK_URL in the environment it makes a new group on that portal, otherwise on an emulated one that
-- it starts for itself and stops at its end.
local bitrix = require "bitrix"
local scrum = bitrix.scrum

local master = arg[1] or 6

local portal
if not os.getenv("BITRIX24_WEBHOOK_URL") then
  portal = require("bitrix.portal").start()
  bitrix.configure{ webhook = portal.webhook }
  print("No BITRIX24_WEBHOOK_URL: using an emulated portal at " .. portal.url)
end

local function say(text, ...)
  print(text:format(...))
end

--- A task in the group, in the sprint, under the epic.
local function add_task(title, points, groupId, sprint, epic)
  local made = bitrix.call("tasks.task.add", {
    fields = { TITLE = title, RESPONSIBLE_ID = master, GROUP_ID = groupId },
  })
  scrum.task_update{ id = made.task.id, entityId = sprint.id, epicId = epic.id, storyPoints = points }
  say("  task %s, %q, %d story points", made.task.id, title, points)
  return made.task.id
end

local function stage_of(stages, type)
  for _, stage in ipairs(stages) do
    if stage.type == type then return stage end
  end
  error("the kanban has no stage of type " .. type)
end

local function story()
  -- A group with a scrum master is a scrum.
  local groupId = bitrix.call("sonet_group.create", { NAME = "Rocket", SCRUM_MASTER_ID = master })
  say("Group %d, \"Rocket\"", groupId)

  -- A group has one backlog; this is safe to run again.
  local backlog = scrum.backlog_ensure{ groupId = groupId, createdBy = master }
  say("Backlog %d", backlog.id)

  local epic = scrum.epic_add{ groupId = groupId, name = "Reach orbit", createdBy = master }
  say("Epic %d, %q", epic.id, epic.name)

  local sprint = scrum.sprint_add{
    groupId = groupId, name = "Sprint 1", status = "planned", createdBy = master,
    dateStart = os.time(), dateEnd = os.time() + 14 * 24 * 3600,
  }
  say("Sprint %d, %q, is %s:", sprint.id, sprint.name, sprint.status)
  local engine = add_task("Build the engine", 8, groupId, sprint, epic)
  local tank = add_task("Fill the tank", 3, groupId, sprint, epic)

  sprint = scrum.sprint_start{ id = sprint.id }
  scrum.kanban_add_stage{ sprintId = sprint.id, name = "Review", type = "WORK", sort = 250 }
  local stages, names = scrum.kanban_get_stages{ sprintId = sprint.id }, {}
  for i, stage in ipairs(stages) do names[i] = stage.name end
  say("It is %s now; its kanban: %s", sprint.status, table.concat(names, ", "))

  local done = stage_of(stages, "FINISH")
  scrum.kanban_add_task{ sprintId = sprint.id, taskId = engine, stageId = done.id }
  bitrix.call("tasks.task.complete", { taskId = engine })
  say("Task %s is finished and stands on %q", engine, done.name)

  sprint = scrum.sprint_complete{ groupId = groupId }
  say("The sprint is %s.", sprint.status)
  local left = scrum.task_get{ id = tank }
  say("Task %s, which was not finished, is in %s.", tank,
    left.entityId == backlog.id and "the backlog again" or "entity " .. left.entityId)
end

local ok, problem = pcall(story)
if not ok then
  io.stderr:write(tostring(problem), "\n")
end

if portal then portal:stop() end
os.exit(ok and 0 or 1, true)
