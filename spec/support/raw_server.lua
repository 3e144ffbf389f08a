--- A TCP server that misbehaves below HTTP, for what the emulator, being a web server, cannot do.
-- A process of its own: `lua raw_server.lua MODE` prints its port and serves until its stdin is closed.
--
-- Modes: "reset" resets each connection at once; "silent" accepts and says nothing; "speak:TEXT" reads a request and
-- answers TEXT (with \r, \n and \0 written out) and closes.
local socket = require "socket"

local mode = arg[1]
local speech = mode:match("^speak:(.*)$")
if speech then speech = speech:gsub("\\r", "\r"):gsub("\\n", "\n"):gsub("\\0", "\0") end

local server = assert(socket.bind("127.0.0.1", 0))
print((select(2, server:getsockname())))
io.stdout:flush()

-- The owner's end of stdin is a pipe; luasocket can wait for it beside the sockets.
local stdin = { getfd = function() return 0 end, dirty = function() return false end }
local silent = {}
while true do
  local ready = socket.select({ stdin, server }, nil)
  if ready[stdin] then break end
  local connection = server:accept()
  if connection and mode == "reset" then
    connection:setoption("linger", { on = true, timeout = 0 })
    connection:close()
  elseif connection and speech then
    connection:settimeout(2)
    local length = 0
    repeat
      local line = connection:receive("*l")
      length = tonumber(line and line:lower():match("^content%-length: (%d+)")) or length
    until not line or line == ""
    connection:receive(length)
    connection:send(speech)
    connection:close()
  else
    silent[#silent + 1] = connection
  end
end
