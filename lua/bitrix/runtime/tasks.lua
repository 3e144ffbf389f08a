--- The runtime of functions that run side by side in plain Lua: coroutines over one engine.
-- A task that waits yields; whoever drives the tasks (bitrix.parallel, or another event loop through fd and pump)
-- resumes it. Knows nothing of Bitrix24.
local core = require "bitrix.core"

local _M = {
  name = "tasks",
  count = 0, -- tasks that have not ended
}

local running = coroutine.running

local WAITS = {} -- what a task yields that one of the tables below will wake up
local FOREVER = 3600 -- seconds; then it looks again

-- All tasks of this Lua state: coroutine → what to call at its end; those that can go on, in order; those that wait for
-- an answer, by exchange; those that sleep, a heap by time.
local tasks = {}
local ready, first, last = {}, 1, 0
local waiting = {}
local sleepers = {}

local function make_ready(co)
  last = last + 1
  ready[last] = co
end

-- ---- the heap of sleepers: { at, co } ----

local function sooner(i, j) return sleepers[i].at < sleepers[j].at end

local function swap(i, j) sleepers[i], sleepers[j] = sleepers[j], sleepers[i] end

local function push_sleeper(at, co)
  local i = #sleepers + 1
  sleepers[i] = { at = at, co = co }
  while i > 1 and sooner(i, (i - i % 2) / 2) do
    swap(i, (i - i % 2) / 2)
    i = (i - i % 2) / 2
  end
end

local function pop_sleeper()
  local top, count = sleepers[1], #sleepers
  sleepers[1] = sleepers[count]
  sleepers[count] = nil
  count = count - 1
  local i = 1
  while true do
    local least = i
    for child = 2 * i, 2 * i + 1 do
      if child <= count and sooner(child, least) then least = child end
    end
    if least == i then return top.co end
    swap(i, least)
    i = least
  end
end

-- ---- what a task may do ----

-- Lua 5.1 cannot yield through any C function, and does not tell beforehand: one in the way is seen on the stack.
local has_c_in_the_way
if _VERSION == "Lua 5.1" and type(jit) ~= "table" then
  function has_c_in_the_way()
    for level = 3, math.huge do
      local info = debug.getinfo(level, "S")
      if not info then return false end
      if info.what == "C" then return true end
    end
  end
end

local function can_yield()
  if has_c_in_the_way then return not has_c_in_the_way() end
  return core.yieldable()
end

--- Whether the caller is a task. A coroutine that a task has made is none: its yield would not reach us.
function _M.inside()
  if _M.count == 0 then return false end
  local co, main = running()
  return co ~= nil and main ~= true and tasks[co] ~= nil
end

--- Sends an exchange and waits for its end. Where a C function that cannot be yielded through is in the way
-- (table.sort; on Lua 5.1 also pcall), it blocks the other tasks meanwhile.
function _M.exchange(exchange, seconds)
  if not can_yield() then return exchange:perform(seconds) end
  core.engine():submit(exchange, seconds)
  waiting[exchange] = running()
  coroutine.yield(WAITS)
end

--- Waits.
-- @tparam number seconds
function _M.sleep(seconds)
  if not can_yield() then return core.sleep(seconds) end
  push_sleeper(core.now() + seconds, (running()))
  coroutine.yield(WAITS)
end

-- ---- driving them ----

local function start(f, ended)
  local co = coroutine.create(f)
  tasks[co] = ended
  _M.count = _M.count + 1
  make_ready(co)
end

local function after(co, ok, ...)
  if coroutine.status(co) ~= "dead" then
    -- A task that yields by itself lets the others go first.
    if ... ~= WAITS then make_ready(co) end
    return
  end
  local ended = tasks[co]
  tasks[co] = nil
  _M.count = _M.count - 1
  ended(ok, ...)
end

-- Takes what is finished and whose time has come.
local function collect()
  if next(waiting) then
    local engine = core.engine()
    local exchange = engine:finished()
    while exchange do
      local co = waiting[exchange]
      waiting[exchange] = nil
      -- One that was called off has nobody who waits.
      if co then make_ready(co) end
      exchange = engine:finished()
    end
  end
  local now = core.now()
  while sleepers[1] and sleepers[1].at <= now do make_ready(pop_sleeper()) end
end

-- Everything that can go on without waiting goes on.
local function turn()
  collect()
  while first <= last do
    -- What is resumed may take a turn itself (a coroutine inside a task, a comparison of table.sort, pump): then the
    -- list may be at its beginning again.
    local final = last
    while first <= last and first <= final do
      local co = ready[first]
      ready[first] = nil
      first = first + 1
      after(co, coroutine.resume(co))
    end
    collect()
  end
  first, last = 1, 0
end

-- Seconds until a sleeper wakes up; nil: none sleeps.
local function pause() return sleepers[1] and math.max(sleepers[1].at - core.now(), 0) end

--- Runs functions side by side and comes back when all have ended.
-- @tparam table functions
-- @tparam integer concurrency so many at once
-- @tparam function ended(index, ok, ...) is called at the end of each: true and its results, or false and its error
function _M.all(functions, concurrency, ended)
  local left, following, waiter = #functions, 1, nil
  local function start_next()
    local index = following
    if index > #functions then return end
    following = index + 1
    start(functions[index], function(...)
      left = left - 1
      ended(index, ...)
      start_next()
      if left == 0 and waiter then make_ready(waiter) end
    end)
  end
  for _ = 1, math.min(concurrency, #functions) do start_next() end
  if _M.inside() and can_yield() then
    if left > 0 then
      waiter = running()
      coroutine.yield(WAITS)
    end
    return
  end
  turn()
  while left > 0 do
    if next(waiting) then core.engine():wait(pause() or FOREVER) else core.sleep(pause()) end
    turn()
  end
end

--- Starts a task that somebody else drives by `pump`. It does not run before the next `pump`.
-- @tparam function f
-- @tparam function ended(ok, ...) is called at its end
_M.spawn = start

--- For another event loop: lets every task go on that can, without waiting.
-- @treturn integer how many tasks have not ended
-- @treturn ?number seconds after which to call again at the latest; nil: when the engine's descriptor is readable
function _M.pump()
  turn()
  return _M.count, pause()
end

return _M
