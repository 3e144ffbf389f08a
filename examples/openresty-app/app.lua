-- A Bitrix24 application: keeps the tokens of the portals that install it, takes their events, shows a page.
-- Whoever can reach it can send it anything: nothing is kept or done before it is proved.
local bitrix = require "bitrix.safe"
local cjson = require "cjson.safe"

local _M = {}

local CLIENT_ID = assert(os.getenv "BITRIX24_CLIENT_ID", "BITRIX24_CLIENT_ID is not set")
local CLIENT_SECRET = assert(os.getenv "BITRIX24_CLIENT_SECRET", "BITRIX24_CLIENT_SECRET is not set")
local TOKEN_URL = os.getenv "BITRIX24_TOKEN_URL" -- nil: Bitrix24's own

-- Tokens must outlive nginx: a file. With more than one host: bitrix.store.redis, or your database (doc/oauth.md).
local store = require("bitrix.store.file").new(assert(os.getenv "BITRIX24_TOKENS", "BITRIX24_TOKENS is not set"))

local events = ngx.shared.events

-- ---- the portals that have installed the application ----

local KNOWN_FOR = 60 -- seconds; then the store is asked again, another worker may have written it
local known = {}

-- What is kept of a portal beside its tokens: { application_token =, endpoint = }, or nil.
local function portal_of(member_id)
  local entry = known[member_id]
  if entry and ngx.now() < entry.till then return entry.portal end
  local portal, problem = store:load("portal:" .. member_id)
  if problem then ngx.log(ngx.ERR, problem) end
  if not portal or not portal.application_token then return nil end -- not remembered: strangers make up many
  known[member_id] = { portal = portal, till = ngx.now() + KNOWN_FOR }
  return portal
end

-- The application's own client for a portal: acts with the tokens that came with the installation.
local clients = {}

local function client_of(member_id)
  clients[member_id] = clients[member_id] or bitrix.new{
    oauth = {
      client_id = CLIENT_ID, client_secret = CLIENT_SECRET, member_id = member_id, store = store, token_url = TOKEN_URL,
    },
    limit = { store = require("bitrix.store.dict").new("bitrix") },
  }
  return clients[member_id]
end

-- ---- the installation ----

-- Anybody can send an installation. The token host tells whose refresh token it is; what it answers is kept, not
-- what the event says.
local function prove(_, auth)
  local tokens, err = bitrix.oauth.exchange{
    client_id = CLIENT_ID, client_secret = CLIENT_SECRET, token_url = TOKEN_URL, store = store,
    refresh_token = auth.refresh_token, member_id = auth.member_id,
  }
  if not tokens then return ngx.log(ngx.WARN, "an installation that is not real: ", tostring(err)) end
  local ok, problem = store:save("portal:" .. tokens.member_id, {
    application_token = auth.application_token, endpoint = tokens.client_endpoint,
  })
  if not ok then ngx.log(ngx.ERR, problem) end
  known[tokens.member_id], clients[tokens.member_id] = nil, nil
end

local function application_token(member_id)
  local portal = type(member_id) == "string" and portal_of(member_id)
  return portal and portal.application_token or nil
end

-- The event of this request, checked; or nil after the answer was given.
local function receive(options)
  ngx.req.read_body()
  local event, reason = bitrix.event.parse(ngx.req.get_body_data() or "", options)
  if event then return event end
  ngx.log(ngx.WARN, "refused an event: ", reason)
  ngx.status = 403
  ngx.print(reason)
end

--- Where the portal sends ONAPPINSTALL.
function _M.install()
  local event = receive{ application_token = application_token, installation = true }
  if not event then return end
  local auth = event.auth
  if event.event ~= "ONAPPINSTALL" or not auth.refresh_token or not auth.member_id then
    ngx.status = 400
    return
  end
  -- One that cannot be proved changes nothing; the answer does not wait for it.
  local ok, problem = ngx.timer.at(0, prove, auth)
  if not ok then
    ngx.log(ngx.ERR, "an installation is lost: ", problem)
    ngx.status = 503
  end
end

-- ---- events ----

-- What the application is for: here it looks the task up that was added.
local function work(event)
  local after = event.data.FIELDS_AFTER or {}
  if event.event == "ONTASKADD" and after.ID then
    local task, err = client_of(event.auth.member_id):call("tasks.api.scrum.task.get", { id = tonumber(after.ID) })
    if not task then return ngx.log(ngx.WARN, tostring(err)) end
    ngx.log(ngx.NOTICE, "task ", after.ID, " is in entity ", tostring(task.entityId))
  elseif event.event == "ONAPPUNINSTALL" then
    store:save("portal:" .. event.auth.member_id, {})
    known[event.auth.member_id], clients[event.auth.member_id] = nil, nil
  end
end

local working = false -- in this worker

local function work_off()
  local text = events:rpop("queue")
  while text do
    local ok, problem = pcall(work, cjson.decode(text))
    if not ok then ngx.log(ngx.ERR, tostring(problem)) end
    text = events:rpop("queue")
  end
  working = false
end

--- Where the portal sends all other events. It does not send an event again: it is answered at once, and worked on
-- later, one after the other however many come.
function _M.event()
  local event = receive{ application_token = application_token }
  if not event then return end
  local ok, problem = events:lpush("queue", cjson.encode{
    event = event.event, data = event.data, auth = { member_id = event.auth.member_id },
  })
  if not ok then
    ngx.log(ngx.ERR, "an event is lost: ", problem)
    ngx.status = 503
    return
  end
  if not working then working = ngx.timer.at(0, work_off) ~= nil end
end

-- ---- the page ----

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function escape(text) return (tostring(text):gsub("[&<>\"']", ENTITIES)) end

--- The page in the portal's frame. The portal posts the user's own token: what the user may see is the portal's to say.
-- Where the portal is, is known from the installation, never from the request: its token would go wherever a stranger
-- says.
function _M.page()
  ngx.req.read_body()
  local form = ngx.req.get_post_args()
  local portal = type(form.member_id) == "string" and portal_of(form.member_id)
  if not portal or type(form.AUTH_ID) ~= "string" or form.AUTH_ID == "" then
    ngx.status = 403
    return ngx.print("Open this page on a portal that has installed the application.")
  end
  local ok, client = pcall(bitrix.new, { oauth = { endpoint = portal.endpoint, access_token = form.AUTH_ID } })
  local user, err
  if ok then
    user, err = client:call("user.current")
    client:close()
  end
  if not user then
    if err and err.kind ~= "auth" then ngx.log(ngx.ERR, tostring(err)) end
    ngx.status = (not err or err.kind == "auth") and 403 or 502
    return ngx.print("The portal does not answer for you.")
  end
  ngx.header.content_type = "text/html; charset=utf-8"
  ngx.print("<!DOCTYPE html><p>You are user ", escape(user.ID), ".</p>")
end

return _M
