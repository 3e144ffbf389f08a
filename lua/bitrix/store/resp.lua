--- Redis' protocol over a socket: commands out, replies in. Works on what luasocket and nginx's cosockets have in
-- common. There is no Redis client for Lua 5.4 in the distributions, and none for both kinds of sockets.
local _M = {}

--- Sends a command: an array of bulk strings.
function _M.encode(...)
  local parts = { ("*%d\r\n"):format(select("#", ...)) }
  for i = 1, select("#", ...) do
    local text = tostring((select(i, ...)))
    parts[#parts + 1] = ("$%d\r\n%s\r\n"):format(#text, text)
  end
  return table.concat(parts)
end

-- A reply; or nil, message, whether it is Redis that says so.
local function read(socket)
  local line, problem = socket:receive("*l")
  if not line then return nil, problem, false end
  line = line:gsub("\r$", "")
  local kind, rest = line:sub(1, 1), line:sub(2)
  if kind == "+" then return rest end
  if kind == "-" then return nil, rest, true end
  if kind == ":" then return tonumber(rest) end
  local size = tonumber(rest)
  if not size or kind ~= "$" and kind ~= "*" then return nil, "that is no Redis", false end
  if size < 0 then return false end
  if kind == "*" then
    local list = {}
    for i = 1, size do
      local value, why, said = read(socket)
      if value == nil then return nil, why, said end
      list[i] = value
    end
    return list
  end
  local text
  text, problem = socket:receive(size + 2)
  if not text then return nil, problem, false end
  return text:sub(1, size)
end

--- Makes one command.
-- @return[1] the reply: string, number, list; false for "nothing"
-- @return[2] nil, message, boolean: Redis refused it, and the connection is good
function _M.call(socket, ...)
  local ok, problem = socket:send(_M.encode(...))
  if not ok then return nil, problem, false end
  return read(socket)
end

return _M
