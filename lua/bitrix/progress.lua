--- Shows how far a long run is: a bar that is drawn again on a terminal, a line now and then elsewhere.
local core = require "bitrix.core"

local _M = {}

local WIDTH = 24
local DRAWN_EVERY, TOLD_EVERY = 0.1, 5 -- seconds

local Progress = {}
Progress.__index = Progress

local function clock(seconds)
  seconds = math.floor(seconds + 0.5)
  local hours, rest = math.floor(seconds / 3600), seconds % 3600
  if hours > 0 then return ("%d:%02d:%02d"):format(hours, math.floor(rest / 60), rest % 60) end
  return ("%d:%02d"):format(math.floor(rest / 60), rest % 60)
end

-- Done, rate, time left, failures.
local function text_of(done, total, failed, replayed, seconds)
  local parts = { total and ("%d/%d"):format(done, total) or ("%d"):format(done) }
  local moved = done - replayed -- what an earlier run did says nothing about the rate
  if moved > 0 and seconds > 0 then
    local rate = moved / seconds
    parts[#parts + 1] = (rate < 10 and "%.1f/s" or "%.0f/s"):format(rate)
    if total and done < total then parts[#parts + 1] = clock((total - done) / rate) .. " left" end
  end
  if failed > 0 then parts[#parts + 1] = ("%d failed"):format(failed) end
  return table.concat(parts, "  ")
end

--- What is to be called after each step, as on_progress of client:bulk.
function Progress:update(done, total, failed, replayed)
  local now = core.now()
  self.last = { done, total, failed, replayed or 0 }
  if now - self.told < (self.terminal and DRAWN_EVERY or TOLD_EVERY) then return end
  self.told = now
  self:show()
end

--- Shows where it is, now.
function Progress:show()
  local done, total, failed, replayed = self.last[1], self.last[2], self.last[3], self.last[4]
  local text = text_of(done, total, failed, replayed, core.now() - self.started)
  if not self.terminal then
    self.stream:write(text, "\n")
    return
  end
  local bar = ""
  if total and total > 0 then
    local full = math.floor(WIDTH * math.min(done / total, 1))
    bar = ("[%s%s] %3d%%  "):format(("#"):rep(full), ("."):rep(WIDTH - full), math.floor(100 * done / total))
  end
  -- Over the line that is there, and nothing of it left behind.
  self.stream:write("\r", bar, text, "\27[K")
  self.stream:flush()
  self.drawn = true
end

--- Shows the end and leaves the line.
function Progress:finish()
  if self.last[1] > 0 then self:show() end
  if self.drawn then self.stream:write("\n") end
end

--- Whether a standard stream is a terminal.
-- @tparam integer descriptor 1 or 2
function _M.is_terminal(descriptor)
  local result = os.execute(("[ -t %d ]"):format(descriptor))
  return result == true or result == 0
end

--- @param stream io.stderr, say
-- @tparam boolean terminal whether it is one
-- @treturn table with `update`, `finish`
function _M.new(stream, terminal)
  local now = core.now()
  local self = { stream = stream, terminal = terminal, started = now, told = now, last = { 0, nil, 0, 0 } }
  return setmetatable(self, Progress)
end

return _M
