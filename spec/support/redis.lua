--- Starts a Redis of its own for a spec: on a unix socket and a free port, without files that stay. It ends with whoever started
-- it, however that went: a shell waits for the end of a pipe.
local port = require "bitrix.portal.port"
local support = require "portal.support"

local M = {}

local SUPERVISOR = [[
directory=$1
shift
"$@" >"$directory/log" 2>&1 &
echo $! >"$directory/pid"
read -r order
kill -9 $! 2>/dev/null
wait $! 2>/dev/null
[ "$order" = again ] || rm -rf "$directory"
]]

--- @tparam[opt] string password
-- @treturn table { port, path, kill(), restart(), stop() }
function M.start(password)
  local directory = support.run("mktemp -d"):gsub("%s+$", "")
  local number = port.free(1)[1]
  local self = { port = number, path = directory .. "/redis.sock" }
  local auth = password and "-a " .. password .. " --no-auth-warning" or ""
  local pipe

  function self.restart()
    pipe = io.popen(("sh -c %s sh %s redis-server --bind 127.0.0.1 --port %d --unixsocket %s --dir %s --save '' --appendonly no %s"):format(
      support.quote(SUPERVISOR), directory, number, self.path, directory, password and "--requirepass " .. password or ""), "w")
    for _ = 1, 100 do
      if support.run(("redis-cli -p %d %s ping 2>/dev/null"):format(number, auth)):find("PONG", 1, true) then return self end
      support.run("sleep 0.05")
    end
    error("redis-server did not start: " .. support.run("cat " .. directory .. "/log"))
  end

  local function finish(order)
    if not pipe then return end
    pipe:write(order, "\n")
    pipe:close()
    pipe = nil
  end

  --- Ends it as kill -9 does; it can be started again.
  function self.kill() finish("again") end

  function self.stop()
    finish("stop")
    support.run("rm -rf " .. directory)
  end

  return self.restart()
end

return M
