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
-- - `connect_timeout` (seconds, 5) until the connection stands, TLS included
-- - `deadline` (seconds, 180) for a whole call with all that it waits for
-- - `max_response` (bytes, 64 MiB) a larger answer is an error `too_large`
-- - `ca_file` (path of PEM certificates; libcurl's own)
-- - `verify` (boolean, true) false accepts any certificate: for experiments only
-- - `proxy` (string, or false for none; default: http_proxy, https_proxy and no_proxy of the environment)
-- - `user_agent` (string, "bitrix-lua/VERSION")
-- - `headers` (table name → value) sent with each request
-- - `insecure_http` (boolean, false) true permits plain HTTP to other machines; this one's loopback may always
-- - `retry` (boolean, true) false: a call is never repeated
-- @treturn table the client: `client.scrum.…`, `client:call`, `client:close`
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
-- @return the answer's `result`: integers as integers, null in a list and a result that is null or missing as
-- `bitrix.null`, null in an object as an absent field
-- @treturn table info: `status` (integer), `time` (the portal's own table), `total`, `next` (lists),
-- `attempts` (list of { status, code, seconds, waited }), `timings` (seconds from the start of the attempt until
-- `dns`, `connect`, `tls`, `first_byte`, `total`; the first three are 0 on a kept connection)
-- @raise an error object, see `is_error`; a string when an argument is wrong

--- Whether a value is an error object of this module.
-- Its fields: `kind` ("api", "auth", "limit", "network", "timeout", "protocol"), `reason`, `code`, `message`, `status`,
-- `method`, `executed` ("no", "yes", "unknown"), `attempts`, `validation`, `body`; see README, "Errors".
-- @function is_error
-- @param value anything
-- @tparam[opt] string what a kind or a reason that it must have
-- @treturn boolean

--- A copy of a text or table in which credentials are blotted out, for logs.
-- Knows webhook addresses, `auth`, `access_token`, `client_secret` and their like in queries, forms, JSON and as keys.
-- @function redact
-- @param value a string or a table; other values come back as they are
-- @return the copy

--- The null of JSON, the same value as `cjson.null`.
-- @field null

--- Creates the backlog of a scrum group. Reference: tasks.api.scrum.backlog.add
-- @function scrum.backlog_add
-- @tparam table params `groupId` (integer), `createdBy` (integer, a user's id), `modifiedBy` (integer, optional)
-- @treturn table the backlog: { id, groupId, createdBy, modifiedBy }, integers
-- @treturn table info as for `call`
-- @raise reasons group_id_not_found, access_denied, backlog_already_added, created_by_not_found,
-- modified_by_not_found, unable_to_add_backlog, and all that a call can meet

--- Reads the backlog of a group. Reference: tasks.api.scrum.backlog.get, where the parameter is called `id`
-- @function scrum.backlog_get
-- @tparam table params `groupId` (integer)
-- @treturn table the backlog
-- @treturn table info as for `call`
-- @raise reasons group_id_not_found, backlog_not_found, access_denied, and all that a call can meet

--- Changes a backlog. Reference: tasks.api.scrum.backlog.update
-- @function scrum.backlog_update
-- @tparam table params `id` (integer, the backlog's) and at least one of `groupId`, `createdBy`, `modifiedBy` (integers)
-- @treturn table the backlog
-- @treturn table info as for `call`
-- @raise reasons backlog_id_not_found, backlog_not_found, access_denied, backlog_move_forbidden,
-- target_group_has_backlog, created_by_not_found, modified_by_not_found, unable_to_update_backlog, and all that a
-- call can meet

--- Deletes a backlog. Reference: tasks.api.scrum.backlog.delete
-- @function scrum.backlog_delete
-- @tparam table params `id` (integer, the backlog's)
-- @treturn table an empty table
-- @treturn table info as for `call`
-- @raise reasons backlog_id_not_found, backlog_not_found, access_denied, backlog_remove_forbidden,
-- backlog_not_deleted, and all that a call can meet

--- Describes the fields of a backlog. Reference: tasks.api.scrum.backlog.getFields
-- @function scrum.backlog_get_fields
-- @treturn table { fields = { groupId = { type = "integer" }, ... } }
-- @treturn table info as for `call`
-- @raise all that a call can meet

return bitrix
