--- Starts a Redis of its own for a spec: on a unix socket and a free port, without files that stay.
local port = require "bitrix.portal.port"
local support = require "portal.support"

local M = {}

--- @treturn table { port, path, stop(), restart() }
function M.start(password)
  local directory = support.run("mktemp -d"):gsub("%s+$", "")
  local number = port.free(1)[1]
  local self = { port = number, path = directory .. "/redis.sock", directory = directory }

  function self.restart()
    support.run(("redis-server --bind 127.0.0.1 --port %d --unixsocket %s --dir %s --save '' --appendonly no --daemonize yes "
      .. "--pidfile %s/pid --logfile %s/log %s"):format(number, self.path, directory, directory, directory,
      password and "--requirepass " .. password or ""))
    local auth = password and "-a " .. password .. " --no-auth-warning" or ""
    for _ = 1, 100 do
      if support.run(("redis-cli -p %d %s ping 2>/dev/null"):format(number, auth)):find("PONG", 1, true) then return self end
      support.run("sleep 0.05")
    end
    error("redis-server did not start: " .. support.run("cat " .. directory .. "/log"))
  end

  -- Ends it and waits until its port is free.
  function self.kill()
    support.run(("pid=$(cat %s/pid) && kill -9 $pid && while kill -0 $pid 2>/dev/null; do sleep 0.01; done"):format(directory))
  end

  function self.stop()
    self.kill()
    support.run("rm -rf " .. directory)
  end

  return self.restart()
end

return M
