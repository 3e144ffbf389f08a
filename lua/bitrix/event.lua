--- Events: what a portal tells an application by a POST to its handler.
--
--    local event, reason = bitrix.event.parse(body, { application_token = known })
--    if not event then return answer(403) end        -- a stranger
--    answer(200)                                     -- at once: the portal does not send it again
--    work(event.event, event.data)                   -- then, in a timer
--
-- @module bitrix.event
local core = require "bitrix.core"
local php = require "bitrix.php"

local _M = {}

local OPTIONS = { application_token = true, installation = true }

local function text_of(value) return type(value) == "string" and value ~= "" and value or nil end

-- @return the token that is expected of this event, or nil
local function expected_token(option, auth, event)
  if type(option) ~= "function" then return option end
  return (option(auth.member_id, event))
end

--- Reads an event and checks that it comes from a portal where the application is installed.
-- @tparam string body the POST's, a form
-- @tparam table options
-- @param options.application_token the string that came with the installation, or a function that gets `auth.member_id`
-- (a string that anybody can make up) and the event and returns it, or nil where it knows none
-- @tparam[opt] boolean options.installation true: an ONAPPINSTALL of a portal whose token is not known is let
-- through, with `verified = false`: anybody can have sent it. What it says must be proved before it is kept:
-- `bitrix.oauth.exchange` with its `refresh_token` and `member_id`
-- @treturn[1] table `event` ("ONTASKADD", upper case), `data` (table; all values are strings), `ts` (seconds since
-- 1970), `auth` (table: `domain`, `member_id`, `application_token`, perhaps tokens), `verified` (boolean),
-- `is_system` (boolean: it came without a user's tokens)
-- @return[2] nil, reason: "no_event" (not an event's form), "no_token" (none came), "unknown_portal" (none is known),
-- "wrong_token"
-- @raise a string when an argument is wrong
function _M.parse(body, options)
  local function bad(number, message) error(("bad argument #%d to 'parse' (%s)"):format(number, message), 3) end
  if type(body) ~= "string" then bad(1, "string expected, got " .. type(body)) end
  if type(options) ~= "table" then bad(2, "table expected, got " .. type(options)) end
  for name in pairs(options) do
    if not OPTIONS[name] then bad(2, ("unknown option '%s'"):format(tostring(name))) end
  end
  local token = options.application_token
  if token ~= nil and type(token) ~= "function" and not text_of(token) then
    bad(2, "option 'application_token': a string or a function expected, got " .. type(token))
  end
  if token == nil and not options.installation then
    bad(2, "option 'application_token' expected: without it anybody's event would do")
  end
  local form = php.parse_query(body)
  local auth = type(form.auth) == "table" and form.auth or {}
  if not text_of(form.event) then return nil, "no_event" end
  local event = {
    event = form.event:upper(), data = type(form.data) == "table" and form.data or {}, ts = tonumber(form.ts),
    auth = auth, verified = false, is_system = text_of(auth.access_token) == nil,
  }
  local expected = expected_token(token, auth, event)
  local came = text_of(auth.application_token)
  if not came then return nil, "no_token" end
  if text_of(expected) then
    if not core.equal(expected, came) then return nil, "wrong_token" end
    event.verified = true
  elseif not (options.installation and event.event == "ONAPPINSTALL") then
    return nil, "unknown_portal"
  end
  return event
end

--- Whether a user's event is this user's: compare it with what the portal says of its access token (`app.info`,
-- `profile`).
-- @tparam table event from `parse`
-- @param user_id an integer or a string of digits
-- @treturn boolean false for an event without a user
function _M.is_from(event, user_id)
  local id = tonumber(event.auth.user_id)
  return not event.is_system and id ~= nil and id == tonumber(user_id)
end

return _M
