-- POST /backlogs with {"groupId":125,"createdBy":6}: creates a backlog.
-- JSON in, JSON out: 201 and the backlog, or another status and {"error":reason,"message":text}.
local bitrix = require "bitrix.safe" -- its webhook comes from BITRIX24_WEBHOOK_URL
local cjson = require "cjson.safe"

local _M = {}

-- What a client of ours can do something about; everything else is between us and the portal.
local STATUS_OF_REASON = {
  backlog_already_added = 409,
  group_id_not_found = 404,
  access_denied = 403,
  created_by_not_found = 422,
  modified_by_not_found = 422,
}
local STATUS_OF_KIND = { limit = 503, timeout = 504 }

local function answer(status, value)
  ngx.status = status
  ngx.header.content_type = "application/json"
  if status == 503 then ngx.header.retry_after = 5 end
  ngx.print(cjson.encode(value))
end

local function is_id(value) return type(value) == "number" and value >= 1 and value % 1 == 0 end

--- The request's body as a table, or nil and what is wrong with it.
local function read()
  ngx.req.read_body()
  local wanted = cjson.decode(ngx.req.get_body_data() or "")
  if type(wanted) ~= "table" then return nil, "a JSON object is expected" end
  for _, name in ipairs { "groupId", "createdBy" } do
    if not is_id(wanted[name]) then return nil, name .. ": a positive integer is expected" end
  end
  return wanted
end

function _M.create()
  if ngx.req.get_method() ~= "POST" then
    ngx.header.allow = "POST"
    return answer(405, { error = "method_not_allowed", message = "POST is expected" })
  end
  local wanted, problem = read()
  if not wanted then return answer(400, { error = "bad_request", message = problem }) end

  -- This waits for the portal, the worker does not: it serves other requests meanwhile.
  local backlog, err = bitrix.scrum.backlog_add { groupId = wanted.groupId, createdBy = wanted.createdBy }
  if backlog then return answer(201, backlog) end

  local status = STATUS_OF_REASON[err.reason] or STATUS_OF_KIND[err.kind] or 502
  -- Never secret: errors name no webhook. "unknown": the portal may have created it, so look before you try again.
  if status >= 500 then ngx.log(ngx.ERR, tostring(err), ", executed: ", err.executed) end
  answer(status, { error = err.reason, message = err.message, executed = err.executed })
end

return _M
