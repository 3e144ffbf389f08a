--- A Bitrix24 portal on loopback, for specs: start it, call it, look at what it received.
-- This file is the owner's side: it starts and stops the server, hands it scripts, reads its journal; it answers
-- nothing.
--
--     local portal = require "bitrix.portal"
--     local p = portal.start()
--     ... call p.webhook .. "tasks.api.scrum.backlog.add" ...
--     p:stop()
-- @module bitrix.portal

local check = require "bitrix.portal.check"
local config = require "bitrix.portal.config"
local domain = require "bitrix.portal.domain"
local events = require "bitrix.portal.event"
local fault = require "bitrix.portal.fault"
local files = require "bitrix.portal.file"
local json = require "bitrix.portal.json"
local oauth = require "bitrix.portal.oauth"
local options_reader = require "bitrix.portal.options"
local pki = require "bitrix.portal.pki"
local port = require "bitrix.portal.port"
local process = require "bitrix.portal.process"
local random = require "bitrix.portal.random"
local rows = require "bitrix.portal.rows"
local uptime = require "bitrix.portal.uptime"

local M = {}

local Portal = {}
Portal.__index = Portal

-- Somebody else can take the port between our look and nginx's bind; more than once in a row is something else.
local ATTEMPTS = 3

local function hexadecimal()
  return ("%06x%06x"):format(random.integer(0, 0xffffff), random.integer(0, 0xffffff))
end

local function choose_ports(settings)
  local free = port.free(2)
  local plain = settings.port ~= 0 and settings.port or free[1]
  if settings.port ~= 0 and port.is_taken(plain) then
    error(("bitrix.portal: port %d is in use"):format(plain), 0)
  end
  return plain, settings.tls and free[2] or nil
end

local function launch(self, settings)
  local directory = self.directory
  if settings.tls then
    assert(pki.create(directory, hexadecimal(), settings.hosts))
  end
  assert(files.write(directory .. "/settings.json", json.encode {
    seed = settings.seed, user = settings.user, secret = settings.secret, token = settings.token,
    follow = settings.follow, limit = settings.limit, operating = settings.operating, app = settings.app,
    rows = settings.rows,
  }))
  local problem
  for _ = 1, ATTEMPTS do
    self.port, self.tls_port = choose_ports(settings)
    assert(files.write(directory .. "/nginx.conf", config.text(self.nginx, {
      directory = directory, port = self.port, tls_port = self.tls_port, hosts = settings.hosts,
    })))
    local ok
    ok, problem = self.process:start()
    if ok then
      return
    end
    if settings.port ~= 0 or not problem:find("Address already in use", 1, true) then
      break
    end
  end
  error("bitrix.portal: nginx did not start:\n" .. problem, 0)
end

-- The settings for options; what is wrong is the fault of the caller's caller.
local function settings_of(options)
  local ok, settings = pcall(options_reader.read, options)
  if not ok then
    error(settings, 3)
  end
  return settings
end

local function temporary_root()
  local root = os.getenv("TMPDIR") or ""
  return root:find("^/") and root:gsub("/+$", "") or "/tmp"
end

-- `follow`: instead of a journal, a line for each request through `next_line`.
local function start(settings, follow)
  local nginx, missing = config.find_nginx()
  if not nginx then
    error("bitrix.portal: " .. missing, 0)
  end
  settings.secret = settings.secret or random.letters(16)
  settings.token = settings.token or random.letters(32)
  settings.follow = follow
  local directory = temporary_root() .. "/bitrix-portal." .. random.letters(12)
  local self = setmetatable({
    directory = directory, nginx = nginx, seed = settings.seed, rows = settings.rows, user = settings.user,
    secret = settings.secret, token = settings.token, app = settings.app,
  }, Portal)
  self.process = process.new(directory, nginx.path, nginx.log_option, follow)
  local ok, problem = pcall(launch, self, settings)
  if not ok then
    self:stop()
    error(problem, 0)
  end
  local path = ("rest/%d/%s/"):format(settings.user, settings.secret)
  self.url = ("http://127.0.0.1:%d/"):format(self.port)
  self.webhook = self.url .. path
  if self.tls_port then
    self.tls_url = ("https://127.0.0.1:%d/"):format(self.tls_port)
    self.tls_webhook = self.tls_url .. path
    self.ca_file = directory .. "/ca.pem"
  end
  return self
end

--- Starts a portal. Raises when an option is unknown or of the wrong type and when nginx cannot be started.
-- @tparam[opt] table options all optional:
--   `port` (integer; default 0: a free one), `tls` (boolean, default false: also listen with TLS on a port of its own),
--   `secret` (string; default: 16 random letters and digits), `user` (integer, the webhook's user; default 1),
--   `users` (list of ids or of `{ id =, admin = }`; default 1 and 6), `groups` (list of `{ id =, scrum =, members =,
--   backlog = { id =, createdBy =, modifiedBy =, items = } }`; `scrum` is true unless said otherwise, `members` a list
--   of user ids, nil: everybody; the default groups are in doc/emulator.md), `token` (string, the OAuth 2.0 access
--   token of the same user; default: 32 random letters and digits), `seed` (the whole state instead of `users` and
--   `groups`: a table as `dump` returns it, or the path of a JSON file with one), `limit` ("standard", "enterprise" or
--   `{ burst =, rate =, tick = (seconds), phase = (seconds), counts_refused = }`; default: none), `operating` (`{ limit
--   = (seconds, 480), method_seconds = (a number, or method → number), window = (seconds, 600), baskets = (10),
--   batch_counts = (false) }`; default: nothing is counted; false: nor answered), `app` (`{ client_id =, client_secret
--   =, application_token =, member_id =, scope =, domain =, expires_in = (seconds, 3600), code_lifetime = (seconds, 30)
--   }`; what is missing is made up), `hosts` (list of names for the certificate; addresses of loopback are listened
--   at), `rows` (`{ tasks =, epics = }`: how many more of them)
-- @treturn table the portal: `port`, `url`, `webhook`, `secret`, `token`, `app`; with `tls` also `tls_port`, `tls_url`,
--   `tls_webhook`, `ca_file`; methods below
function M.start(options)
  return (start(settings_of(options)))
end

--- Starts a portal for bin/bitrix-portal: there is no journal, `next_line` gives a line for each request instead.
-- @tparam[opt] table options as for `start`
function M.start_following(options)
  return (start(settings_of(options), true))
end

local function alive(self)
  if self.stopped then
    error("bitrix.portal: the portal has been stopped", 3)
  end
end

local function append(self, lines)
  local file = assert(io.open(self.directory .. "/script", "ab"))
  assert(file:write(lines))
  assert(file:close())
end

-- Gives an order to front.lua. It takes it up with the next request, and reckons from now.
local function order(self, what)
  what.at = uptime.now()
  append(self, json.encode(what) .. "\n")
end

--- Scripts the next requests. Rules are used up in order, one for each request, after those that are still there.
-- Raises for an unknown field or a wrong type.
-- @tparam table rules a list of rules; the fields of a rule are in doc/emulator.md
function Portal:script(rules)
  alive(self)
  if type(rules) ~= "table" or (rules[1] == nil and next(rules) ~= nil) then
    error("bitrix.portal: script takes a list of rules", 2)
  end
  local lines = {}
  for i, rule in ipairs(rules) do
    local ok, problem = fault.check(rule)
    if not ok then
      error(("bitrix.portal: script[%d]: %s"):format(i, problem), 2)
    end
    lines[i] = json.encode { rule = fault.prepared(rule) } .. "\n"
  end
  append(self, table.concat(lines))
end

local function read_lines(path)
  local list = {}
  -- A last line without its end is still being written.
  for line in (files.read(path) or ""):gmatch("([^\n]+)\n") do
    list[#list + 1] = assert(json.decode(line))
  end
  return list
end

--- What was received since the start or the last `clear`, in order.
-- @treturn table a list of `{ time (seconds since 1970), http_method, path, query, http_version (number), headers
--   (lower-case name → value), body (raw), method, params, user, executed (boolean: the method was run), commands (of a
--   batch), refused (over the limit), replayed (by its Idempotency-Key), status (nil: no answer), ip, connection
--   (integer), tls }`
function Portal:journal()
  alive(self)
  return read_lines(self.directory .. "/journal")
end

--- Forgets the journal and the rules that are left.
function Portal:clear()
  alive(self)
  order(self, { clear = true })
  assert(files.write(self.directory .. "/journal", ""))
end

-- The address that tokens and events say the portal has.
local function address_of(self, tls)
  local url = tls and self.tls_url or self.url
  return self.app.domain and ("%s://%s/"):format(tls and "https" or "http", self.app.domain) or url
end

local ISSUE = { expires_in = check.SECONDS, user = "number", tls = "boolean", access_token = "string",
  refresh_token = "string" }

local function checked(what, given, known)
  local ok, problem = pcall(check.table, what, given, known)
  if not ok then
    error(problem, 3)
  end
  return given
end

--- An authorization code of the application, as the portal gives one to the user's browser. It works once.
-- @tparam[opt] table options `user` (integer; default: the webhook's)
-- @treturn string
function Portal:issue_code(options)
  alive(self)
  options = checked("issue_code option", options or {}, { user = "number" })
  local code = random.letters(40)
  order(self, { code = { code = code, user = options.user or self.user } })
  return code
end

--- A pair of tokens of the application, as if the token host had given them out.
-- @tparam[opt] table options `expires_in` (seconds; default: the app's), `user` (integer; default: the webhook's),
--   `tls` (boolean: `client_endpoint` is the one with TLS), `access_token`, `refresh_token` (strings; default: made up)
-- @treturn table what the token host answers, see doc/emulator.md
function Portal:issue_tokens(options)
  alive(self)
  options = checked("issue_tokens option", options or {}, ISSUE)
  if options.tls and not self.tls_url then
    error("bitrix.portal: issue_tokens option 'tls': the portal was started without", 2)
  end
  local tokens = oauth.made_up(options.expires_in or self.app.expires_in, options.user or self.user)
  tokens.access_token = options.access_token or tokens.access_token
  tokens.refresh_token = options.refresh_token or tokens.refresh_token
  order(self, { tokens = tokens })
  return oauth.described(self.app, address_of(self, options.tls), tokens, os.time())
end

--- Lets all access tokens run out that there are now, `p.token` as well.
function Portal:expire_tokens()
  alive(self)
  order(self, { expire = true })
end

--- The portal gets a new address: from now on every REST call is answered with 302 and the same path there. The token
-- host stays, and tells the new address.
-- @tparam ?string url of the new portal, `https://new.example/`; nil: it is here again
-- @tparam[opt] string host only calls by this host name are sent on
function Portal:move(url, host)
  alive(self)
  if url ~= nil and (type(url) ~= "string" or not url:find("^https?://[^/]+")) then
    error("bitrix.portal: move takes the address of a portal, or nil", 2)
  end
  order(self, { move = { url = url and url:gsub("/+$", "") .. "/", host = host and host:lower() } })
end

--- Sends an event to an application's handler, as a form that looks like the portal's, and waits for the answer.
-- @tparam table options `url` and `event` (strings); the rest optional: `data` (table), `ts` (seconds since 1970;
--   default now), `application_token` (string; default: the app's), `auth` (table: more of it, or other), `tokens`
--   (table: what `issue_tokens` returned, to go into `auth`; the event ONAPPINSTALL brings new ones by itself),
--   `ca_file` (path: whom to trust), `timeout` (seconds, default 10), `wait` (boolean; false: come back at once)
-- @return the answer's status (integer) and body; true without waiting; or nil and why there was no answer
function Portal:send_event(options)
  alive(self)
  local ok, problem = pcall(events.check, options)
  if not ok then
    error(problem, 2)
  end
  local tls = self.tls_url ~= nil
  local auth = oauth.portal(self.app, address_of(self, tls))
  auth.application_token = options.application_token or self.app.application_token
  local tokens = options.tokens or events.is_installation(options.event) and self:issue_tokens { tls = tls }
  for name, value in pairs(tokens or {}) do
    auth[name] = value
  end
  return events.post(self.directory, events.form({
    event = options.event, data = options.data, ts = options.ts or os.time(), auth = options.auth,
  }, auth), options)
end

--- The state of the portal: `{ users =, groups =, backlogs =, epics =, sprints =, stages =, tasks = }`, each a list of
-- rows ordered by id. It can be the `seed` of another portal.
function Portal:dump()
  alive(self)
  local state = domain.new(rows.grown(self.seed, self.rows, self.user))
  for _, change in ipairs(read_lines(self.directory .. "/changes")) do
    if change.row then
      state:put(change.kind, change.row)
    else
      state:remove(change.kind, change.id)
    end
  end
  return state:dump()
end

--- A number that is another one after each change of the state.
function Portal:change_count()
  alive(self)
  local file = assert(io.open(self.directory .. "/changes", "rb"))
  local size = file:seek("end")
  file:close()
  return size
end

--- Waits for the next request of a portal that was made by `start_following`.
-- @treturn ?string a line about it; "" from time to time without one; nil when there will be no more
-- @treturn ?string why: "closed" (nobody reads standard output any more) or what happened to nginx
function Portal:next_line()
  alive(self)
  local event = self.process:next_event()
  if not event then
    return nil, "interrupted"
  end
  if event == "closed" or event:find("^ended") then
    return nil, event == "closed" and event or "nginx " .. event
  end
  return event:match("^request (.*)") or ""
end

--- Stops the portal and removes its files. May be called again. Happens by itself when the portal is collected, when
-- the process ends, and when it is killed.
function Portal:stop()
  self.stopped = true
  if self.process then
    self.process:stop()
  end
end

Portal.__gc = Portal.stop
Portal.__close = Portal.stop

function Portal:__tostring()
  return self.stopped and "bitrix.portal (stopped)" or "bitrix.portal " .. self.url
end

return M
