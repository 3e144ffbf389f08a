-- Measures the contenders against the server that bench/run has started, and prints the tables.
--
-- A contender is a program that makes so many calls and ends. What one call takes is always a difference: a long run
-- less a short one, divided by the difference of their calls. What a program does once (loading, connecting, warming
-- up) is thereby left out, and the same is done to every language.
local shell = require "bitrix.portal.shell"

local function environment(name) return assert(os.getenv(name), name .. " is set by bench/run") end

local DIRECTORY = environment "BENCH_DIRECTORY"
local PLAIN, TLS, TLS_CLOSING = environment "BENCH_PLAIN", environment "BENCH_TLS", environment "BENCH_TLS_CLOSING"
local BARE, METER = "build/bench/bare", "build/bench/meter"

local AIM_RATIO, AIM_TLS = 1.10, 0.005
local COUNTED = { short = 200, long = 700 } -- calls under callgrind, where a call is 50 times slower
local TIMED = { short = 500, long = 6500 }
local CONNECTIONS = { short = 10, long = 50 }
local ROUNDS = 3

-- ---- running ----

-- A command line of words; a word that is a table is taken as it is.
local function command(words)
  local line = {}
  for i, word in ipairs(words) do line[i] = shell.quote(tostring(word)) end
  return table.concat(line, " ")
end

--- Runs a command line and returns what it prints; a contender that fails ends the benchmark.
local function capture(line)
  local log = DIRECTORY .. "/log"
  local pipe = assert(io.popen(line .. " 2>" .. shell.quote(log)))
  local text = pipe:read "*a"
  pipe:close()
  local problem = shell.read_file(log)
  if problem ~= "" then error("bench: " .. line .. ":\n" .. problem, 0) end
  return text
end

--- What each of some commands counts in callgrind; they run at the same time, which does not change their counts.
local function instructions(lines)
  local script, counts = {}, {}
  for i, line in ipairs(lines) do
    local log, exit = ("%s/log.%d"):format(DIRECTORY, i), ("%s/exit.%d"):format(DIRECTORY, i)
    script[i] = ("{ valgrind --tool=callgrind --callgrind-out-file=/dev/null %s; echo $? >%s; } >%s 2>&1 &"):format(
      line, shell.quote(exit), shell.quote(log))
  end
  capture(table.concat(script, "\n") .. "\nwait")
  for i, line in ipairs(lines) do
    local log = shell.read_file(("%s/log.%d"):format(DIRECTORY, i))
    local code = shell.read_file(("%s/exit.%d"):format(DIRECTORY, i))
    counts[i] = tonumber(log:match "Collected : (%d+)")
    if code ~= "0\n" or not counts[i] then error("bench: " .. line .. ":\n" .. log, 0) end
  end
  return counts
end

--- Seconds on the clock and of CPU that a command takes.
local function meter(line)
  local wall, cpu = capture(METER .. " " .. line):match "(%S+) (%S+)"
  return tonumber(wall), tonumber(cpu)
end

-- ---- contenders ----

local columns = {}
for _, built in ipairs { environment "BITRIX_BUILD", os.getenv "BENCH_SECOND" } do
  local id = built:match "[^/]*$"
  local lua = #columns == 0 and environment "LUA" or id
  local cpath = ("LUA_CPATH=%s/?.so;%s"):format(built, environment "LUA_CPATH")
  columns[#columns + 1] = { title = id == "luajit" and "LuaJIT" or "Lua " .. id, prefix = { "env", cpath, lua } }
end

--- The command of a Lua contender in a column, without its arguments; nil when a module is not there.
local function lua_command(column, file, ...)
  local words = {}
  for _, word in ipairs(column.prefix) do words[#words + 1] = word end
  for _, module in ipairs { ... } do
    local try = command(words) .. " -e " .. shell.quote(("require %q"):format(module)) .. " >/dev/null 2>&1"
    local result = os.execute(try)
    if result ~= true and result ~= 0 then return nil end
  end
  words[#words + 1] = "bench/" .. file
  return words
end

local BARE_ROW = "(a) bare C loop over libcurl"
local OURS_ROW = "ours: bitrix.scrum.backlog_add"
local contenders = {
  { title = OURS_ROW, file = "ours.lua", needs = { "bitrix" } },
  { title = BARE_ROW, file = nil, needs = {} },
  { title = "(b) lua-curl + cjson", file = "binding.lua", needs = { "curl", "cjson" } },
  { title = "(c) luasocket + cjson *", file = "socket.lua", needs = { "socket.http", "cjson" } },
}
for _, contender in ipairs(contenders) do
  for i, column in ipairs(columns) do
    if contender.file then
      contender[i] = lua_command(column, contender.file, (table.unpack or unpack)(contender.needs))
    else
      contender[i] = { BARE }
    end
  end
end

-- ---- printing ----

local function median(values)
  table.sort(values)
  return values[math.floor(#values / 2) + 1]
end

local function row(title, cells)
  io.write(("  %-40s"):format(title))
  for i = 1, #columns do io.write(("%22s"):format(cells[i] or "-")) end
  io.write "\n"
  io.flush()
end

local function heading(text)
  io.write("\n", text, "\n\n")
  local titles = {}
  for i, column in ipairs(columns) do titles[i] = column.title end
  row("", titles)
end

local function thousands(n) return ("%.1f thousand"):format(n / 1000) end

local function verdict(met) return met and "met" or "NOT MET" end

-- ---- the three measurements ----

-- A contender's command line with its arguments.
local function calls(words, ...)
  return command(words) .. " " .. command { ... }
end

--- Instructions of one call; `first` is the argument before the number of calls.
local function per_call(words, first)
  local counts = instructions { calls(words, first, COUNTED.short), calls(words, first, COUNTED.long) }
  return (counts[2] - counts[1]) / (COUNTED.long - COUNTED.short)
end

local function print_instructions()
  heading "CPU instructions of one call, client process only (callgrind, warm)"
  local found = {}
  for _, contender in ipairs(contenders) do
    local cells = {}
    found[contender.title] = {}
    for i = 1, #columns do
      -- The C loop is the same in every column.
      if contender.title == BARE_ROW and i > 1 then
        found[contender.title][i] = found[contender.title][1]
      elseif contender[i] then
        found[contender.title][i] = per_call(contender[i], PLAIN)
      end
      local n = found[contender.title][i]
      cells[i] = n and thousands(n)
    end
    row(contender.title, cells)
  end
  local floors = {}
  for _, what in ipairs { "encode", "decode" } do
    local cells = {}
    for i, column in ipairs(columns) do
      local words = lua_command(column, "cjson.lua", "cjson")
      local n = per_call(words, what)
      floors[i] = (floors[i] or found[BARE_ROW][i]) + n
      cells[i] = thousands(n)
    end
    row("cjson " .. what .. " alone", cells)
  end
  local ratios, verdicts = {}, {}
  for i = 1, #columns do
    local ratio = found[OURS_ROW][i] / floors[i]
    ratios[i] = ("%.3f"):format(ratio)
    verdicts[i] = verdict(ratio <= AIM_RATIO)
    floors[i] = thousands(floors[i])
  end
  row("(a) + encode + decode", floors)
  row("ours / that", ratios)
  row(("aim: at most %.2f"):format(AIM_RATIO), verdicts)
end

local function print_rates()
  heading(("Calls a second (medians of %d interleaved rounds, and how far the rounds are apart)"):format(ROUNDS))
  local rates = {}
  for _ = 1, ROUNDS do
    for c, contender in ipairs(contenders) do
      rates[c] = rates[c] or {}
      for i = 1, #columns do
        if contender[i] then
          local lengths = contender.file == "socket.lua" and { short = 100, long = 1100 } or TIMED
          local short = meter(calls(contender[i], PLAIN, lengths.short))
          local long = meter(calls(contender[i], PLAIN, lengths.long))
          rates[c][i] = rates[c][i] or {}
          table.insert(rates[c][i], (lengths.long - lengths.short) / (long - short))
        end
      end
    end
  end
  for c, contender in ipairs(contenders) do
    local cells = {}
    for i = 1, #columns do
      local list = rates[c][i]
      if list then
        local middle = median(list)
        cells[i] = ("%d (+-%.1f %%)"):format(middle, (list[#list] - list[1]) / 2 / middle * 100)
      end
    end
    row(contender.title, cells)
  end
end

--- A file with the machine's CA bundle and the throw-away CA: a client must read one as large as Debian's.
local function ca_file()
  local name = DIRECTORY .. "/bundle.pem"
  for _, path in ipairs { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem" } do
    local bundle = shell.read_file(path)
    if bundle then
      local _, count = bundle:gsub("BEGIN CERTIFICATE", "")
      shell.write_file(name, bundle .. assert(shell.read_file(DIRECTORY .. "/ca.pem")))
      return name, count
    end
  end
  return nil
end

local function print_tls()
  local bundle, count = ca_file()
  if not bundle then
    io.write "\nNo CA bundle on this machine: the CPU of a TLS connection is not measured.\n"
    return
  end
  io.write(("\nCPU of a new TLS connection with a CA bundle of %d certificates (user + system; calls on a\n"):format(count))
  io.write "connection each less calls on a kept one; no session is resumed)\n\n"
  local rows = {}
  for i, column in ipairs(columns) do
    rows[i] = { title = "ours, " .. column.title, words = contenders[1][i] }
  end
  rows[#rows + 1] = { title = "(a) bare C loop, CAPATH off", words = { BARE } }
  rows[#rows + 1] = { title = "(a) bare C loop as it comes", words = { BARE }, last = "capath" }
  local taken = {}
  for _ = 1, ROUNDS do
    for r, entry in ipairs(rows) do
      local cpu = {}
      for n, url in ipairs { TLS_CLOSING, TLS } do
        local difference = 0
        for sign, length in pairs { [1] = CONNECTIONS.long, [-1] = CONNECTIONS.short } do
          local _, seconds = meter(calls(entry.words, url, length, bundle, entry.last))
          difference = difference + sign * seconds
        end
        cpu[n] = difference / (CONNECTIONS.long - CONNECTIONS.short)
      end
      taken[r] = taken[r] or {}
      table.insert(taken[r], cpu[1] - cpu[2])
    end
  end
  for r, entry in ipairs(rows) do
    local middle = median(taken[r])
    io.write(("  %-40s%7.2f ms   (%.2f to %.2f)"):format(entry.title, middle * 1000, taken[r][1] * 1000,
      taken[r][ROUNDS] * 1000))
    if r <= #columns then io.write(("   aim: at most %d ms: %s"):format(AIM_TLS * 1000, verdict(middle <= AIM_TLS))) end
    io.write "\n"
  end
end

io.write(("One backlog_add over plain HTTP to an nginx on 127.0.0.1 that answers %d bytes at once\n"):format(
  #environment "BENCH_ANSWER"))
print_instructions()
print_rates()
io.write "\n  * opens a connection for each call: socket.http keeps none\n"
for _, contender in ipairs(contenders) do
  for i, column in ipairs(columns) do
    if not contender[i] then
      io.write(("  - %s: not there for %s\n"):format(contender.title, column.title))
    end
  end
end
print_tls()
