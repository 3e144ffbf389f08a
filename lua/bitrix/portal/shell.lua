-- Runs shell scripts with arguments that need no thought about quoting.

local M = {}

-- nginx is in /usr/sbin, which is not everybody's.
local PATH = 'PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"'

--- Quotes a string for the shell.
function M.quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- A command line for a script with `$1`, `$2`, ... as arguments and nothing of the caller's environment but PATH.
-- @tparam string script
-- @tparam string ... arguments
function M.command(script, ...)
  local words = {}
  for i = 1, select("#", ...) do
    words[i] = M.quote((select(i, ...)))
  end
  return ("exec env -i %s LC_ALL=C sh -c %s sh %s"):format(PATH, M.quote(script), table.concat(words, " "))
end

--- Runs a script and waits for it.
-- @tparam string script
-- @tparam string log a file for what it prints
-- @tparam string ... arguments
-- @treturn boolean whether it ended with 0
function M.run(script, log, ...)
  local result = os.execute(M.command(script, ...) .. " </dev/null >" .. M.quote(log) .. " 2>&1")
  -- Lua 5.1 returns the exit code, later versions true or nil.
  return result == true or result == 0
end

--- Runs a script and returns what it printed.
function M.capture(script, ...)
  local pipe = assert(io.popen(M.command(script, ...) .. " </dev/null 2>&1", "r"))
  local text = pipe:read("*a")
  pipe:close()
  return text
end

return M
