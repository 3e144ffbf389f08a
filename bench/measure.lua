-- Measures the contenders against the server that bench/run has started, and prints the tables.
--
-- A contender is a program that makes so many calls and ends. What one call takes is always a difference: a long run
-- less a short one, divided by the difference of their calls. What a program does once (loading, connecting, warming
-- up) is thereby left out, and the same is done to every language.
local file = require "bitrix.portal.file"
local shell = require "bitrix.portal.shell"

local function environment(name) return assert(os.getenv(name), name .. " is set by bench/run") end

local DIRECTORY = environment "BENCH_DIRECTORY"
local PLAIN, TLS, TLS_CLOSING = environment "BENCH_PLAIN", environment "BENCH_TLS", environment "BENCH_TLS_CLOSING"
local BARE, METER = "build/bench/bare", "build/bench/meter"

local CALLGRIND = "valgrind --tool=callgrind --callgrind-out-file=/dev/null"

local AIM_RATIO, AIM_TLS = 1.10, 0.005
local COUNTED = { short = 200, long = 700 } -- calls under callgrind, where a call is 50 times slower
local TIMED = { short = 500, long = 6500 }
local TIMED_SOCKET = { short = 100, long = 1600 } -- few: each leaves a port that is in use for another minute
local CONNECTIONS = { short = 10, long = 50 }
local ROUNDS = 3

-- ---- running ----

-- A program with its first arguments: `variables` are assignments that come before the tool that it runs under (behind
-- it, they would need env, and valgrind counts one program, not what that one executes), `text` is the rest.
local function program(variables, ...)
  local words = { ... }
  for i, word in ipairs(words) do words[i] = shell.quote(tostring(word)) end
  return { variables = variables, text = table.concat(words, " ") }
end

--- The program with more arguments, run under a tool, as a command line.
local function under(tool, what, ...)
  return ("%s %s %s %s"):format(what.variables, tool, what.text, program("", ...).text)
end

--- Runs a command line and returns what it prints; a contender that fails ends the benchmark.
local function capture(line)
  local log = DIRECTORY .. "/log"
  local pipe = assert(io.popen(line .. " 2>" .. shell.quote(log)))
  local text = pipe:read "*a"
  pipe:close()
  local problem = file.read(log)
  if problem ~= "" then error("bench: " .. line .. ":\n" .. problem, 0) end
  return text
end

--- Instructions that a program executes. One program at a time: what libcurl does while it waits depends on when the
-- server's answer comes.
local function instructions(what, ...)
  local line, log = under(CALLGRIND, what, ...), DIRECTORY .. "/log"
  local result = os.execute(("%s >%s 2>&1"):format(line, shell.quote(log)))
  local text = file.read(log)
  if result ~= true and result ~= 0 then error("bench: " .. line .. ":\n" .. text, 0) end
  return tonumber(text:match "Collected : (%d+)")
end

--- Seconds on the clock and of CPU that a program takes.
local function meter(what, ...)
  local wall, cpu = capture(under(METER, what, ...)):match "(%S+) (%S+)"
  return tonumber(wall), tonumber(cpu)
end

-- ---- contenders ----

local columns = {}
for _, built in ipairs { environment "BITRIX_BUILD", os.getenv "BENCH_SECOND" } do
  local id = built:match "[^/]*$"
  local lua = #columns == 0 and environment "LUA" or id
  columns[#columns + 1] = {
    title = id == "luajit" and "LuaJIT" or "Lua " .. id,
    lua = lua,
    variables = "LUA_CPATH=" .. shell.quote(built .. "/?.so;" .. environment "LUA_CPATH"),
  }
end

--- A Lua contender in a column; nil when a module that it needs is not there.
local function lua_program(column, name, modules)
  for _, module in ipairs(modules) do
    local try = under("", program(column.variables, column.lua, "-e", ("require %q"):format(module)))
    local result = os.execute(try .. " >/dev/null 2>&1")
    if result ~= true and result ~= 0 then return nil end
  end
  return program(column.variables, column.lua, "bench/" .. name)
end

local BARE_ROW = "(a) bare C loop over libcurl"
local OURS_ROW = "ours: bitrix.scrum.backlog_add"
local contenders = {
  { title = OURS_ROW, file = "ours.lua", needs = { "bitrix" } },
  { title = BARE_ROW, file = nil, needs = {} },
  { title = "(b) lua-curl + cjson", file = "binding.lua", needs = { "curl", "cjson" } },
  { title = "(c) luasocket + cjson *", file = "socket.lua", needs = { "socket.http", "cjson" } },
}
local bare = program("", BARE)
for _, contender in ipairs(contenders) do
  for i, column in ipairs(columns) do
    contender[i] = contender.file == nil and bare or lua_program(column, contender.file, contender.needs)
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

--- Instructions of one call; `first` is the argument before the number of calls. The lower of two measurements: what
-- disturbs (an answer that comes late, one poll more) only ever adds.
local function per_call(what, first)
  local lowest = math.huge
  for _ = 1, 2 do
    local short, long = instructions(what, first, COUNTED.short), instructions(what, first, COUNTED.long)
    lowest = math.min(lowest, (long - short) / (COUNTED.long - COUNTED.short))
  end
  return lowest
end

local function print_instructions()
  heading "CPU instructions of one call, client process only (callgrind, warm)"
  local found = {}
  for _, contender in ipairs(contenders) do
    local cells = {}
    found[contender.title] = {}
    for i = 1, #columns do
      -- The C loop is the same in every column, and measured once.
      if contender.title == BARE_ROW and i > 1 then
        found[contender.title][i] = found[contender.title][1]
      elseif contender[i] then
        found[contender.title][i] = per_call(contender[i], PLAIN)
      end
      local n = found[contender.title][i]
      cells[i] = n and thousands(n)
    end
    if not contender.file then cells[2] = "same" end
    row(contender.title, cells)
  end
  local floors = {}
  for _, what in ipairs { "encode", "decode" } do
    local cells = {}
    for i, column in ipairs(columns) do
      local n = per_call(lua_program(column, "cjson.lua", {}), what)
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

--- Calls a second, once.
local function rate(contender, what)
  local lengths = contender.file == "socket.lua" and TIMED_SOCKET or TIMED
  local short = meter(what, PLAIN, lengths.short)
  local long = meter(what, PLAIN, lengths.long)
  return (lengths.long - lengths.short) / (long - short)
end

local function print_rates()
  heading(("Calls a second (medians of %d interleaved rounds, and how far the rounds are apart)"):format(ROUNDS))
  local rates = {}
  for _ = 1, ROUNDS do
    for c, contender in ipairs(contenders) do
      rates[c] = rates[c] or {}
      for i = 1, contender.file and #columns or 1 do
        if contender[i] then
          rates[c][i] = rates[c][i] or {}
          table.insert(rates[c][i], rate(contender, contender[i]))
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
        cells[i] = ("%.0f (+-%.0f %%)"):format(middle, (list[#list] - list[1]) / 2 / middle * 100)
      end
    end
    if not contender.file then cells[2] = "same" end
    row(contender.title, cells)
  end
end

--- A file with the machine's CA bundle and the throw-away CA: a client must read one as large as Debian's.
local function ca_file()
  local name = DIRECTORY .. "/bundle.pem"
  for _, path in ipairs { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem" } do
    local bundle = file.read(path)
    if bundle then
      local _, count = bundle:gsub("BEGIN CERTIFICATE", "")
      assert(file.write(name, bundle .. assert(file.read(DIRECTORY .. "/ca.pem"))))
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
  io.write(("\nCPU of a new TLS connection with a CA bundle of %d certificates (user + system; "):format(count),
    "a call on its own\nconnection less one on a kept connection; full handshakes)\n\n")
  local rows = {}
  for i, column in ipairs(columns) do
    rows[i] = { title = "ours, " .. column.title, what = contenders[1][i] }
  end
  rows[#rows + 1] = { title = "(a) bare C loop, CAPATH off", what = bare }
  rows[#rows + 1] = { title = "(a) bare C loop as it comes", what = bare, last = "capath" }
  local taken = {}
  for _ = 1, ROUNDS do
    for r, entry in ipairs(rows) do
      local cpu = {}
      for n, url in ipairs { TLS_CLOSING, TLS } do
        local difference = 0
        for sign, length in pairs { [1] = CONNECTIONS.long, [-1] = CONNECTIONS.short } do
          local _, seconds = meter(entry.what, url, length, bundle, entry.last)
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
    if r <= #columns then
      io.write(("   aim: at most %.0f ms: %s"):format(AIM_TLS * 1000, verdict(middle <= AIM_TLS)))
    end
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
