--- What a client has done so far, in numbers. Counts what call.lua tells it; knows no clock.
local _M = {}

local FIELDS = {
  "calls", "retries", "failures", "seconds", "waited", "sent", "received", "waits", "limited", "settled",
  "held", -- calls of which nothing went out
}

local function zero()
  local row = {}
  for _, name in ipairs(FIELDS) do row[name] = 0 end
  return row
end

--- @treturn table a row for each method that was called
function _M.new() return {} end

--- The row of a method. It stands on the path of every call: what is counted there is added to it in place.
function _M.of(stats, method)
  local row = stats[method]
  if not row then
    row = zero()
    stats[method] = row
  end
  return row
end

--- What the owner of the client gets: a copy, with the sums of all methods.
function _M.report(stats)
  local report = zero()
  for _, row in pairs(stats) do
    for _, name in ipairs(FIELDS) do report[name] = report[name] + row[name] end
  end
  report.methods = {}
  for method, row in pairs(stats) do
    local copy = {}
    for _, name in ipairs(FIELDS) do copy[name] = row[name] end
    report.methods[method] = copy
  end
  for _, row in pairs(report.methods) do row.attempts = row.calls + row.retries - row.held end
  report.attempts = report.calls + report.retries - report.held
  return report
end

return _M
