-- Events: what the portal sends to an application. Makes the form and hands it to curl; knows no nginx.

local files = require "bitrix.portal.file"
local check = require "bitrix.portal.check"
local keys = require "bitrix.portal.keys"
local php = require "bitrix.portal.php"
local random = require "bitrix.portal.random"
local shell = require "bitrix.portal.shell"

local M = {}

local FIELDS = { url = "string", event = "string", data = "table", ts = "number", application_token = "string",
  auth = "table", tokens = "table", ca_file = "string", timeout = check.SECONDS, wait = "boolean" }

local ORDER = { "event", "data", "ts", "auth" }

--- Checks what `send_event` was given. Raises what is wrong, without a position.
function M.check(options)
  check.table("send_event option", options, FIELDS)
  for _, name in ipairs { "url", "event" } do
    if not options[name] then
      check.fail("send_event option '%s' is missing", name)
    end
  end
end

--- Whether an event tells of an installation, and brings tokens.
function M.is_installation(name)
  return name:upper() == "ONAPPINSTALL"
end

--- The form of an event.
-- @tparam table options `event`, `data`, `ts` (seconds since 1970), `auth` (fields that win over the others)
-- @tparam table auth what the portal says of itself
-- @treturn string
function M.form(options, auth)
  local said = {}
  for _, source in ipairs { auth, options.auth or {} } do
    for name, value in pairs(source) do
      said[name] = value
    end
  end
  return php.build_query(keys.set_order({
    event = options.event:upper(),
    data = options.data or (M.is_installation(options.event) and { VERSION = "1", LANGUAGE_ID = "en" }) or nil,
    ts = options.ts,
    auth = said,
  }, ORDER))
end

-- The form is in a file: what is on a command line is for everybody to see.
local SEND = [[
send() {
  curl -sS --noproxy '*' --max-time "$4" ${5:+--cacert "$5"} -A 'Bitrix24 Webhook Engine' \
    -H 'Content-Type: application/x-www-form-urlencoded' --data-binary "@$2" -o "$3" -w '%{http_code}' -- "$1"
  rm -f "$2"
}
if [ "$6" = yes ]; then send "$@"; else send "$@" >/dev/null 2>&1 & fi
]]

--- Sends a form.
-- @tparam string directory for files
-- @tparam string form
-- @tparam table options `url`, `ca_file`, `timeout` (seconds, 10), `wait` (false: come back at once)
-- @return the status and the body of what was answered; true when there was no waiting; nil and what curl said
function M.post(directory, form, options)
  local base = directory .. "/event." .. random.letters(12)
  assert(files.write(base, form))
  local wait = options.wait ~= false
  local text = shell.capture(SEND, options.url, base, wait and base .. ".answer" or "/dev/null",
    ("%g"):format(options.timeout or 10), options.ca_file or "", wait and "yes" or "no")
  if not wait then
    return true
  end
  local body = files.read(base .. ".answer")
  os.remove(base .. ".answer")
  local message, status = text:match("^(.-)%s*(%d%d%d)$")
  if message == "" and status ~= "000" then
    return tonumber(status), body or ""
  end
  return nil, message or text
end

return M
