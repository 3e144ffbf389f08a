-- That a portal leaves nothing behind, whatever way it ends: bitrix/portal/process.lua, port.lua.

local portal = require "bitrix.portal"
local support = require "portal.support"

local function gone(directory)
  return not support.exists(directory) and #support.processes(directory) == 0
end

describe("stop", function()
  it("leaves no process and no file, and may be called again", function()
    local p = portal.start()
    assert.is_true(support.exists(p.directory))
    assert.is_true(#support.processes(p.directory) >= 2)
    p:stop()
    assert.is_true(gone(p.directory))
    p:stop()
    assert.equal("bitrix.portal (stopped)", tostring(p))
  end)
  it("makes the other methods say so", function()
    local p = portal.start()
    p:stop()
    for _, name in ipairs { "journal", "clear", "dump", "script" } do
      local ok, problem = pcall(function() p[name](p, {}) end)
      assert.is_false(ok)
      assert.matches("the portal has been stopped$", problem)
    end
  end)
  it("does not wait for requests that are under way", function()
    local p = portal.start()
    p:script { { delay = 30 } }
    local answer = io.popen(("curl -s %sprofile; echo $?"):format(p.webhook))
    assert.is_true(support.eventually(function() return #p:journal() == 1 end))
    local before = os.time()
    p:stop()
    assert.is_true(os.time() - before <= 2)
    -- No answer, and curl's code for that.
    assert.matches("^[1-9]%d*\n$", answer:read("*a"))
    answer:close()
  end)
  it("happens when a portal is collected", function()
    local p = portal.start()
    local directory = p.directory
    p = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_true(gone(directory))
  end)
end)

describe("the directory", function()
  it("is for its owner only", function()
    local p = portal.start()
    assert.equal("700", (support.run("stat -c %a " .. p.directory):gsub("%s+$", "")))
    p:stop()
  end)
  it("is in TMPDIR", function()
    local parent = support.run("mktemp -d '/tmp/bitrix portal XXXXXX'"):gsub("%s+$", "")
    finally(function() support.run("rm -rf " .. support.quote(parent)) end)
    local text = support.run("TMPDIR=" .. support.quote(parent) .. "; export TMPDIR; " .. support.lua_command [[
      local p = require("bitrix.portal").start { tls = true }
      io.stdout:setvbuf("no")
      print(p.directory)
      os.execute("curl -s " .. p.webhook .. "server.time")
      p:stop()
    ]])
    assert.equal(parent .. "/", text:sub(1, #parent + 1))
    assert.matches('{"result":', text)
    assert.equal("", (support.run("ls -A " .. support.quote(parent))))
  end)
end)

describe("an owner that ends", function()
  -- Starts a portal in another process, lets that end in some way, and looks what is left.
  local function leaves_nothing(ending, after)
    local file = os.tmpname()
    local script = ([[
      local p = require("bitrix.portal").start { tls = true }
      local file = io.open(%q, "w")
      file:write(p.directory, "\n")
      file:close()
      %s
    ]]):format(file, ending)
    local command = ("set -m; (exec %s) </dev/null & pid=$!; until [ -s %s ]; do sleep 0.01; done; %s; wait $pid")
      :format(support.lua_command(script), file, after or ":")
    support.run("bash -c " .. support.quote(command))
    local handle = io.open(file)
    local directory = handle:read("*l")
    handle:close()
    os.remove(file)
    assert.matches("/bitrix%-portal%.", directory)
    assert.is_true(support.eventually(function() return gone(directory) end))
  end
  local FOR_EVER = "while true do end"

  it("at its last line leaves nothing", function() leaves_nothing("") end)
  it("with os.exit leaves nothing", function() leaves_nothing("os.exit(3)") end)
  it("with an error leaves nothing", function() leaves_nothing("error('oops')") end)
  it("by kill -9 leaves nothing", function() leaves_nothing(FOR_EVER, "kill -9 $pid") end)
  it("by SIGTERM leaves nothing", function() leaves_nothing(FOR_EVER, "kill -TERM $pid") end)
  it("by Ctrl-C, which its whole process group gets, leaves nothing", function()
    leaves_nothing(FOR_EVER, "kill -INT -$pid; kill -TERM -$pid")
  end)
  it("by kill -9 of the whole process group leaves nothing", function()
    leaves_nothing(FOR_EVER, "kill -9 -$pid")
  end)
end)

describe("nginx", function()
  it("inherits nothing of its owner's files and environment", function()
    local script = support.lua_command [[
      local first = require("bitrix.portal").start()
      local mine = io.open("/etc/hostname")
      local p = require("bitrix.portal").start()
      local pid = io.open(p.directory .. "/nginx.pid"):read("*l")
      os.execute("ls -l /proc/" .. pid .. "/fd; tr '\\0' '\\n' </proc/" .. pid .. "/environ")
      p:stop()
      first:stop()
    ]]
    local text = support.run("bash -c " .. support.quote(
      "export SECRET_OF_MINE=1; exec 7</etc/passwd 33</etc/passwd; " .. script))
    assert.matches("/journal", text)
    assert.not_matches("/etc/", text)
    assert.not_matches("pipe:", text)
    assert.not_matches("SECRET_OF_MINE", text)
    assert.not_matches("LUA_PATH", text)
  end)
  it("that does not start says why, and leaves nothing", function()
    local p = portal.start()
    local ok, problem = pcall(portal.start, { port = p.port })
    assert.is_false(ok)
    assert.equal(("bitrix.portal: port %d is in use"):format(p.port), problem)
    p:stop()
    assert.same({}, support.processes(p.directory))
  end)
  it("that was killed is no hindrance for stop", function()
    local p = portal.start()
    support.run("kill -9 $(cat " .. p.directory .. "/nginx.pid)")
    assert.equal(7, support.curl(p.webhook .. "profile").exit)
    p:stop()
    assert.is_true(gone(p.directory))
  end)
  it("that is missing is named with its packages", function()
    local text = support.run(support.lua_command [[
      -- As if the search had found a program that cannot run Lua, and nothing else.
      require("bitrix.portal.shell").capture = function() return "path: /bin/nginx\nnginx version: nginx/1.22.1\n" end
      print(pcall(require("bitrix.portal").start))
    ]])
    assert.matches("nginx%-light libnginx%-mod%-http%-lua", text)
  end)
end)

describe("two portals", function()
  it("live side by side and end in any order", function()
    local a, b = portal.start(), portal.start()
    assert.not_equal(a.port, b.port)
    assert.not_equal(a.secret, b.secret)
    support.curl(a.webhook .. "profile")
    assert.same({ 1, 0 }, { #a:journal(), #b:journal() })
    a:stop()
    assert.is_true(gone(a.directory))
    assert.equal(200, support.curl(b.webhook .. "profile").status)
    b:stop()
    assert.is_true(gone(b.directory))
  end)
  it("end in the order in which they were started even if the first is only dropped", function()
    local a, b = portal.start(), portal.start()
    local directory = a.directory
    a = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_true(gone(directory))
    assert.equal(200, support.curl(b.webhook .. "profile").status)
    b:stop()
  end)
end)
