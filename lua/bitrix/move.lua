--- Portals that move: may a redirect be followed, and what is done when it may.
-- A credential goes to no host that these rules do not permit. Only `follow` and `recall` touch anything; they do
-- not wait.
local core = require "bitrix.core"
local warn = require "bitrix.warn"

local _M = {}

local MOST = 5 -- moves within one call

local DEFAULT_PORTS = { https = "443", http = "80" }

-- "https://Acme.bitrix24.com:443/rest/x" → { scheme, host, port, origin, path }; nil for what is not plainly that.
local function parse(address)
  local scheme, host, rest = address:match("^(%a+)://(%[[%x:.]+%])(.*)$")
  if not scheme then scheme, host, rest = address:match("^(%a+)://([%w.-]+)(.*)$") end
  if not scheme then return nil end
  scheme, host = scheme:lower(), host:lower()
  local port, path = rest:match("^:(%d+)(.*)$")
  path = path or rest
  if path ~= "" and path:sub(1, 1) ~= "/" or not DEFAULT_PORTS[scheme] then return nil end
  port = port or DEFAULT_PORTS[scheme]
  local shown = port ~= DEFAULT_PORTS[scheme] and ":" .. port or ""
  return { scheme = scheme, host = host, port = port, path = path, origin = scheme .. "://" .. host .. shown }
end

local function is_loopback(host)
  return host == "localhost" or host == "[::1]" or host:find("^127%.%d+%.%d+%.%d+$") ~= nil
end

-- Bitrix24's own zones: bitrix24.com, .net, .tech, those of countries, .com.br and its like.
local function is_cloud(host)
  local zone = host:match("^[%w-][%w.-]*%.bitrix24%.([%a.]+)$")
  return zone ~= nil and (zone == "com" or zone == "net" or zone == "tech" or zone:find("^%a%a$") ~= nil
    or zone:find("^com%.%a%a$") ~= nil)
end

local function is_same_kind(from, to)
  return from == to or is_cloud(from) and is_cloud(to)
end

local function matches(host, pattern)
  pattern = pattern:lower()
  local suffix = pattern:match("^%*(%..+)$")
  if suffix then return #host > #suffix and host:sub(-#suffix) == suffix end
  return host == pattern
end

local function is_allowed(from, to, allow)
  if allow == nil then return is_same_kind(from, to) end
  if type(allow) == "function" then return allow(to, from) == true end
  for _, pattern in ipairs(allow) do
    if matches(to, pattern) then return true end
  end
  return false
end

--- Whether a portal's redirect may be followed.
-- @tparam string from where the call was sent, "https://acme.bitrix24.com"
-- @tparam string location where the answer points to
-- @param[opt] allow the option `allow_hosts`
-- @treturn[1] string the new place, "https://new.bitrix24.de"
-- @return[2] nil, why not
function _M.check(from, location, allow)
  local here, there = parse(from), parse(location)
  if not here or not there then return nil, "the address is not understood" end
  -- In the clear only within this machine.
  local within = here.scheme == "http" and is_loopback(here.host) and is_loopback(there.host)
  if there.scheme ~= "https" and not within then return nil, "https expected" end
  if not there.path:find("/rest/", 1, true) then return nil, "that is no REST address" end
  if here.origin == there.origin then return nil, "that is where it came from (an expired licence does that)" end
  if not is_allowed(here.host, there.host, allow) then return nil, "option 'allow_hosts' does not permit that host" end
  return there.origin
end

--- Checks the options `allow_hosts`, `on_move` and `store`.
-- @tparam table options a client's
-- @treturn[1] table what a client's state has as `move`
-- @return[2] nil, message that names the option
function _M.options(options)
  local allow, on_move, store = options.allow_hosts, options.on_move, options.store
  if allow ~= nil and type(allow) ~= "table" and type(allow) ~= "function" then
    return nil, "option 'allow_hosts': a list of host names or a function expected, got " .. type(allow)
  end
  for _, pattern in ipairs(type(allow) == "table" and allow or {}) do
    if type(pattern) ~= "string" or not pattern:find("^%*?[%w.%-%[%]:]+$") or pattern:find("^%*[^.]") then
      return nil, "option 'allow_hosts': host names expected, like 'acme.example' or '*.acme.example'"
    end
  end
  if on_move ~= nil and type(on_move) ~= "function" then
    return nil, "option 'on_move': function expected, got " .. type(on_move)
  end
  if store ~= nil and (type(store) ~= "table" or not (store.load and store.save and store.lock)) then
    return nil, "option 'store': a store expected: an object with load, save and lock"
  end
  return { allow = allow, on_move = on_move, store = store }
end

local function key_of(state) return "move:" .. state.move.home end

--- Goes where the portal has moved to, when a store remembers that. Called before a client's first attempt.
-- @treturn ?string what went wrong with the store
function _M.recall(state)
  local move = state.move
  if move.recalled then return end
  move.home = state.session:place()
  move.recalled = true
  if not move.store then return end
  local known, problem = move.store:load(key_of(state))
  if problem then
    move.recalled = false
    return problem
  end
  -- Asked again: what is allowed may be other than it was.
  local origin = known and _M.check(move.home, tostring(known.place) .. "/rest/", move.allow)
  if origin and state.session:move(origin) then state.on_place() end
end

-- The places that each call under way has been sent to.
local journeys = setmetatable({}, { __mode = "k" })

--- Takes the client to where a redirect points, if it may go there.
-- @tparam table state a client's: `session`, `move`
-- @param exchange the call that was answered so
-- @tparam string location the target, `err.redirect`
-- @treturn[1] boolean true: send the exchange again
-- @return[2] nil, why not
function _M.follow(state, exchange, location)
  local from, session, move = exchange:place(), state.session, state.move
  local journey = journeys[exchange] or { count = 0, seen = {} }
  journeys[exchange] = journey
  journey.count = journey.count + 1
  journey.seen[parse(from).origin] = true
  local origin, why = _M.check(from, location, move.allow)
  if not origin then return nil, why end
  if journey.seen[origin] or journey.count > MOST then return nil, "it leads in a circle" end
  if parse(session:place()).origin == origin then return true end -- another call was here first
  local moved, problem = session:move(origin)
  if not moved then return nil, problem end
  state.on_place()
  if move.store then
    local saved, trouble = move.store:save(key_of(state), { place = origin })
    if not saved then warn("move", "the portal's new address was not saved: " .. core.redact(tostring(trouble))) end
  end
  if move.on_move then
    local ok, trouble = pcall(move.on_move, origin, from)
    -- A listener that fails must not cost the caller the outcome of a call.
    if not ok then warn("on_move", "on_move failed: " .. core.redact(tostring(trouble))) end
  end
  return true
end

return _M
