--- The portal's request counter as far as it can be known from outside. Pure: each function is one of (state, event,
-- time); written for every Lua, Redis' own included, which runs this file as a script.
--
-- The portal adds one for each request, takes `rate` off once a second, and refuses above `burst`. When in the second
-- it does so, nobody knows. So for every moment s in the past there may have been as little as floor(now - s)
-- subtractions since, and the requests since s must not be more than burst + rate * floor(now - s). A request that was
-- sent at t is taken to arrive within ARRIVAL seconds: as the beginning of such a window it counts at the end of that
-- time. One that takes longer can be refused.
--
-- What decides is for each fraction f of a second (SLOTS of them) the largest rate * k - (requests before) of the
-- windows that began at k + f: state[f]. Those that began a moment ago are in a short list of their own.
local _M = {}

local SLOTS = 20
local ARRIVAL = 0.5 -- seconds
local CAUTION = 10 -- seconds after a refusal in which requests go one by one

local floor, ceil, max = math.floor, math.ceil, math.max
local NEVER = -1e18
local FIELDS = 8 -- before the slots, in a text

--- An idle portal.
-- @tparam number burst requests
-- @tparam number rate requests a second
function _M.new(burst, rate)
  local state = {
    burst = burst, rate = rate,
    count = 0, -- requests so far; the number of one is its place in the queue
    sent = 0, -- the number of the last that went out
    last = 0, -- when the last one goes
    -- Refusals so far; the first request that was not sent at the last one, and its new time.
    epoch = 0, first = 0, start = 0,
    top = NEVER, -- the largest of state[f]
    young = {}, -- { when a window begins, requests before it }, oldest first
  }
  for i = 1, SLOTS do state[i] = NEVER end
  return state
end

-- A window that began at `at`, before which there were `before` requests.
local function add_window(state, at, before)
  local whole = floor(at)
  local slot = floor((at - whole) * SLOTS) + 1
  local value = state.rate * whole - before
  if value > state[slot] then state[slot] = value end
  if value > state.top then state.top = value end
end

local function grow_up(state, now)
  local young = state.young
  while young[1] and young[1][1] <= now do
    local window = table.remove(young, 1)
    add_window(state, window[1], window[2])
  end
end

-- The end of the slot that a time is in.
local function slot_end(at) return (floor(at * SLOTS) + 1) / SLOTS end

-- When the next request may go, by the windows.
local function earliest(state, now)
  local rate, room = state.rate, state.count + 1 - state.burst
  local at = now
  local oldest = state.young[1]
  -- Mostly there is room by a look at the largest.
  if room + state.top <= rate * (floor(now) - 1) and (not oldest or room <= oldest[2]) then return now end
  for i = 1, SLOTS do
    local excess = room + state[i]
    -- In whole seconds: rate * second >= excess. The slot's windows are taken to have begun at its end.
    local second = ceil(excess / rate - 1e-9)
    local time = second + i / SLOTS
    if time > at then at = time end
  end
  for _, window in ipairs(state.young) do
    local ticks = ceil((room - window[2]) / rate - 1e-9)
    if ticks > 0 and window[1] + ticks > at then at = window[1] + ticks end
  end
  return at
end

local function scheduled(state, number) return state.start + (number - state.first) / state.rate end

--- A request takes its place in the queue.
-- @tparam table state
-- @tparam number now seconds, on one clock for all events
-- @tparam number most seconds that it may wait
-- @treturn[1] number seconds to wait; 0: it goes at once
-- @treturn[1] integer its number, integer the epoch: for `go`
-- @treturn[2] nil it would have to wait longer; nothing was changed
-- @treturn[2] number so long
function _M.enter(state, now, most)
  grow_up(state, now)
  local at = earliest(state, now)
  local number = state.count + 1
  if state.epoch > 0 and now < state.start + CAUTION then at = max(at, state.last + 1 / state.rate) end
  if at - now > most then return nil, at - now end
  state.last = at
  local young = state.young
  local begins = slot_end(at) + ARRIVAL
  -- Requests of one moment are one window: the first of them decides.
  if not young[1] or young[#young][1] < begins then young[#young + 1] = { begins, state.count } end
  state.count = number
  if at <= now then state.sent = number end
  return at - now, number, state.epoch
end

--- A request wants to go, having waited. A refusal in the meantime has put it off.
-- @treturn number seconds to wait yet; 0: it goes
-- @treturn integer the epoch
function _M.go(state, now, number, epoch)
  if epoch ~= state.epoch then
    local wait = scheduled(state, number) - now
    if wait > 0 then return wait, state.epoch end
  end
  if number > state.sent then state.sent = number end
  return 0, state.epoch
end

--- The portal has refused a request: somebody else uses it, too. It is full now; whoever waits goes on one by one, a
-- second later. A refusal of a request that was under way at the last refusal says nothing new.
-- @tparam integer number the request's
function _M.refused(state, now, number, epoch)
  if epoch ~= state.epoch and number < state.first then return end
  state.epoch = state.epoch + 1
  state.first = state.sent + 1
  state.start = now + 1
  state.last = scheduled(state, state.count)
  -- Full, whether a refused request counts or not; and those that wait are still to come.
  local waiting = state.count - state.sent
  for i = 1, SLOTS do state[i] = NEVER end
  state.top = NEVER
  state.young = { { slot_end(now), state.count - waiting - state.burst - 1 } }
end

-- ---- for stores ----

--- The state as a text, and back.
function _M.pack(state)
  local parts = { state.burst, state.rate, state.count, state.sent, state.epoch, state.first, state.start,
    state.last }
  for i = 1, SLOTS do parts[#parts + 1] = state[i] end
  for _, window in ipairs(state.young) do
    parts[#parts + 1] = window[1]
    parts[#parts + 1] = window[2]
  end
  for i, number in ipairs(parts) do parts[i] = ("%.17g"):format(number) end
  return table.concat(parts, " ")
end

--- @treturn ?table nil when the text is none, or is of another burst or rate
function _M.unpack(text, burst, rate)
  local parts = {}
  for number in (text or ""):gmatch("%S+") do parts[#parts + 1] = tonumber(number) end
  if #parts < FIELDS + SLOTS or parts[1] ~= burst or parts[2] ~= rate then return nil end
  local state = {
    burst = burst, rate = rate, count = parts[3], sent = parts[4], epoch = parts[5], first = parts[6], start = parts[7],
    last = parts[8], young = {},
  }
  state.top = NEVER
  for i = 1, SLOTS do
    state[i] = parts[FIELDS + i]
    state.top = max(state.top, state[i])
  end
  for i = FIELDS + 1 + SLOTS, #parts - 1, 2 do state.young[#state.young + 1] = { parts[i], parts[i + 1] } end
  return state
end

--- Seconds after which a state that nobody touched is that of an idle portal.
function _M.lifetime(burst, rate) return ceil(burst / rate) + CAUTION + 3600 end

return _M
