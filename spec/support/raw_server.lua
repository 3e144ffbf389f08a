--- A TCP server that misbehaves below HTTP, for what the emulator, being a web server, cannot do.
-- A process of its own: `lua raw_server.lua MODE` prints its port and serves until its stdin is closed.
--
-- Modes: "reset" resets each connection at its first byte; "silent" accepts and says nothing; "speak:TEXT" reads a
-- request and answers TEXT (with \r, \n, \0 written out, and \L for 200,000 letters) and closes; "trickle" answers a
-- byte each 50 ms; "unasked" answers each request with {"result":"yours"}, sends another answer behind it and stays.
local socket = require "socket"

local mode = arg[1]
local speech = mode:match("^speak:(.*)$")
if speech then speech = speech:gsub("\\r", "\r"):gsub("\\n", "\n"):gsub("\\0", "\0"):gsub("\\L", ("a"):rep(200000)) end

local server = assert(socket.bind("127.0.0.1", 0))
print((select(2, server:getsockname())))
io.stdout:flush()

-- The owner's end of stdin is a pipe; luasocket can wait for it beside the sockets.
local stdin = { getfd = function() return 0 end, dirty = function() return false end }
local kept = {} -- luacheck: ignore (what is kept stays open)

local function read_request(connection)
  connection:settimeout(2)
  local length = 0
  repeat
    local line = connection:receive("*l")
    length = tonumber(line and line:lower():match("^content%-length: (%d+)")) or length
  until not line or line == ""
  connection:receive(length)
end

while true do
  local ready = socket.select({ stdin, server }, nil)
  if ready[stdin] then break end
  local connection = server:accept()
  if connection and mode == "reset" then
    connection:settimeout(2)
    connection:receive(1)
    connection:setoption("linger", { on = true, timeout = 0 })
    connection:close()
  elseif connection and speech then
    read_request(connection)
    connection:send(speech)
    connection:close()
  elseif connection and mode == "unasked" then
    local answer = 'HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{"result":"yours"}'
    read_request(connection)
    connection:send(answer)
    socket.sleep(0.05)
    connection:send((answer:gsub("yours", "wrong")))
    kept[#kept + 1] = connection
  elseif connection and mode == "trickle" then
    local text = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" .. (" "):rep(100)
    for i = 1, #text do
      if not connection:send(text:sub(i, i)) or socket.select({ stdin }, nil, 0.05)[stdin] then break end
    end
    connection:close()
  else
    kept[#kept + 1] = connection
  end
end
