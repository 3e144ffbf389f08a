-- What several specs of the emulator need: curl, shell commands, another Lua process like this one.

local M = {}

local function quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

M.quote = quote

--- Runs a shell command; returns what it printed (both outputs) and its exit code.
function M.run(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1; printf '\\n%d' $?"))
  local text = pipe:read("*a")
  pipe:close()
  local output, code = text:match("^(.*)\n(%d+)$")
  return output, tonumber(code)
end

--- The program that runs this spec. Under valgrind or with a stand-in it is not the one that /proc shows.
M.lua = os.getenv("BITRIX_LUA") or M.run('readlink "/proc/$PPID/exe"'):gsub("%s+$", "")

--- A command line that runs a Lua script as this process would.
function M.lua_command(script)
  return ("env LUA_PATH=%s LUA_CPATH=%s %s -e %s"):format(quote(package.path), quote(package.cpath), quote(M.lua),
    quote(script))
end

--- Calls with curl.
-- @tparam string url
-- @tparam string ... more arguments for curl
-- @treturn table `exit` (curl's code, 0 is good), `status`, `body`, `version` ("1.1", "2")
function M.curl(url, ...)
  local words = { "curl -s --max-time 20 -w '\\n%{http_code} %{http_version}'" }
  for _, word in ipairs { ... } do
    words[#words + 1] = quote(word)
  end
  words[#words + 1] = quote(url)
  local text, code = M.run(table.concat(words, " "))
  local body, status, version = text:match("^(.*)\n(%d+) (%S+)$")
  return { exit = code, status = tonumber(status), body = body, version = version }
end

--- Calls a method with a JSON body.
function M.call(address, body, ...)
  return M.curl(address, "-H", "Content-Type: application/json", "-d", body, ...)
end

--- Waits for something that another process does on its own time; true when it came within two seconds.
function M.eventually(condition)
  for _ = 1, 200 do
    if condition() then
      return true
    end
    os.execute("sleep 0.01")
  end
  return false
end

function M.exists(path)
  local _, code = M.run("test -e " .. quote(path))
  return code == 0
end

--- Process ids of those whose command line names a text.
function M.processes(text)
  local list = M.run("grep -laF -e " .. quote(text) .. " /proc/[0-9]*/cmdline 2>/dev/null; :")
  local pids = {}
  for pid in list:gmatch("/proc/(%d+)") do
    -- The searching shells name it, too, but are gone by now.
    if M.exists("/proc/" .. pid) then
      pids[#pids + 1] = pid
    end
  end
  return pids
end

return M
