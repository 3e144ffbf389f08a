-- Measures what bench/openresty/run has started, with wrk, and prints tables. Medians of three interleaved rounds;
-- behind each number how far the rounds are apart. Ratios count: the load, the stub and the worker share the machine.
-- Environment: BENCH_OURS, BENCH_COSOCKET, BENCH_BLOCKING, BENCH_DIRECTORY from `run`; BENCH_SECONDS, BENCH_MEMORY.
local file = require "bitrix.portal.file"

local DIRECTORY = assert(os.getenv "BENCH_DIRECTORY")
local SECONDS = tonumber(os.getenv "BENCH_SECONDS" or 2)
local MEMORY = tonumber(os.getenv "BENCH_MEMORY" or 200000)
local ROUNDS = 3

local OURS, COSOCKET, BLOCKING = "ours", "cosocket", "blocking"
local TITLES = { ours = "ours", cosocket = "(b) cosocket", blocking = "(a) blocking" }

local AIM_RATIO = { [0] = 0.7, [5] = 1.0, [100] = 1.0 }
local AIM_CPU = 1.8

local function url(name, path) return assert(os.getenv("BENCH_" .. name:upper())) .. path end

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

-- ---- one measurement ----

local UNITS = { us = 1e-3, ms = 1, s = 1e3, m = 6e4 }

local function milliseconds(text)
  local number, unit = text:match "^([%d.]+)(%a+)$"
  return tonumber(number) * UNITS[unit]
end

--- The start of a wrk that `finish` ends.
local function load_on(name, path, connections, seconds)
  return assert(io.popen(("wrk -t1 -c%d -d%ds --timeout 60s --latency %s 2>&1"):format(connections, seconds,
    url(name, path))))
end

local function finish(pipe)
  local text = pipe:read "*a"
  pipe:close()
  local requests = tonumber(text:match "(%d+) requests in")
  assert(requests, text)
  assert(not text:find "Non%-2xx" and not text:find "Socket errors", text)
  return {
    requests = requests,
    rate = tonumber(text:match "Requests/sec:%s+([%d.]+)"),
    -- Without an answer wrk says 0.
    p50 = requests > 0 and milliseconds(text:match "\n%s+50%%%s+(%S+)") or math.huge,
    p99 = requests > 0 and milliseconds(text:match "\n%s+99%%%s+(%S+)") or math.huge,
  }
end

local function wrk(...) return finish(load_on(...)) end

--- Waits until a server has done what an earlier load left it.
local function settle(name)
  assert(run("curl -sS --max-time 60 " .. url(name, "/ping")) == "pong")
end

local function pid(name) return assert(file.read(("%s/%s.pid"):format(DIRECTORY, name))):match "%d+" end

local TICKS = tonumber(run "getconf CLK_TCK")

--- Seconds of CPU that a worker took until now, user and system.
local function cpu(name)
  local stat = assert(file.read(("/proc/%s/stat"):format(pid(name)))):match "%) (.*)"
  local fields = {}
  for word in stat:gmatch "%S+" do fields[#fields + 1] = word end
  return (fields[12] + fields[13]) / TICKS
end

local function memory(name)
  return tonumber(assert(file.read(("/proc/%s/status"):format(pid(name)))):match "VmRSS:%s+(%d+)") / 1024
end

-- ---- tables ----

local function median(list)
  table.sort(list)
  return list[math.floor(#list / 2) + 1]
end

--- The median and how far the rounds are apart, in per cent of it to either side.
local function summary(list)
  local middle = median(list)
  return middle, (list[#list] - list[1]) / 2 / middle * 100
end

local function verdict(met) return met and "met" or "NOT MET" end

--- Of a ratio that is to be at least `aim`, when its two sides are known to so many per cent.
local function verdict_of_ratio(ratio, aim, noise)
  if ratio >= aim then return "met" end
  return ratio * (1 + noise / 100) >= aim and "within noise" or "NOT MET"
end

local function row(title, ...) io.write(("%-22s"):format(title), ...) io.write "\n" end

local function cell(text) return ("%22s"):format(text) end

local function print_rates()
  local cases = {}
  for _, ms in ipairs { 0, 5, 100 } do
    for _, connections in ipairs { 50, 200 } do cases[#cases + 1] = { ms = ms, connections = connections } end
  end
  io.write(("\nCalls a second and CPU of the worker a call (%d s each)\n\n"):format(SECONDS))
  row("stub, connections", cell(TITLES.ours), cell(TITLES.cosocket), cell(TITLES.blocking),
    ("%28s"):format "ours / (b)", cell "CPU ours / (b)")
  for _, case in ipairs(cases) do
    local rates, times = {}, {}
    for _ = 1, ROUNDS do
      for _, name in ipairs { OURS, COSOCKET, BLOCKING } do
        settle(name)
        local before = cpu(name)
        local r = wrk(name, "/call/" .. case.ms, case.connections, SECONDS)
        local taken = cpu(name) - before
        rates[name] = rates[name] or {}
        times[name] = times[name] or {}
        table.insert(rates[name], r.rate)
        table.insert(times[name], taken / r.requests * 1e6)
      end
    end
    local cells, rate, time, noise = {}, {}, {}, 0
    for _, name in ipairs { OURS, COSOCKET, BLOCKING } do
      local middle, spread = summary(rates[name])
      rate[name], time[name] = middle, median(times[name])
      if name ~= BLOCKING then noise = math.max(noise, spread, 0.5) end
      cells[#cells + 1] = cell(("%.0f +-%.0f%% %4.0f us"):format(middle, spread, time[name]))
    end
    local ratio, load = rate[OURS] / rate[COSOCKET], time[OURS] / time[COSOCKET]
    local aim = AIM_RATIO[case.ms]
    cells[#cells + 1] = ("%28s"):format(("%.2f (%.1f: %s)"):format(ratio, aim, verdict_of_ratio(ratio, aim, noise)))
    cells[#cells + 1] = cell(case.ms == 5 and ("%.2f (%.1f: %s)"):format(load, AIM_CPU, verdict(load <= AIM_CPU))
      or ("%.2f"):format(load))
    row(("%d ms, %d"):format(case.ms, case.connections), table.concat(cells))
  end
end

local function print_latency()
  io.write "\nAn unrelated handler while 200 calls to the 100 ms stub are in flight: p50, p99 in ms\n\n"
  local taken = {}
  for _ = 1, ROUNDS do
    for _, name in ipairs { OURS, COSOCKET } do
      settle(name)
      local load = load_on(name, "/call/100", 200, SECONDS + 2)
      run "sleep 1"
      local r = wrk(name, "/ping", 1, SECONDS)
      finish(load)
      taken[name] = taken[name] or { p50 = {}, p99 = {} }
      table.insert(taken[name].p50, r.p50)
      table.insert(taken[name].p99, r.p99)
    end
  end
  local p99, noise = {}, 0
  for _, name in ipairs { OURS, COSOCKET } do
    local half, spread50 = summary(taken[name].p50)
    local most, spread99 = summary(taken[name].p99)
    p99[name], noise = most, math.max(noise, spread99)
    row(TITLES[name], cell(("%.2f +-%.0f%%"):format(half, spread50)), cell(("%.2f +-%.0f%%"):format(most, spread99)))
  end
  row("", ("p99 no worse than (b)'s beyond the noise: %s\n"):format(verdict(
    p99[OURS] <= p99[COSOCKET] * (1 + 2 * noise / 100))))
end

local function print_memory()
  io.write(("\nResident memory over %d requests (0 ms stub, 50 connections), after 20,000 to warm up\n\n"):format(
    MEMORY))
  for _, name in ipairs { OURS, COSOCKET } do
    settle(name)
    local warm, done = 0, 0
    while warm < 20000 do warm = warm + wrk(name, "/call/0", 50, SECONDS).requests end
    local before = memory(name)
    while done < MEMORY do done = done + wrk(name, "/call/0", 50, 5).requests end
    local after = memory(name)
    row(TITLES[name], ("%.1f MB, then %.1f MB after %d more: %+.1f MB\n"):format(before, after, done, after - before))
  end
end

io.write("One backlog_add in a handler of an nginx with one worker, against a stub on loopback.\n",
  "ours: this client. (a): the same, blocking. (b): a cosocket client written by hand for this call alone.\n",
  ("%s CPUs; load average before: %s"):format(run "getconf _NPROCESSORS_ONLN":match "%d+",
    assert(file.read "/proc/loadavg")))
print_rates()
print_latency()
print_memory()
