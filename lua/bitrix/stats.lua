--- What a client has done so far, in numbers. Counts what call.lua tells it; knows no clock.
local _M = {}

local function zero() return { calls = 0, attempts = 0, retries = 0, failures = 0, seconds = 0, waited = 0, sent = 0, received = 0 } end

function _M.new()
  local stats = zero()
  stats.waits, stats.limited, stats.settled, stats.methods = 0, 0, 0, {}
  return stats
end

local function of_method(stats, method)
  local row = stats.methods[method]
  if not row then
    row = zero()
    stats.methods[method] = row
  end
  return row
end

local function add_attempt(row, seconds, sent, received)
  row.attempts = row.attempts + 1
  row.seconds = row.seconds + seconds
  row.sent = row.sent + sent
  row.received = row.received + received
end

function _M.attempt(stats, method, seconds, sent, received, limited)
  add_attempt(stats, seconds, sent, received)
  add_attempt(of_method(stats, method), seconds, sent, received)
  if limited then stats.limited = stats.limited + 1 end
end

function _M.wait(stats, method, seconds)
  if seconds <= 0 then return end
  local row = of_method(stats, method)
  stats.waits = stats.waits + 1
  stats.waited = stats.waited + seconds
  row.waited = row.waited + seconds
end

function _M.retry(stats, method)
  local row = of_method(stats, method)
  stats.retries = stats.retries + 1
  row.retries = row.retries + 1
end

function _M.call(stats, method, failed, settled)
  local row = of_method(stats, method)
  stats.calls = stats.calls + 1
  row.calls = row.calls + 1
  if failed then
    stats.failures = stats.failures + 1
    row.failures = row.failures + 1
  end
  if settled then stats.settled = stats.settled + 1 end
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local result = {}
  for k, v in pairs(value) do result[k] = copy(v) end
  return result
end

--- A copy that the owner may keep.
_M.copy = copy

return _M
