-- Keeps nginx and its directory: a small shell process starts nginx and waits until the emulator's owner is gone,
-- however it went, then ends nginx and removes the directory. Knows nothing of what nginx does.

local files = require "bitrix.portal.file"
local shell = require "bitrix.portal.shell"

local M = {}

-- Its standard input is a pipe whose other end only the owner holds; the end of it means that the owner is gone.
-- bash, where there is one: other shells cannot close descriptors above 9 that the owner happened to have open.
-- The file `stopping` keeps the watcher from writing to a pipe that nobody reads any more, and `ended` keeps us from
-- killing a process that is not nginx.
local SUPERVISOR = [[
directory=$1 nginx=$2 log=$3
trap "" HUP INT QUIT TERM
cd / || exit 1
for fd in /proc/$$/fd/*; do
  fd=${fd##*/}
  case $fd in
    [012]) ;;
    [3-9]) eval "exec $fd>&-" ;;
    *) [ -n "$BASH_VERSION" ] && eval "exec $fd>&-" ;;
  esac
done
watcher=
while read -r order && [ "$order" = start ]; do
  rm -f "$directory/ended" "$directory/pid"
  exec 3<>"$directory/events"
  (
    "$nginx" -p "$directory/" -c "$directory/nginx.conf" ${log:+-e "$directory/error.log"} \
      </dev/null 2>"$directory/start.log" 3>&- &
    echo $! >"$directory/pid"
    wait $!
    code=$?
    : >"$directory/ended"
    [ -e "$directory/stopping" ] || echo "ended $code" >&3
  ) &
  watcher=$!
done
if [ -n "$watcher" ]; then
  : >"$directory/stopping"
  if [ -e "$directory/ended" ]; then
    kill -KILL "$watcher"
  else
    until [ -s "$directory/pid" ]; do sleep 0.01; done
    kill -KILL "$(cat "$directory/pid")"
  fi
  wait
fi
rm -rf "$directory"
]]

-- setsid: Ctrl-C and a kill of the owner's process group must not hit the one who cleans up.
local ENTRY = [[
shell=$(command -v bash || echo sh)
if command -v setsid >/dev/null; then exec setsid "$shell" -c "$@"; else exec "$shell" -c "$@"; fi
]]

local PREPARE = [[
umask 077
mkdir "$1" && mkdir "$1/logs" && mkfifo "$1/events"
]]

local Process = {}
Process.__index = Process

--- Makes the directory and the one who will remove it.
-- @tparam string directory a name that nobody has
-- @tparam string nginx path of the program
-- @tparam boolean log_option nginx knows `-e`, which keeps it from touching the system's log while it starts
-- @tparam boolean keep_stdout nginx gets the owner's standard output as its own
-- @treturn table an object with `start` and `stop`; raises when there can be no directory
function M.new(directory, nginx, log_option, keep_stdout)
  local output = keep_stdout and " 2>/dev/null" or " >/dev/null 2>&1"
  -- The supervisor comes first and the directory after it: os.execute's shell holds the pipe, too, so even if the owner
  -- is killed now, the supervisor does not clean up before there is something to clean up.
  local command = shell.command(ENTRY, SUPERVISOR, "bitrix-portal", directory, nginx, log_option and "yes" or "")
  local pipe = assert(io.popen(command .. output, "w"))
  local self = setmetatable({ directory = directory, pipe = pipe }, Process)
  if not shell.run(PREPARE, "/dev/null", directory) then
    self:stop()
    error("bitrix.portal: cannot make the directory " .. directory, 0)
  end
  return self
end

--- Starts nginx and waits until it listens or is gone.
-- @return true, or nil and what nginx said
function Process:start()
  self.pipe:write("start\n")
  self.pipe:flush()
  self.events = assert(io.open(self.directory .. "/events", "r"))
  local line = self.events:read("*l")
  if line == "ready" then
    return true
  end
  self.events:close()
  self.events = nil
  return nil, files.read(self.directory .. "/start.log") or "nginx did not start"
end

--- The next line that the server or its supervisor wrote, waiting for it.
function Process:next_event()
  return self.events:read("*l")
end

--- Ends nginx, waits until it is gone and the directory is removed. May be called again.
function Process:stop()
  -- At the end of a Lua state the pipe may have been collected, and thereby closed, before us.
  if io.type(self.pipe) ~= "file" then
    return
  end
  if io.type(self.events) == "file" then
    self.events:close()
  end
  -- Said in words: another process that the owner has started may hold the pipe open.
  self.pipe:write("stop\n")
  self.pipe:close()
end

return M
