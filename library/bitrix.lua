---@meta bitrix
-- Annotations for lua-language-server: put this directory into "Lua.workspace.library". `bitrix.safe` has the same functions;
-- there the results are nil and a bitrix.Error when a call fails.

---An id: an integer, or a string of digits.
---@alias bitrix.Id integer|string

---A date: ISO 8601 ("2024-04-03T12:50:17+02:00"), or seconds since 1970.
---@alias bitrix.Date string|number

---@class bitrix.Error What a call that failed raises (bitrix) or returns behind nil (bitrix.safe).
---@field kind "api"|"auth"|"limit"|"network"|"timeout"|"protocol"
---@field reason string a stable word to branch on; "unknown" where the portal's text is not known
---@field code? string the portal's code
---@field message? string the portal's own text, or libcurl's
---@field status? integer the HTTP status; nil when there was no answer
---@field method string
---@field executed "no"|"yes"|"unknown" whether the portal ran the call
---@field attempts bitrix.Attempt[]
---@field validation? { field: string, message: string }[] REST v3
---@field body? string the first 2 KiB of an answer that was not understood
---@field request_id? string sent as X-Request-ID
---@field wait? number kind "limit": the seconds that it would have had to wait

---@class bitrix.Attempt
---@field status? integer
---@field code? string
---@field seconds number
---@field waited number

---@class bitrix.Info
---@field status integer the HTTP status
---@field time? table the portal's own times
---@field total? integer lists: how many there are
---@field next? integer lists: `start` of the next page
---@field attempts bitrix.Attempt[]
---@field settled? boolean the answer was lost, and the outcome was read back
---@field timings { dns: number, connect: number, tls: number, first_byte: number, total: number } seconds from the start

---@class bitrix.Options
---@field webhook? string the inbound webhook's address; default: BITRIX24_WEBHOOK_URL of the environment
---@field timeout? number seconds for one attempt (70)
---@field connect_timeout? number seconds until the connection stands (5)
---@field deadline? number seconds for a whole call (180)
---@field max_response? integer bytes (64 MiB)
---@field ca_file? string a file of PEM certificates
---@field verify? boolean false accepts any certificate (true)
---@field proxy? string|false an address, or false for none
---@field user_agent? string
---@field headers? table<string, string> sent with each request
---@field insecure_http? boolean permits plain HTTP to other machines (false)
---@field retry? { attempts?: integer, base?: number, cap?: number }|boolean false: a call is never repeated
---@field limit? bitrix.Limit|"standard"|"enterprise"|false false: no waiting for the portal's limit
---@field on_event? fun(event: bitrix.Event) told of each attempt, retry and call; must not wait
---@field max_connections? integer of this client at once (256)
---@field oauth? bitrix.OAuth instead of webhook
---@field allow_hosts? string[]|fun(host: string, from: string): boolean where a portal may move to; default: *.bitrix24.* to the same
---@field on_move? fun(place: string, from: string) told where the portal has moved to
---@field store? bitrix.Store where a moved portal's address is kept; for oauth, too

---@class bitrix.OAuth See doc/oauth.md.
---@field client_id? string of the application
---@field client_secret? string
---@field domain? string of the portal, acme.bitrix24.com
---@field endpoint? string instead of domain, https://acme.bitrix24.com/rest/
---@field access_token? string
---@field refresh_token? string
---@field member_id? string of the portal
---@field key? string under which the store keeps the tokens (client_id:member_id)
---@field store? bitrix.Store
---@field token_url? string https://oauth.bitrix.info/oauth/token/
---@field on_refresh? fun(tokens: bitrix.Tokens) told of new tokens, after they were saved
---@field refresh? fun(tokens: bitrix.Tokens): bitrix.Tokens|string|nil, string? asked for new tokens in place of the token host

---@class bitrix.Tokens
---@field access_token string
---@field refresh_token? string
---@field expires? integer
---@field expires_in? integer
---@field client_endpoint? string
---@field domain? string
---@field member_id? string
---@field scope? string
---@field status? string
---@field user_id? integer

---@class bitrix.Store
---@field load fun(self: bitrix.Store, key: string): table?, string?
---@field save fun(self: bitrix.Store, key: string, value: table): boolean?, string?
---@field lock fun(self: bitrix.Store, key: string, seconds: number): function?, string?

---@class bitrix.PortalEvent
---@field event string
---@field data table
---@field ts? number
---@field auth table
---@field verified boolean
---@field is_system boolean

---@class bitrix.Limit
---@field burst? integer requests (50)
---@field rate? number requests a second (2)
---@field store? table shares the count, see doc/limits.md

---@class bitrix.Event
---@field type "attempt"|"retry"|"call"
---@field method string
---@field request_id string
---@field attempt? integer
---@field attempts? integer
---@field ok? boolean
---@field status? integer
---@field code? string
---@field kind? string
---@field reason? string
---@field executed? "no"|"yes"|"unknown"
---@field seconds? number
---@field waited? number
---@field wait? number seconds until the next attempt
---@field sent? integer bytes
---@field received? integer bytes
---@field settled? boolean

---@class bitrix.CallOptions
---@field idempotent? boolean running it twice does no more than once
---@field idempotency_key? string 1 to 255 printable ASCII characters; REST v3
---@field deadline? number seconds

---@class bitrix.Outcome
---@field ok boolean
---@field n? integer how many values were returned: [1] to [n]
---@field error? any

---@class bitrix.Task: bitrix.Outcome
---@field done boolean

---@class bitrix.Counts
---@field calls integer
---@field attempts integer
---@field retries integer
---@field failures integer
---@field seconds number of all attempts
---@field waited number seconds
---@field sent integer bytes
---@field received integer bytes

---@class bitrix.Stats: bitrix.Counts
---@field waits integer
---@field limited integer answers QUERY_LIMIT_EXCEEDED
---@field settled integer lost answers that were read back
---@field methods table<string, bitrix.Counts>

---@class bitrix.Backlog
---@field id integer
---@field groupId integer
---@field createdBy integer
---@field modifiedBy integer

---@class bitrix.Epic
---@field id integer
---@field groupId integer
---@field name string
---@field description string
---@field createdBy integer
---@field modifiedBy integer
---@field color string
---@field files? table

---@class bitrix.Sprint
---@field id integer
---@field groupId integer
---@field entityType string "sprint"
---@field name string
---@field goal string
---@field sort integer
---@field createdBy integer
---@field modifiedBy integer
---@field dateStart string
---@field dateEnd string
---@field status "active"|"planned"|"completed"

---@class bitrix.Stage
---@field id integer
---@field name string
---@field sort integer
---@field type "NEW"|"WORK"|"FINISH"
---@field sprintId integer
---@field color string

---@class bitrix.ScrumTask
---@field entityId integer the backlog or sprint that the task is in
---@field storyPoints string
---@field epicId integer
---@field sort integer
---@field createdBy integer
---@field modifiedBy integer

---@class bitrix.Fields
---@field fields table<string, { type: string }>

---@class bitrix.Scrum
local scrum = {}

---Makes sure that a group has a backlog: adds it, or reads the one that is there.
---@param params bitrix.scrum.backlog_add.params
---@return bitrix.Backlog backlog
---@return boolean created
---@return bitrix.Info info
function scrum.backlog_ensure(params) end

-- begin: written by tools/catalog_docs.lua
---@class bitrix.scrum.backlog_add.params
---@field groupId bitrix.Id
---@field createdBy bitrix.Id
---@field modifiedBy? bitrix.Id

---Creates the backlog of a scrum group.
---Reference: tasks.api.scrum.backlog.add
---@param params bitrix.scrum.backlog_add.params
---@return bitrix.Backlog result
---@return bitrix.Info info
function scrum.backlog_add(params) end

---@class bitrix.scrum.backlog_get.params
---@field groupId bitrix.Id

---Reads the backlog of a group.
---Reference: tasks.api.scrum.backlog.get
---@param params bitrix.scrum.backlog_get.params
---@return bitrix.Backlog result
---@return bitrix.Info info
function scrum.backlog_get(params) end

---@class bitrix.scrum.backlog_update.params
---@field id bitrix.Id
---@field groupId? bitrix.Id
---@field createdBy? bitrix.Id
---@field modifiedBy? bitrix.Id

---Changes a backlog.
---Reference: tasks.api.scrum.backlog.update
---@param params bitrix.scrum.backlog_update.params
---@return bitrix.Backlog result
---@return bitrix.Info info
function scrum.backlog_update(params) end

---@class bitrix.scrum.backlog_delete.params
---@field id bitrix.Id

---Deletes a backlog without items.
---Reference: tasks.api.scrum.backlog.delete
---@param params bitrix.scrum.backlog_delete.params
---@return table result
---@return bitrix.Info info
function scrum.backlog_delete(params) end

---Describes the fields of a backlog.
---Reference: tasks.api.scrum.backlog.getFields
---@return bitrix.Fields result
---@return bitrix.Info info
function scrum.backlog_get_fields() end

---@class bitrix.scrum.epic_add.params
---@field name string|number
---@field groupId bitrix.Id
---@field description? string|number
---@field color? string|number
---@field files? table
---@field createdBy? bitrix.Id
---@field modifiedBy? bitrix.Id

---Creates an epic.
---Reference: tasks.api.scrum.epic.add
---@param params bitrix.scrum.epic_add.params
---@return bitrix.Epic result
---@return bitrix.Info info
function scrum.epic_add(params) end

---@class bitrix.scrum.epic_get.params
---@field id bitrix.Id

---Reads an epic.
---Reference: tasks.api.scrum.epic.get
---@param params bitrix.scrum.epic_get.params
---@return bitrix.Epic result
---@return bitrix.Info info
function scrum.epic_get(params) end

---@class bitrix.scrum.epic_update.params
---@field id bitrix.Id
---@field name? string|number
---@field groupId? bitrix.Id
---@field description? string|number
---@field color? string|number
---@field files? table
---@field createdBy? bitrix.Id
---@field modifiedBy? bitrix.Id

---Changes an epic.
---Reference: tasks.api.scrum.epic.update
---@param params bitrix.scrum.epic_update.params
---@return bitrix.Epic result
---@return bitrix.Info info
function scrum.epic_update(params) end

---@class bitrix.scrum.epic_delete.params
---@field id bitrix.Id

---Deletes an epic.
---Reference: tasks.api.scrum.epic.delete
---@param params bitrix.scrum.epic_delete.params
---@return table result
---@return bitrix.Info info
function scrum.epic_delete(params) end

---@class bitrix.scrum.epic_list.params
---@field filter? table
---@field select? table
---@field order? table
---@field start? bitrix.Id

---Lists epics, 50 a page.
---Reference: tasks.api.scrum.epic.list
---@param params? bitrix.scrum.epic_list.params
---@return bitrix.Epic[] result
---@return bitrix.Info info
function scrum.epic_list(params) end

---Describes the fields of an epic.
---Reference: tasks.api.scrum.epic.getFields
---@return bitrix.Fields result
---@return bitrix.Info info
function scrum.epic_get_fields() end

---@class bitrix.scrum.sprint_add.params
---@field groupId bitrix.Id
---@field name? string|number
---@field sort? bitrix.Id
---@field createdBy? bitrix.Id
---@field modifiedBy? bitrix.Id
---@field dateStart bitrix.Date
---@field dateEnd bitrix.Date
---@field status "active"|"planned"|"completed"

---Creates a sprint.
---Reference: tasks.api.scrum.sprint.add
---@param params bitrix.scrum.sprint_add.params
---@return bitrix.Sprint result
---@return bitrix.Info info
function scrum.sprint_add(params) end

---@class bitrix.scrum.sprint_get.params
---@field id bitrix.Id

---Reads a sprint.
---Reference: tasks.api.scrum.sprint.get
---@param params bitrix.scrum.sprint_get.params
---@return bitrix.Sprint result
---@return bitrix.Info info
function scrum.sprint_get(params) end

---@class bitrix.scrum.sprint_update.params
---@field id bitrix.Id
---@field groupId? bitrix.Id
---@field name? string|number
---@field sort? bitrix.Id
---@field createdBy? bitrix.Id
---@field modifiedBy? bitrix.Id
---@field dateStart? bitrix.Date
---@field dateEnd? bitrix.Date
---@field status? "active"|"planned"|"completed"

---Changes a sprint.
---Reference: tasks.api.scrum.sprint.update
---@param params bitrix.scrum.sprint_update.params
---@return bitrix.Sprint result
---@return bitrix.Info info
function scrum.sprint_update(params) end

---@class bitrix.scrum.sprint_delete.params
---@field id bitrix.Id

---Deletes a sprint; its tasks move to the backlog.
---Reference: tasks.api.scrum.sprint.delete
---@param params bitrix.scrum.sprint_delete.params
---@return table result
---@return bitrix.Info info
function scrum.sprint_delete(params) end

---@class bitrix.scrum.sprint_start.params
---@field id bitrix.Id

---Starts a planned sprint.
---Reference: tasks.api.scrum.sprint.start
---@param params bitrix.scrum.sprint_start.params
---@return bitrix.Sprint result
---@return bitrix.Info info
function scrum.sprint_start(params) end

---@class bitrix.scrum.sprint_complete.params
---@field groupId bitrix.Id

---Completes a group's active sprint; unfinished tasks move to the backlog.
---Reference: tasks.api.scrum.sprint.complete
---@param params bitrix.scrum.sprint_complete.params
---@return bitrix.Sprint result
---@return bitrix.Info info
function scrum.sprint_complete(params) end

---@class bitrix.scrum.sprint_list.params
---@field filter? table
---@field select? table
---@field order? table
---@field start? bitrix.Id

---Lists sprints, 50 a page.
---Reference: tasks.api.scrum.sprint.list
---@param params? bitrix.scrum.sprint_list.params
---@return bitrix.Sprint[] result
---@return bitrix.Info info
function scrum.sprint_list(params) end

---Describes the fields of a sprint.
---Reference: tasks.api.scrum.sprint.getFields
---@return bitrix.Fields result
---@return bitrix.Info info
function scrum.sprint_get_fields() end

---@class bitrix.scrum.kanban_add_stage.params
---@field sprintId bitrix.Id
---@field name string|number
---@field type? "NEW"|"WORK"|"FINISH"
---@field sort? bitrix.Id
---@field color? string|number

---Adds a stage to a sprint's kanban.
---Reference: tasks.api.scrum.kanban.addStage
---@param params bitrix.scrum.kanban_add_stage.params
---@return integer result
---@return bitrix.Info info
function scrum.kanban_add_stage(params) end

---@class bitrix.scrum.kanban_get_stages.params
---@field sprintId bitrix.Id

---Lists the stages of a sprint's kanban.
---Reference: tasks.api.scrum.kanban.getStages
---@param params bitrix.scrum.kanban_get_stages.params
---@return bitrix.Stage[] result
---@return bitrix.Info info
function scrum.kanban_get_stages(params) end

---@class bitrix.scrum.kanban_update_stage.params
---@field stageId bitrix.Id
---@field sprintId? bitrix.Id
---@field name? string|number
---@field type? "NEW"|"WORK"|"FINISH"
---@field sort? bitrix.Id
---@field color? string|number

---Changes a stage.
---Reference: tasks.api.scrum.kanban.updateStage
---@param params bitrix.scrum.kanban_update_stage.params
---@return true result
---@return bitrix.Info info
function scrum.kanban_update_stage(params) end

---@class bitrix.scrum.kanban_delete_stage.params
---@field stageId bitrix.Id

---Deletes a stage without tasks.
---Reference: tasks.api.scrum.kanban.deleteStage
---@param params bitrix.scrum.kanban_delete_stage.params
---@return true result
---@return bitrix.Info info
function scrum.kanban_delete_stage(params) end

---@class bitrix.scrum.kanban_add_task.params
---@field sprintId bitrix.Id
---@field taskId bitrix.Id
---@field stageId bitrix.Id

---Puts a task on a stage.
---Reference: tasks.api.scrum.kanban.addTask
---@param params bitrix.scrum.kanban_add_task.params
---@return true result
---@return bitrix.Info info
function scrum.kanban_add_task(params) end

---@class bitrix.scrum.kanban_delete_task.params
---@field sprintId bitrix.Id
---@field taskId bitrix.Id

---Takes a task off the kanban.
---Reference: tasks.api.scrum.kanban.deleteTask
---@param params bitrix.scrum.kanban_delete_task.params
---@return true result
---@return bitrix.Info info
function scrum.kanban_delete_task(params) end

---Describes the fields of a stage.
---Reference: tasks.api.scrum.kanban.getFields
---@return bitrix.Fields result
---@return bitrix.Info info
function scrum.kanban_get_fields() end

---@class bitrix.scrum.task_get.params
---@field id bitrix.Id

---Reads a task's scrum fields.
---Reference: tasks.api.scrum.task.get
---@param params bitrix.scrum.task_get.params
---@return bitrix.ScrumTask result
---@return bitrix.Info info
function scrum.task_get(params) end

---@class bitrix.scrum.task_update.params
---@field id bitrix.Id
---@field entityId? bitrix.Id
---@field storyPoints? string|number
---@field epicId? bitrix.Id
---@field sort? bitrix.Id
---@field createdBy? bitrix.Id
---@field modifiedBy? bitrix.Id

---Changes a task's scrum fields.
---Reference: tasks.api.scrum.task.update
---@param params bitrix.scrum.task_update.params
---@return true result
---@return bitrix.Info info
function scrum.task_update(params) end

---Describes a task's scrum fields.
---Reference: tasks.api.scrum.task.getFields
---@return bitrix.Fields result
---@return bitrix.Info info
function scrum.task_get_fields() end
-- end

---@class bitrix.Command What a function of a batch returns; its outcome is here after `batch:run()`.
---@field status "pending"|"ok"|"failed"|"not_executed"
---@field result any as the plain call returns it; nil unless the status is "ok"
---@field error? bitrix.Error nil when the status is "ok"
---@field info? bitrix.Info
---@field method string
---@field idempotent boolean
local command = {}

---What stands for the result, or a part of it, in the parameters of a later command.
---@param ... string|integer names, and indexes of lists from 0
---@return userdata reference
function command:ref(...) end

---@class bitrix.Batch The functions of `scrum` are those of a client, but return a bitrix.Command.
---@field scrum table<string, fun(params?: table): bitrix.Command>
local batch = {}

---Adds a command that is named as in the reference.
---@param method string
---@param params? table
---@return bitrix.Command
function batch:call(method, params) end

---Runs what was added since the last run. Does not raise because of what the portal answers.
---@return boolean ok whether every command is "ok"
---@return bitrix.Command[] failed those that are not
function batch:run() end

---@class bitrix.BatchOptions
---@field halt? boolean nothing runs after the first command that fails (false)
---@field max_bytes? integer of a request's body (1 MiB)

---@class bitrix.Rows An iterator for a `for` loop.
---@field count integer rows so far
---@field requests integer
---@field last_id? integer fast: the id of the last row
---@field total? integer what the portal counts
---@field error? bitrix.Error has also `read`, `last_id`
---@overload fun(): any, bitrix.Error?

---@class bitrix.ListOptions
---@field fast? boolean by the ids, 2,500 rows a request (false)
---@field rows? string the field of the result that the rows are in
---@field id? string what the id is called in `filter` and `order` ("ID")
---@field row_id? string what it is called in a row
---@field after? integer fast: begin behind this id (0)
---@field page? integer fast: rows a page (50)
---@field max_pages? integer more is an error (100000)

---@class bitrix.BulkBatch
---@field scrum table<string, fun(params?: table): bitrix.Command>
local bulk_batch = {}

---Adds a command for the item.
---@param method string
---@param params? table
---@return bitrix.Command
function bulk_batch:call(method, params) end

---@class bitrix.BulkOptions
---@field on_result? fun(item: any, result: any, err: bitrix.Error|string|nil, replayed: boolean?)
---@field on_progress? fun(done: integer, total: integer?, failed: integer, replayed: integer)
---@field journal? string a file: what is done is written down, and the same call goes on where it stopped
---@field key? fun(item: any): string by which the journal knows an item
---@field total? integer how many items there are
---@field concurrency? integer requests at once (4)
---@field max_bytes? integer of a request's body (1 MiB)

---@class bitrix.BulkSummary
---@field done integer
---@field ok integer
---@field failed integer
---@field unknown integer
---@field skipped integer
---@field replayed integer in the journal already
---@field settled integer lost answers that were settled by reading back
---@field requests integer
---@field seconds number

---@class bitrix.Client
---@field scrum bitrix.Scrum
local client = {}

---Makes a batch: many commands in few requests.
---@param options? bitrix.BatchOptions
---@return bitrix.Batch
function client:batch(options) end

---Walks the rows of a list method.
---@param method string
---@param params? table
---@param options? bitrix.ListOptions
---@return bitrix.Rows
function client:list(method, params, options) end

---Makes a command for each item and runs them all, fifty a request.
---@param items any[]|fun(): any
---@param f fun(batch: bitrix.BulkBatch, item: any): bitrix.Command?
---@param options? bitrix.BulkOptions
---@return bitrix.BulkSummary
function client:bulk(items, f, options) end

---Calls any method of the portal by its name.
---@param method string as in the reference, "user.current"
---@param params? table
---@param options? bitrix.CallOptions
---@return any result
---@return bitrix.Info info
function client:call(method, params, options) end

---Runs a function for each item of a list, some at once.
---@param items any[]
---@param f fun(item: any, index: integer): any
---@param options? { concurrency?: integer }
---@return any[]
function client:map(items, f, options) end

---What the client has done so far.
---@return bitrix.Stats
function client:stats() end

---For another event loop: the descriptor that is readable when `pump` is to be called.
---@return integer
function client:fd() end

---For another event loop: lets the tasks of bitrix.spawn go on that can.
---@return integer left
---@return number? seconds until it is to be called again at the latest
function client:pump() end

---Closes the kept connections.
function client:close() end

---@class bitrix
---@field scrum bitrix.Scrum
---@field null lightuserdata the null of JSON, cjson.null
---@field _VERSION string
local bitrix = {}

---@param options? bitrix.Options
---@return bitrix.Client
function bitrix.new(options) end

---Makes the default client anew.
---@param options? bitrix.Options
function bitrix.configure(options) end

---Calls any method over the default client.
---@param method string
---@param params? table
---@param options? bitrix.CallOptions
---@return any result
---@return bitrix.Info info
function bitrix.call(method, params, options) end

---Runs functions side by side; the first result of each, in their order.
---@param ... fun(): any
---@return any ...
function bitrix.parallel(...) end

---Runs functions side by side; what each came to, in their order.
---@param ... fun(): any
---@return bitrix.Outcome[]
function bitrix.parallel_settled(...) end

---Makes a batch over the default client.
---@param options? bitrix.BatchOptions
---@return bitrix.Batch
function bitrix.batch(options) end

---Walks the rows of a list method over the default client.
---@param method string
---@param params? table
---@param options? bitrix.ListOptions
---@return bitrix.Rows
function bitrix.list(method, params, options) end

---Makes a command for each item and runs them all, over the default client.
---@param items any[]|fun(): any
---@param f fun(batch: bitrix.BulkBatch, item: any): bitrix.Command?
---@param options? bitrix.BulkOptions
---@return bitrix.BulkSummary
function bitrix.bulk(items, f, options) end

---Runs a function for each item of a list, some at once.
---@param items any[]
---@param f fun(item: any, index: integer): any
---@param options? { concurrency?: integer }
---@return any[]
function bitrix.map(items, f, options) end

---Starts a function that another event loop drives by client:fd and client:pump.
---@param f fun(): any
---@return bitrix.Task
function bitrix.spawn(f) end

---What the default client has done so far.
---@return bitrix.Stats
function bitrix.stats() end

---@param value any
---@param kind_or_reason? string
---@return boolean
function bitrix.is_error(value, kind_or_reason) end

---@generic T
---@param value T
---@return T copy with credentials blotted out
function bitrix.redact(value) end

local oauth = {}
bitrix.oauth = oauth

---@param options bitrix.OAuth with `code`, or with `refresh_token` to prove it; and the options about a connection
---@return bitrix.Tokens tokens
---@return bitrix.Info info
function oauth.exchange(options) end

---@param options { client_id: string, domain?: string, endpoint?: string, state?: string }
---@return string address to send the user to
---@return string state
function oauth.authorize_url(options) end

local event = {}
bitrix.event = event

---@param body string a form
---@param options { application_token?: string|(fun(member_id: string?, event: bitrix.PortalEvent): string?), installation?: boolean }
---@return bitrix.PortalEvent? event nil: it is not to be believed
---@return "no_event"|"no_token"|"unknown_portal"|"wrong_token"|nil reason
function event.parse(body, options) end

---@param event_ bitrix.PortalEvent
---@param user_id integer|string
---@return boolean
function event.is_from(event_, user_id) end

return bitrix
