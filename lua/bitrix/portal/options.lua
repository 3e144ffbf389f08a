-- Checks the options of portal.start and fills in what is missing, the default portal included.

local bucket = require "bitrix.portal.bucket"
local check = require "bitrix.portal.check"
local oauth = require "bitrix.portal.oauth"
local operating = require "bitrix.portal.operating"
local rows_reader = require "bitrix.portal.rows"
local seed_reader = require "bitrix.portal.seed"

local M = {}

local fail, is_id, integer = check.fail, check.is_id, check.integer

local OPTIONS = {
  port = "number", tls = "boolean", secret = "string", user = "number", users = "table", groups = "table",
  token = "string", seed = { "table", "string" }, limit = { "table", "string", "boolean" },
  operating = { "table", "boolean" }, app = "table", hosts = "table", rows = "table",
}
-- What is there when nothing is said: see doc/emulator.md.
local DEFAULT_USERS = { { id = 1, admin = true }, { id = 6 } }
local DEFAULT_GROUPS = {
  { id = 125 },
  { id = 126 },
  { id = 127, scrum = false },
  { id = 128, members = { 6 }, backlog = { id = 900, createdBy = 6 } },
  { id = 129, backlog = { id = 901, createdBy = 6, items = 3 } },
}

local USER = { id = "number", admin = "boolean" }
local GROUP = { id = "number", scrum = "boolean", members = "table", backlog = "table" }
local BACKLOG = { id = "number", createdBy = "number", modifiedBy = "number", items = "number" }

-- A list of ids, or nil.
local function ids(what, list)
  if list == nil then
    return nil
  end
  local result = {}
  for i, id in ipairs(list) do
    if not is_id(id) then
      fail("%s[%d]: id expected, got %s", what, i, tostring(id))
    end
    result[i] = integer(id)
  end
  return result
end

local function users_of(list, webhook_user)
  local rows, seen = {}, {}
  for i, user in ipairs(list) do
    local row = type(user) == "table" and user or { id = user }
    check.table(("users[%d] field"):format(i), row, USER)
    if not is_id(row.id) then
      fail("users[%d]: an id is missing", i)
    end
    seen[row.id] = true
    rows[i] = { id = integer(row.id), admin = row.admin or false }
  end
  if not seen[webhook_user] then
    rows[#rows + 1] = { id = webhook_user, admin = true }
  end
  return rows
end

local function groups_of(list)
  local groups, backlogs, taken = {}, {}, {}
  for i, group in ipairs(list) do
    local what = ("groups[%d]"):format(i)
    check.table(what .. " field", group, GROUP)
    if not is_id(group.id) then
      fail("%s: an id is missing", what)
    end
    local id = integer(group.id)
    groups[i] = { id = id, scrum = group.scrum ~= false, members = ids(what .. ".members", group.members) }
    local backlog = group.backlog
    if backlog then
      check.table(what .. ".backlog field", backlog, BACKLOG)
      local row = { groupId = id, createdBy = integer(backlog.createdBy or 0),
        modifiedBy = integer(backlog.modifiedBy or 0), items = integer(backlog.items or 0) }
      row.id = backlog.id and integer(backlog.id)
      if row.id and (row.id == 0 or taken[row.id]) then
        fail("%s.backlog: id %d cannot be had", what, row.id)
      end
      taken[row.id or 0] = true
      backlogs[#backlogs + 1] = row
    end
  end
  local free = 1
  for _, row in ipairs(backlogs) do
    if not row.id then
      while taken[free] do
        free = free + 1
      end
      row.id = free
      taken[free] = true
    end
  end
  return groups, backlogs
end

local function seed_of(options, user)
  if options.seed then
    for _, name in ipairs { "users", "groups" } do
      if options[name] then
        fail("option '%s' cannot be had with 'seed'", name)
      end
    end
    return seed_reader.read(options.seed, user)
  end
  local groups, backlogs = groups_of(options.groups or DEFAULT_GROUPS)
  return { users = users_of(options.users or DEFAULT_USERS, user), groups = groups, backlogs = backlogs }
end

-- The host names and addresses that the portal has besides 127.0.0.1 and localhost.
local function hosts_of(list)
  local hosts = {}
  for i, host in ipairs(list or {}) do
    if type(host) ~= "string" or not host:find("^%w[%w.-]*$") then
      fail("hosts[%d]: host name expected, got %s", i, tostring(host))
    end
    if host:find("^[%d.]+$") and not host:find("^127%.%d+%.%d+%.%d+$") then
      fail("hosts[%d]: an address on loopback expected, got %s", i, host)
    end
    hosts[i] = host:lower()
  end
  return hosts
end

--- Checks options. Raises what is wrong with them, without a position.
-- @tparam ?table options see portal.start
-- @treturn table `port`, `tls`, `secret` and `token` (nil: to be made up), `user`, `seed` (for domain.new), `rows` (for
--   rows.grown), `limit` (for bucket.new, nil: none), `operating` (for operating.new, nil: none, false: not answered),
--   `app` (for oauth.new), `hosts` (list of names)
function M.read(options)
  options = options or {}
  check.table("option", options, OPTIONS)
  if (options.port or 0) > 65535 then
    fail("option 'port': at most 65535 expected, got %d", options.port)
  end
  if options.user and not is_id(options.user) then
    fail("option 'user': id expected, got %s", tostring(options.user))
  end
  if options.secret and not options.secret:find("^[%w_-]+$") then
    fail("option 'secret': letters, digits, _ and - expected")
  end
  if options.token and not options.token:find("^[%w._-]+$") then
    fail("option 'token': letters, digits, ., _ and - expected")
  end
  local user = integer(options.user or 1)
  local seed = seed_of(options, user)
  return {
    port = integer(options.port or 0),
    tls = options.tls or false,
    secret = options.secret,
    user = user,
    token = options.token,
    limit = bucket.read(options.limit),
    operating = operating.read(options.operating),
    app = oauth.read(options.app),
    hosts = hosts_of(options.hosts),
    seed = seed,
    rows = rows_reader.read(options.rows, seed),
  }
end

return M
