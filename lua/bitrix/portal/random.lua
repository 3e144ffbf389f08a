-- Random letters and numbers from the system. Not math.random: its state belongs to the program that uses the emulator.

local M = {}

local LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"

local function bytes(count)
  local file = assert(io.open("/dev/urandom", "rb"))
  -- Unbuffered, or a buffer's worth of randomness is read for a few bytes.
  file:setvbuf("no")
  local text = file:read(count)
  file:close()
  return text
end

--- Random letters a to z and digits.
-- @tparam integer length
function M.letters(length)
  return (bytes(length):gsub(".", function(byte)
    local index = byte:byte() % #LETTERS + 1
    return LETTERS:sub(index, index)
  end))
end

--- A random integer.
-- @tparam integer low
-- @tparam integer high at most low + 2^24
function M.integer(low, high)
  local a, b, c = bytes(3):byte(1, 3)
  return low + (a * 65536 + b * 256 + c) % (high - low + 1)
end

return M
