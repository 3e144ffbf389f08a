--- The Bitrix24 client for Lua: the face that raises error objects.
-- `require "bitrix.safe"` has the same functions, which return nil and the error object instead.
--
--    local bitrix = require "bitrix"     -- the webhook comes from BITRIX24_WEBHOOK_URL
--    local backlog = bitrix.scrum.backlog_add{ groupId = 125, createdBy = 6 }
--
-- @module bitrix
local client = require "bitrix.client"

local bitrix = client.face(function(result, more)
  if result == nil then error(more, 0) end
  return result, more
end)

--- Makes a client. It keeps its connection to the portal until it is closed or collected.
-- @function new
-- @tparam[opt] table options unknown names and wrong types raise an error that names them:
--
-- - `webhook` (string) the inbound webhook's address, https://portal/rest/1/code/; default: the environment's
--   BITRIX24_WEBHOOK_URL
-- - `timeout` (seconds, 70) for one attempt, from its start to the end of the answer
-- - `connect_timeout` (seconds, 5) until the connection is established, TLS included
-- - `deadline` (seconds, 180) for a whole call with all that it waits for
-- - `max_response` (bytes, 64 MiB) a larger answer is an error `too_large`
-- - `ca_file` (path of PEM certificates; libcurl's own)
-- - `verify` (boolean, true) false accepts any certificate: for experiments only
-- - `proxy` (string, or false for none; default: http_proxy, https_proxy and no_proxy of the environment)
-- - `user_agent` (string, "bitrix-lua/VERSION")
-- - `headers` (table name → value) sent with each request
-- - `insecure_http` (boolean, false) true permits plain HTTP to other machines; this one's loopback may always
-- - `retry` (table { attempts = 5, base = 0.5, cap = 30 }: how often at most, and the seconds of backoff; or false: a
--   call is never repeated)
-- - `limit` (table { burst = 50, rate = 2 }; "standard", "enterprise": 250 and 5; or false: no waiting. See
--   doc/limits.md)
-- - `on_event` (function(event)) told of each attempt, retry and call: `type` ("attempt", "retry", "call"), `method`,
--   `request_id`, `status`, `kind`, `reason`, `executed`, `attempt` or `attempts`, `seconds`, `waited`, `wait`; it must
--   not wait
-- - `max_connections` (integer, 256) of this client at once, where calls go side by side
-- - `oauth` (table) instead of `webhook`: `client_id`, `client_secret`, `domain` or `endpoint`, `access_token`,
--   `refresh_token`, `member_id`, `store`, `key`, `token_url`, `on_refresh`, `refresh`; see doc/oauth.md
-- - `allow_hosts` (list of host names, "*.acme.com" for those under one; or function(host, from) → true) where the
--   portal may move to; default: *.bitrix24.* to *.bitrix24.*, other portals on their own host
-- - `on_move` (function(place, from)) told where the portal has moved to, "https://new.bitrix24.com"
-- - `store` (a store, see `bitrix.store.memory`) remembers where the portal has moved to; and tokens, unless
--   `oauth.store` does
-- @treturn table the client: `client.scrum.…`, `client:call`, `batch`, `list`, `bulk`, `map`, `stats`, `fd`, `pump`,
-- `close`
-- @raise a string that names the option

--- Makes the default client, which `bitrix.scrum.…` and `bitrix.call` use, anew with these options.
-- Options that are not given have their defaults again. Both faces share the default client.
-- @function configure
-- @tparam[opt] table options as for `new`
-- @raise a string that names the option

--- Calls any method of the portal by its name over the default client.
-- @function call
-- @tparam string method as in the reference, "user.current"
-- @tparam[opt] table params as in the reference; nested tables, `bitrix.null` for null
-- @tparam[opt] table options `idempotent`, `idempotency_key`, `deadline`: as for `client:call`
-- @return the answer's `result`: integers as integers, null in a list and a result that is null or missing as
-- `bitrix.null`, null in an object as an absent field
-- @treturn table info: `status` (integer), `time` (the portal's own table), `total`, `next` (lists),
-- `attempts` (list of { status, code, seconds, waited }), `settled` (true: the
-- answer was lost, and the outcome was read back), `timings` (seconds from the start of the attempt until
-- `dns`, `connect`, `tls`, `first_byte`, `total`; the first three are 0 on a kept connection)
-- @raise an error object, see `is_error`; a string when an argument is wrong

--- Whether a value is an error object of this module.
-- Its fields: `kind` ("api", "auth", "limit", "network", "timeout", "protocol"), `reason`, `code`, `message`, `status`,
-- `method`, `executed` ("no", "yes", "unknown"), `attempts`, `validation`, `body`; see README, "Errors".
-- @function is_error
-- @param value anything
-- @tparam[opt] string what a kind or a reason that it must have
-- @treturn boolean

--- A copy of a text or table in which credentials are masked, for logs.
-- Knows webhook addresses, `auth`, `access_token`, `client_secret` and their like in queries, forms, JSON and as keys.
-- @function redact
-- @param value a string or a table; other values come back as they are
-- @return the copy

--- Runs functions side by side, waits until all have ended, and returns the first result of each in their order.
-- Inside, calls are made as ever; each lets the others go on while it waits. Under nginx they are light threads.
-- @function parallel
-- @tparam function ... any number of them
-- @return one value for each function
-- @raise what the first of them (in their order) raised, after all have ended

--- The same, with all outcomes.
-- @function parallel_settled
-- @tparam function ... any number of them
-- @treturn table in the order of the functions: `{ ok = true, n = count, ... }` with what it returned, or
-- `{ ok = false, error = e }`

--- Runs a function for each item of a list, some at once.
-- @function map
-- @tparam table items a list
-- @tparam function f f(item, index)
-- @tparam[opt] table options `concurrency` (integer, 10)
-- @treturn table the first result of each, in the order of the items; `bitrix.null` where it was nil
-- @raise as `parallel`

--- Starts a function that another event loop drives by `client:fd` and `client:pump`. It begins at the next `pump`.
-- @function spawn
-- @tparam function f
-- @treturn table the task: `done` (boolean), and then as an outcome of `parallel_settled`

--- What the default client has done so far. See `client:stats`.
-- @function stats
-- @treturn table

--- Tokens from an authorization code, and the address to send a user to: see `bitrix.oauth`.
-- @field oauth

--- What a portal tells an application: see `bitrix.event`.
-- @field event

--- The null of JSON, the same value as `cjson.null`.
-- @field null

--- Makes sure that a group has a backlog: adds it, or reads the one that is there.
-- Safe to run twice, from two places at once, and after a timeout: when the answer to its add is lost, it reads back,
-- and a backlog with this `createdBy` then counts as created. All within one deadline.
-- Reference: tasks.api.scrum.backlog.add, tasks.api.scrum.backlog.get
-- @function scrum.backlog_ensure
-- @tparam table params as for `scrum.backlog_add`
-- @treturn table the backlog
-- @treturn boolean whether it was created
-- @treturn table info, as for `call`; its `attempts` are those of all calls that were made
-- @raise as for `scrum.backlog_add` and `scrum.backlog_get`, but for what these settle

-- begin: written by tools/catalog_docs.lua
--- Creates the backlog of a scrum group.
-- Reference: tasks.api.scrum.backlog.add
-- @function scrum.backlog_add
-- @tparam table params
-- @tparam integer params.groupId or a string of digits
-- @tparam integer params.createdBy or a string of digits
-- @tparam[opt] integer params.modifiedBy or a string of digits
-- @treturn table the backlog
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: group_id_not_found, access_denied,
--   backlog_already_added, created_by_not_found, modified_by_not_found, unable_to_add_backlog

--- Reads the backlog of a group.
-- Reference: tasks.api.scrum.backlog.get
-- @function scrum.backlog_get
-- @tparam table params
-- @tparam integer params.groupId or a string of digits
-- @treturn table the backlog
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: group_id_not_found, backlog_not_found, access_denied

--- Changes a backlog.
-- Reference: tasks.api.scrum.backlog.update
-- @function scrum.backlog_update
-- @tparam table params
-- @tparam integer params.id or a string of digits
-- @tparam[opt] integer params.groupId or a string of digits
-- @tparam[opt] integer params.createdBy or a string of digits
-- @tparam[opt] integer params.modifiedBy or a string of digits
-- @treturn table the backlog
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: backlog_id_not_found, backlog_not_found,
--   access_denied, backlog_move_forbidden, target_group_has_backlog, created_by_not_found, modified_by_not_found,
--   unable_to_update_backlog

--- Deletes a backlog without items.
-- Reference: tasks.api.scrum.backlog.delete
-- @function scrum.backlog_delete
-- @tparam table params
-- @tparam integer params.id or a string of digits
-- @treturn table `{}`
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: backlog_id_not_found, backlog_not_found,
--   access_denied, backlog_remove_forbidden, backlog_not_deleted

--- Describes the fields of a backlog.
-- Reference: tasks.api.scrum.backlog.getFields
-- @function scrum.backlog_get_fields
-- @treturn table `{ fields = { name = { type = ... } } }`
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`

--- Creates an epic.
-- Reference: tasks.api.scrum.epic.add
-- @function scrum.epic_add
-- @tparam table params
-- @tparam string params.name or a number, sent as a string
-- @tparam integer params.groupId or a string of digits
-- @tparam[opt] string params.description or a number, sent as a string
-- @tparam[opt] string params.color or a number, sent as a string
-- @tparam[opt] table params.files as in the reference
-- @tparam[opt] integer params.createdBy or a string of digits
-- @tparam[opt] integer params.modifiedBy or a string of digits
-- @treturn table the epic
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: created_by_not_found, group_id_not_found,
--   name_not_found, access_denied, epic_not_created, epic_files_not_attached

--- Reads an epic.
-- Reference: tasks.api.scrum.epic.get
-- @function scrum.epic_get
-- @tparam table params
-- @tparam integer params.id or a string of digits
-- @treturn table the epic
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: epic_not_found, access_denied

--- Changes an epic.
-- Reference: tasks.api.scrum.epic.update
-- @function scrum.epic_update
-- @tparam table params
-- @tparam integer params.id or a string of digits
-- @tparam[opt] string params.name or a number, sent as a string
-- @tparam[opt] integer params.groupId or a string of digits
-- @tparam[opt] string params.description or a number, sent as a string
-- @tparam[opt] string params.color or a number, sent as a string
-- @tparam[opt] table params.files as in the reference
-- @tparam[opt] integer params.createdBy or a string of digits
-- @tparam[opt] integer params.modifiedBy or a string of digits
-- @treturn table the epic
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: epic_not_found, access_denied, created_by_not_found,
--   modified_by_not_found, epic_not_updated

--- Deletes an epic.
-- Reference: tasks.api.scrum.epic.delete
-- @function scrum.epic_delete
-- @tparam table params
-- @tparam integer params.id or a string of digits
-- @treturn table `{}`
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: epic_not_found, access_denied, epic_not_deleted

--- Lists epics, 50 a page.
-- Reference: tasks.api.scrum.epic.list
-- @function scrum.epic_list
-- @tparam table params
-- @tparam[opt] table params.filter as in the reference
-- @tparam[opt] table params.select as in the reference
-- @tparam[opt] table params.order as in the reference
-- @tparam[opt] integer params.start or a string of digits
-- @treturn table a list of epics
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: could_not_load_list

--- Describes the fields of an epic.
-- Reference: tasks.api.scrum.epic.getFields
-- @function scrum.epic_get_fields
-- @treturn table `{ fields = { name = { type = ... } } }`
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`

--- Creates a sprint.
-- Reference: tasks.api.scrum.sprint.add
-- @function scrum.sprint_add
-- @tparam table params
-- @tparam integer params.groupId or a string of digits
-- @tparam[opt] string params.name or a number, sent as a string
-- @tparam[opt] integer params.sort or a string of digits
-- @tparam[opt] integer params.createdBy or a string of digits
-- @tparam[opt] integer params.modifiedBy or a string of digits
-- @tparam string params.dateStart ISO 8601, or a number: seconds since 1970
-- @tparam string params.dateEnd ISO 8601, or a number: seconds since 1970
-- @tparam string params.status "active", "planned", "completed"
-- @treturn table the sprint
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: group_id_not_found, access_denied,
--   created_by_not_found, modified_by_not_found, incorrect_date_start, incorrect_date_end, incorrect_sprint_status,
--   two_active_sprints, unable_to_add_sprint

--- Reads a sprint.
-- Reference: tasks.api.scrum.sprint.get
-- @function scrum.sprint_get
-- @tparam table params
-- @tparam integer params.id or a string of digits
-- @treturn table the sprint
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: sprint_id_not_found, sprint_not_found, access_denied

--- Changes a sprint.
-- Reference: tasks.api.scrum.sprint.update
-- @function scrum.sprint_update
-- @tparam table params
-- @tparam integer params.id or a string of digits
-- @tparam[opt] integer params.groupId or a string of digits
-- @tparam[opt] string params.name or a number, sent as a string
-- @tparam[opt] integer params.sort or a string of digits
-- @tparam[opt] integer params.createdBy or a string of digits
-- @tparam[opt] integer params.modifiedBy or a string of digits
-- @tparam[opt] string params.dateStart ISO 8601, or a number: seconds since 1970
-- @tparam[opt] string params.dateEnd ISO 8601, or a number: seconds since 1970
-- @tparam[opt] string params.status "active", "planned", "completed"
-- @treturn table the sprint
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: sprint_id_not_found, sprint_not_found, access_denied,
--   sprint_move_forbidden, created_by_not_found, modified_by_not_found, incorrect_date_start, incorrect_date_end,
--   incorrect_sprint_status, two_active_sprints, sprint_not_updated

--- Deletes a sprint; its tasks move to the backlog.
-- Reference: tasks.api.scrum.sprint.delete
-- @function scrum.sprint_delete
-- @tparam table params
-- @tparam integer params.id or a string of digits
-- @treturn table `{}`
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: sprint_not_found, access_denied,
--   sprint_remove_forbidden

--- Starts a planned sprint.
-- Reference: tasks.api.scrum.sprint.start
-- @function scrum.sprint_start
-- @tparam table params
-- @tparam integer params.id or a string of digits
-- @treturn table the sprint
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: sprint_id_not_found, sprint_not_found,
--   sprint_must_be_planned, access_denied, unable_to_start_sprint

--- Completes a group's active sprint; unfinished tasks move to the backlog.
-- Reference: tasks.api.scrum.sprint.complete
-- @function scrum.sprint_complete
-- @tparam table params
-- @tparam integer params.groupId or a string of digits
-- @treturn table the sprint
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: group_id_not_found, sprint_not_found, access_denied

--- Lists sprints, 50 a page.
-- Reference: tasks.api.scrum.sprint.list
-- @function scrum.sprint_list
-- @tparam table params
-- @tparam[opt] table params.filter as in the reference
-- @tparam[opt] table params.select as in the reference
-- @tparam[opt] table params.order as in the reference
-- @tparam[opt] integer params.start or a string of digits
-- @treturn table a list of sprints
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: could_not_load_list

--- Describes the fields of a sprint.
-- Reference: tasks.api.scrum.sprint.getFields
-- @function scrum.sprint_get_fields
-- @treturn table `{ fields = { name = { type = ... } } }`
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`

--- Adds a stage to a sprint's kanban.
-- Reference: tasks.api.scrum.kanban.addStage
-- @function scrum.kanban_add_stage
-- @tparam table params
-- @tparam integer params.sprintId or a string of digits
-- @tparam string params.name or a number, sent as a string
-- @tparam[opt] string params.type "NEW", "WORK", "FINISH"
-- @tparam[opt] integer params.sort or a string of digits
-- @tparam[opt] string params.color or a number, sent as a string
-- @treturn integer the stage's id
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: sprint_id_not_found, sprint_not_found, access_denied,
--   incorrect_name_format

--- Lists the stages of a sprint's kanban.
-- Reference: tasks.api.scrum.kanban.getStages
-- @function scrum.kanban_get_stages
-- @tparam table params
-- @tparam integer params.sprintId or a string of digits
-- @treturn table a list of stages
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: sprint_id_not_found, sprint_not_found, access_denied

--- Changes a stage.
-- Reference: tasks.api.scrum.kanban.updateStage
-- @function scrum.kanban_update_stage
-- @tparam table params
-- @tparam integer params.stageId or a string of digits
-- @tparam[opt] integer params.sprintId or a string of digits
-- @tparam[opt] string params.name or a number, sent as a string
-- @tparam[opt] string params.type "NEW", "WORK", "FINISH"
-- @tparam[opt] integer params.sort or a string of digits
-- @tparam[opt] string params.color or a number, sent as a string
-- @treturn true `true`
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: stage_id_not_found, stage_not_found, access_denied,
--   incorrect_sprint_id

--- Deletes a stage without tasks.
-- Reference: tasks.api.scrum.kanban.deleteStage
-- @function scrum.kanban_delete_stage
-- @tparam table params
-- @tparam integer params.stageId or a string of digits
-- @treturn true `true`
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: stage_id_not_found, stage_not_found, access_denied,
--   stage_has_tasks

--- Puts a task on a stage.
-- Reference: tasks.api.scrum.kanban.addTask
-- @function scrum.kanban_add_task
-- @tparam table params
-- @tparam integer params.sprintId or a string of digits
-- @tparam integer params.taskId or a string of digits
-- @tparam integer params.stageId or a string of digits
-- @treturn true `true`
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: sprint_id_not_found, task_id_not_found,
--   stage_id_not_found, sprint_not_found, access_denied, stage_not_found, task_not_in_group

--- Takes a task off the kanban.
-- Reference: tasks.api.scrum.kanban.deleteTask
-- @function scrum.kanban_delete_task
-- @tparam table params
-- @tparam integer params.sprintId or a string of digits
-- @tparam integer params.taskId or a string of digits
-- @treturn true `true`
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: sprint_id_not_found, task_id_not_found,
--   sprint_not_found, access_denied, task_not_in_group

--- Describes the fields of a stage.
-- Reference: tasks.api.scrum.kanban.getFields
-- @function scrum.kanban_get_fields
-- @treturn table `{ fields = { name = { type = ... } } }`
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`

--- Reads a task's scrum fields.
-- Reference: tasks.api.scrum.task.get
-- @function scrum.task_get
-- @tparam table params
-- @tparam integer params.id or a string of digits
-- @treturn table the fields
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: task_id_not_found, task_not_found, access_denied

--- Changes a task's scrum fields.
-- Reference: tasks.api.scrum.task.update
-- @function scrum.task_update
-- @tparam table params
-- @tparam integer params.id or a string of digits
-- @tparam[opt] integer params.entityId or a string of digits
-- @tparam[opt] string params.storyPoints or a number, sent as a string
-- @tparam[opt] integer params.epicId or a string of digits
-- @tparam[opt] integer params.sort or a string of digits
-- @tparam[opt] integer params.createdBy or a string of digits
-- @tparam[opt] integer params.modifiedBy or a string of digits
-- @treturn true `true`
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`; reasons of its own: task_id_not_found, access_denied, entity_id_not_found,
--   item_not_created, epic_not_found, created_by_not_found, modified_by_not_found, unable_to_update_task

--- Describes a task's scrum fields.
-- Reference: tasks.api.scrum.task.getFields
-- @function scrum.task_get_fields
-- @treturn table `{ fields = { name = { type = ... } } }`
-- @treturn table info, as for `call`
-- @raise an error object, as for `call`
-- end

return bitrix
