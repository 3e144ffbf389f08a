-- The emulator inside nginx: receives a request, lets front.lua say how it is to be answered, writes the journal, lets
-- sender.lua send. Has no rules of its own.

local bucket = require "bitrix.portal.bucket"
local domain = require "bitrix.portal.domain"
local files = require "bitrix.portal.file"
local front = require "bitrix.portal.front"
local json = require "bitrix.portal.json"
local oauth = require "bitrix.portal.oauth"
local operating = require "bitrix.portal.operating"
local rest = require "bitrix.portal.rest"
local rows = require "bitrix.portal.rows"
local sender = require "bitrix.portal.sender"
local system = require "bitrix.portal.system"
local uptime = require "bitrix.portal.uptime"

local ngx = ngx
local HEARTBEAT = 0.25

local M = {}

local settings, directory, face, journal, script, events
local script_read = 0
local waiting, waiting_last = {}, 0

--- Called once by nginx before it listens.
-- @tparam string path the emulator's directory
function M.init(path)
  directory = path
  settings = assert(json.decode(assert(files.read(path .. "/settings.json"))))
  journal = assert(io.open(path .. "/journal", "ab"))
  local changes = assert(io.open(path .. "/changes", "ab"))
  local tokens = oauth.new { app = settings.app, user = settings.user, token = settings.token }
  face = front.new {
    clock = system.now,
    oauth = tokens,
    bucket = settings.limit and bucket.new(settings.limit),
    entrance = rest.new {
      domain = domain.new(rows.grown(settings.seed, settings.rows, settings.user), function(kind, id, row)
        changes:write(json.encode { kind = kind, id = id, row = row }, "\n")
        changes:flush()
      end),
      user = settings.user,
      secret = settings.secret,
      oauth = tokens,
      operating = settings.operating and operating.new(settings.operating) or settings.operating,
      methods = require "bitrix.portal.methods",
    },
  }
end

local function heartbeat(premature)
  if premature then
    return
  end
  -- The reader may have a signal to attend to, which some Lua versions notice only between two reads.
  system.send(events, system.reader_gone(1) and "closed\n" or "\n")
end

--- Called once by nginx when it listens: tells the starter so.
function M.ready()
  events = system.open_pipe(directory .. "/events")
  if not events then
    return
  end
  system.send(events, "ready\n")
  if settings.follow then
    ngx.timer.every(HEARTBEAT, heartbeat)
  else
    system.close(events)
    events = nil
  end
end

-- Takes up what was added to the script since the last request.
local function read_script()
  if not script then
    script = io.open(directory .. "/script", "rb")
    if not script then
      return
    end
  end
  script:seek("set", script_read)
  -- A last line without its end is still being written.
  for line in script:read("*a"):gmatch("([^\n]*)\n") do
    script_read = script_read + #line + 1
    local order = assert(json.decode(line))
    face:order(order, order.at and math.max(uptime.now() - order.at, 0))
  end
end

local function read_body()
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  if not body then
    local path = ngx.req.get_body_file()
    body = path and files.read(path)
  end
  return body or ""
end

local function read_headers()
  local headers = {}
  for name, value in pairs(ngx.req.get_headers(0)) do
    if type(value) == "table" then
      value = table.concat(value, ", ")
    end
    headers[name] = value == true and "" or value
  end
  return headers
end

local function receive()
  local path, query = ngx.var.request_uri:match("^([^?]*)%??(.*)$")
  local body = read_body()
  local headers = read_headers()
  return {
    time = system.now(),
    http_method = ngx.req.get_method(),
    path = path,
    query = query,
    http_version = ngx.req.http_version(),
    headers = headers,
    body = body,
    ip = ngx.var.remote_addr,
    connection = tonumber(ngx.var.connection),
    tls = ngx.var.https == "on",
  }
end

local function encode_entry(entry)
  local ok, line = pcall(json.encode, entry)
  if not ok then
    -- Parameters nested too deep to be written down; the raw body still shows them.
    entry.params = nil
    line = json.encode(entry)
  end
  return line
end

local function write_journal(entry)
  if settings.follow then
    return
  end
  journal:write(encode_entry(entry), "\n")
  journal:flush()
end

local function hide(text)
  local from, to = text:find(settings.secret, 1, true)
  while from do
    text = text:sub(1, from - 1) .. "***" .. text:sub(to + 1)
    from, to = text:find(settings.secret, from + 3, true)
  end
  return text
end

local function report(entry, started)
  if not events then
    return
  end
  local line = ("%s %s %s %s %.1f ms"):format(os.date("%H:%M:%S"), entry.http_method, entry.method or "-",
    entry.status or "dropped", (system.now() - started) * 1000)
  system.send(events, "request " .. hide(line):gsub("%c", "?"):sub(1, 1000) .. "\n")
end

--- Answers a request.
function M.answer()
  local started = ngx.req.start_time()
  local entry = receive()
  read_script()
  local plan = face:answer(entry)
  write_journal(entry)
  if plan.delay and plan.delay > 0 then
    -- nginx counts from its last look at the clock, in whole milliseconds: it would wake up early.
    ngx.update_time()
    ngx.sleep(plan.delay + 0.001)
  end
  if plan.drop then
    report(entry, started)
    return sender.drop(plan.drop)
  end
  if plan.gzip then
    -- nginx compresses by location, and nothing but an address survives the way to another one.
    waiting_last = waiting_last + 1
    waiting[waiting_last] = { plan = plan, entry = entry, started = started }
    return ngx.exec("/bitrix-portal/gzip", "n=" .. waiting_last)
  end
  sender.send(plan)
  report(entry, started)
end

--- Answers a request whose answer is to be compressed; reached through `answer` only.
function M.answer_compressed()
  local number = tonumber(ngx.var.arg_n)
  local held = waiting[number]
  waiting[number] = nil
  sender.send(held.plan)
  report(held.entry, held.started)
end

return M
