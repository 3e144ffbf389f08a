-- Finds free TCP ports of 127.0.0.1 by looking at what the system lists as used. Opens no sockets, so somebody else
-- can be faster: the caller must be ready to try another one.

local random = require "bitrix.portal.random"

local M = {}

local LISTENING = "0A"

-- Ports in use: port → true if somebody listens there, false if there is only a connection.
local function used()
  local ports = {}
  for _, path in ipairs { "/proc/net/tcp", "/proc/net/tcp6" } do
    local file = io.open(path)
    if file then
      for line in file:lines() do
        local port, state = line:match("^%s*%d+: %x+:(%x+) %x+:%x+ (%x%x)")
        if port then
          port = tonumber(port, 16)
          ports[port] = ports[port] or state == LISTENING
        end
      end
      file:close()
    end
  end
  return ports
end

-- A range that the system does not take ports for outgoing connections from: nobody gets in between by accident.
local function range()
  local file = io.open("/proc/sys/net/ipv4/ip_local_port_range")
  local low, high
  if file then
    low, high = file:read("*n", "*n")
    file:close()
  end
  if not low or low > 12000 then
    return 10000, (low or 32768) - 1
  elseif high and high < 64000 then
    return high + 1, 65535
  end
  return 10000, 65535
end

--- Ports that nobody uses.
-- @tparam integer count how many
-- @treturn table a list
function M.free(count)
  local taken = used()
  local low, high = range()
  local list = {}
  while #list < count do
    local port = random.integer(low, high)
    if taken[port] == nil then
      taken[port] = true
      list[#list + 1] = port
    end
  end
  return list
end

--- Whether somebody listens on a port already.
function M.is_taken(port)
  return used()[port] == true
end

return M
