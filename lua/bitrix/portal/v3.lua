-- How REST v3 says what v2 says in another way: its error objects. Knows no HTTP.

local M = {}

local PREFIX = "BITRIX_REST_V3_EXCEPTION_"
local REQUEST = PREFIX .. "VALIDATION_REQUESTVALIDATIONEXCEPTION"

--- The code for a key that belongs to another request.
M.KEY_REUSED = PREFIX .. "IDEMPOTENCYKEYREUSEDEXCEPTION"

-- The code for a rule of a method, which has none of its own in v2.
local function code_of(text)
  if text == "Access denied" then
    return PREFIX .. "ACCESSDENIEDEXCEPTION"
  elseif text:find("not found", 1, true) then
    return PREFIX .. "ENTITYNOTFOUNDEXCEPTION"
  end
end

--- A body as v3 has it.
-- @tparam table body as v2 has it; one without an error comes back as it is
-- @treturn table
function M.body(body)
  if body.error == nil then
    return body
  end
  local text = body.error_description or ""
  local field = body.error == "100" and text:match("parameter {([^}]*)}")
  if field then
    return { error = { code = REQUEST, message = "Request object validation error",
      validation = { { field = field, message = text } } } }
  end
  local code = tostring(body.error)
  return { error = { code = (code == "0" and code_of(text)) or code, message = text } }
end

return M
