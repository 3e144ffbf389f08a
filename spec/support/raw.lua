--- Starts support/raw_server.lua in a process of its own.
local raw = {}

--- @tparam string mode see raw_server.lua
-- @treturn table { port = integer, stop = function() }
function raw.start(mode)
  local script = "spec/support/raw_server.lua"
  -- popen gives one direction: the port comes back through a named pipe.
  local name = os.tmpname()
  os.remove(name)
  assert(os.execute(("mkfifo %q"):format(name)))
  local process = assert(io.popen(("exec env -u LD_PRELOAD lua5.4 %q %q >%q"):format(script, mode, name), "w"))
  local fifo = assert(io.open(name))
  local port = tonumber(fifo:read("*l"))
  fifo:close()
  os.remove(name)
  return {
    port = assert(port, "the raw server did not start"),
    stop = function() process:close() end,
  }
end

return raw
