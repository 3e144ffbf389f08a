-- The benchmark of many calls: 10,000 backlogs by client:bulk and by the official JavaScript SDK's batches against an
-- emulated portal whose bucket is the real one's with a faster clock, and 100,000 rows listed fast. Prints two tables.
-- Usage: lua many.lua; lua many.lua list WEBHOOK: one contender, for itself.
local bitrix = require "bitrix"
local core = require "bitrix.core"
local json = require "dkjson"

local COUNT, ROWS = 10000, 100000
local BURST, RATE, TICK = 50, 2, 0.1 -- all clocks run ten times faster
local COMMANDS = 50

local function list(webhook)
  local client = bitrix.new{ webhook = webhook, limit = false }
  local started, read = core.now(), 0
  local rows = client:list("tasks.task.list", { select = { "ID", "TITLE" } }, { fast = true })
  for _ in rows do read = read + 1 end
  local status = io.open("/proc/self/status")
  local peak = tonumber((status and status:read("*a") or ""):match("VmHWM:%s*(%d+)")) or 0
  print(json.encode{ rows = read, requests = rows.requests, seconds = core.now() - started, kib = peak })
end

if arg[1] == "list" then return list(arg[2]) end

local function capture(command)
  local pipe = assert(io.popen(command))
  local output = pipe:read("*a")
  pipe:close()
  return output
end

local function start()
  local groups = {}
  for i = 1, COUNT do groups[i] = { id = i } end
  local limit = { burst = BURST, rate = RATE, tick = TICK }
  return require("bitrix.portal").start{ groups = groups, tls = true, limit = limit }
end

-- What the portal saw of a contender.
local function seen(portal)
  local requests, refused = 0, 0
  for _, row in ipairs(portal:journal()) do
    requests = requests + 1
    if row.refused then refused = refused + 1 end
  end
  return { requests = requests, refused = refused, made = #portal:dump().backlogs }
end

-- The client's clock, too: what its limiter allows for is in seconds.
local function hurry()
  local now, sleep = core.now, core.sleep
  core.now = function() return now() / TICK end
  core.sleep = function(seconds) sleep(seconds * TICK) end
end

local function ours()
  local portal = start()
  hurry()
  local client = bitrix.new{ webhook = portal.tls_webhook, ca_file = portal.ca_file }
  local i = 0
  local summary = client:bulk(function()
    i = i + 1
    return i <= COUNT and i or nil
  end, function(batch, id) return batch.scrum.backlog_add{ groupId = id, createdBy = 6 } end, { concurrency = 1 })
  local row = seen(portal)
  row.name, row.seconds = "this client", summary.seconds
  portal:stop()
  return row
end

local function sdk()
  local installed = os.execute([[
    mkdir -p build/interop && cd build/interop && cp ../../spec/interop/package.json ../../bench/many.mjs . &&
    { [ -d node_modules/@bitrix24/b24jssdk ] ||
      npm install --no-audit --no-fund --no-package-lock >install.log 2>&1; }]])
  if not (installed == true or installed == 0) then
    return nil, "the JavaScript SDK could not be had from npm: see build/interop/install.log"
  end
  local portal = start()
  local output = capture(("cd build/interop && env -u LD_PRELOAD NODE_EXTRA_CA_CERTS='%s' timeout 300 node many.mjs "
    .. "'%s' %d %d %g 2>&1"):format(portal.ca_file, portal.tls_webhook, COUNT, BURST, RATE / TICK))
  local seconds = output:match("SECONDS ([%d.]+)")
  local row = seen(portal)
  portal:stop()
  if not seconds then return nil, "the JavaScript SDK failed: " .. output:sub(-300) end
  row.name, row.seconds = "official JavaScript SDK", tonumber(seconds) / TICK
  return row
end

local requests = math.ceil(COUNT / COMMANDS)
local floor = (requests - BURST) / RATE

print(("\n%d backlogs, %d commands a request; the portal takes %d requests, and %d a second; clocks %.0f times faster")
  :format(COUNT, COMMANDS, BURST, RATE, 1 / TICK))
print(("floor: %d requests, (%d - %d) / %d = %.1f s\n"):format(requests, requests, BURST, RATE, floor))
print(("%-26s %10s %10s %8s %10s %12s"):format("", "backlogs", "requests", "503s", "seconds", "over floor"))
for _, contender in ipairs{ ours, sdk } do
  local row, problem = contender()
  if row then
    print(("%-26s %10d %10d %8d %10.2f %12.3f"):format(row.name, row.made, row.requests, row.refused, row.seconds,
      row.seconds / floor))
  else
    io.stderr:write("bench: no line for the SDK: ", problem, "\n")
  end
end

local portal = require("bitrix.portal").start{ rows = { tasks = ROWS } }
local interpreter = arg[-1] or "lua5.4"
local result = json.decode(capture(("%s bench/many.lua list '%s'"):format(interpreter, portal.webhook)))
portal:stop()
print(("\n%d rows of tasks.task.list, fast\n"):format(ROWS))
print(("%10s %10s %22s %10s %16s"):format("rows", "requests", "rows a batch request", "seconds", "peak memory"))
-- The first request is one page alone: most lists have no more.
print(("%10d %10d %22.0f %10.2f %12.1f MiB"):format(result.rows, result.requests,
  (result.rows - 50) / (result.requests - 1), result.seconds, result.kib / 1024))
