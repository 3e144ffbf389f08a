--- A Bitrix24 portal on loopback, for specs: start it, call it, look at what it received.
-- This file is the owner's side: it starts and stops the server, hands it scripts, reads its journal; it answers
-- nothing.
--
--     local portal = require "bitrix.portal"
--     local p = portal.start()
--     ... call p.webhook .. "tasks.api.scrum.backlog.add" ...
--     p:stop()
-- @module bitrix.portal

local config = require "bitrix.portal.config"
local domain = require "bitrix.portal.domain"
local fault = require "bitrix.portal.fault"
local files = require "bitrix.portal.file"
local json = require "bitrix.portal.json"
local options_reader = require "bitrix.portal.options"
local pki = require "bitrix.portal.pki"
local port = require "bitrix.portal.port"
local process = require "bitrix.portal.process"
local random = require "bitrix.portal.random"

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
    assert(pki.create(directory, hexadecimal()))
  end
  assert(files.write(directory .. "/settings.json", json.encode {
    seed = settings.seed, user = settings.user, secret = settings.secret, token = settings.token,
    follow = settings.follow, limit = settings.limit,
  }))
  local problem
  for _ = 1, ATTEMPTS do
    self.port, self.tls_port = choose_ports(settings)
    assert(files.write(directory .. "/nginx.conf", config.text(self.nginx, {
      directory = directory, port = self.port, tls_port = self.tls_port,
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
    directory = directory, seed = settings.seed, secret = settings.secret, token = settings.token,
    nginx = nginx,
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
--   `{ burst =, rate =, tick = (seconds), phase = (seconds), counts_refused = }`; default: none)
-- @treturn table the portal: `port`, `url`, `webhook`, `secret`, `token`; with `tls` also `tls_port`, `tls_url`,
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
    lines[i] = json.encode(fault.prepared(rule)) .. "\n"
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
--   batch), refused (over the limit), status (nil: no answer), ip, connection (integer), tls }`
function Portal:journal()
  alive(self)
  return read_lines(self.directory .. "/journal")
end

--- Forgets the journal and the rules that are left.
function Portal:clear()
  alive(self)
  append(self, '{"clear":true}\n')
  assert(files.write(self.directory .. "/journal", ""))
end

--- The state of the portal: `{ users =, groups =, backlogs =, epics =, sprints =, stages =, tasks = }`, each a list of
-- rows ordered by id. It can be the `seed` of another portal.
function Portal:dump()
  alive(self)
  local state = domain.new(self.seed)
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
