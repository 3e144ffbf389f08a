-- What is done in each state of driver.c: a little of everything, in an order that the seed decides; and it ends with
-- exchanges on their way. Errors are the driver's failure, so what is expected here is checked.
local port, seed = ...
local core = require "bitrix.core"

local function random(n)
  seed = (seed * 1103515245 + 12345) % 2147483648
  return (seed - seed % 65536) / 65536 % n + 1
end

local function open(what, host, more)
  local options = { webhook = ("%s/rest/1/%s/"):format(host or "http://127.0.0.1:" .. port, what), timeout = 20 }
  for name, value in pairs(more or {}) do options[name] = value end
  return assert(core.session(options))
end

local engine = core.engine()
local kinds = {
  function() return open("ok"), "ok" end,
  function() return open("ok", nil, { max_connections = 2 }), "ok" end,
  function() return open("unasked"), "ok" end,
  function() return open("closed"), "reset" end,
  function() return open("silent"), nil end,
  function() return open("ok", "http://127.0.0.1:1"), "connect" end,
  function() return open("ok", "https://slow.example"), nil end,
}

local sessions, flights, channels = {}, {}, {}

local function session_of(kind)
  if not sessions[kind] then sessions[kind] = { kinds[kind]() } end
  return sessions[kind][1], sessions[kind][2]
end

local function check(exchange, outcome)
  local result, err = exchange:result()
  local got = result and "ok" or err.reason
  if outcome and got ~= outcome and got ~= "cancelled" then
    error(("%s instead of %s: %s"):format(got, outcome, tostring(err)))
  end
end

local function take(position)
  local flight = table.remove(flights, position)
  if flight.channel then close(flight.channel) end -- luacheck: ignore
  return flight
end

-- Some flight, or nil.
local function some() return #flights > 0 and random(#flights) or nil end

local function submit()
  local session, outcome = session_of(random(#kinds))
  local exchange = session:call("m", { n = #flights })
  flights[#flights + 1] = { exchange = exchange, outcome = outcome }
  engine:submit(exchange, random(4) == 1 and 10 or nil)
end

local function submit_by_ticket()
  local session, outcome = session_of(random(#kinds))
  local channel = table.remove(channels) or connect(engine:address()) -- luacheck: ignore
  local flight = { exchange = session:call("m"), outcome = outcome, channel = channel }
  send(channel, engine:submit(flight.exchange, 10, random(2) == 1)) -- luacheck: ignore
  if outcome and random(2) == 1 then
    assert(receive(channel)) -- luacheck: ignore
    check(flight.exchange, outcome)
    channels[#channels + 1] = channel
  else
    flights[#flights + 1] = flight
  end
end

local function finish()
  engine:wait(0.002)
  local exchange = engine:finished()
  while exchange do
    for i, flight in ipairs(flights) do
      if flight.exchange == exchange then
        check(exchange, take(i).outcome)
        break
      end
    end
    exchange = engine:finished()
  end
end

local actions = {
  submit, submit, submit, submit, submit_by_ticket, submit_by_ticket, finish, finish,
  function() -- cancel
    local i = some()
    if i then engine:cancel(flights[i].exchange) end
  end,
  function() -- close
    local i = some()
    if i then take(i).exchange:close() end
  end,
  function() -- forget
    local i = some()
    if i then take(i) end
    if random(3) == 1 then collectgarbage() end
  end,
  function() -- leave a client
    local kind = random(#kinds)
    if sessions[kind] and random(2) == 1 then sessions[kind][1]:close() end
    sessions[kind] = nil
  end,
  function() -- block
    local exchange = session_of(1):call("m")
    exchange:perform()
    check(exchange, "ok")
  end,
}

for _ = 1, 60 do actions[random(#actions)]() end

-- These are closed when the state is.
for _, flight in ipairs(flights) do channels[#channels + 1] = flight.channel end
return channels
