-- What users install is complete: by LuaRocks for Lua 5.4 and 5.1, by `make install`; the example runs from it alone.
-- It works on a copy of the files that git tracks or would track, so that nothing of this tree's build can help.
-- Tagged, because it starts the same programs whichever Lua runs it: tools/run-specs.sh runs it on Lua 5.4 only.

local root, copy, emulator

-- A shell command's output and exit code, with none of what `make test` put into the environment.
local function sh(command, ...)
  command = command:format(...)
  local pipe = assert(io.popen("exec 2>&1; unset MAKEFLAGS MFLAGS MAKELEVEL LUA_PATH LUA_CPATH CFLAGS; " .. command
    .. "\necho \"exit $?\"", "r"))
  local text = pipe:read "*a"
  pipe:close()
  local output, code = text:match "^(.-)exit (%d+)\n$"
  return output, tonumber(code)
end

local function run(...)
  local output, code = sh(...)
  assert(code == 0, ("exit code %s from: %s\n%s"):format(code, string.format(...), output))
  return output
end

local function files(directory)
  return run("cd '%s' && find . -type f -not -path './build/*' | sort", directory)
end

-- Runs a Lua file with nothing of ours but what is installed under `tree`, in an empty directory.
local function run_from(tree, lua, file)
  local version = lua:gsub("^lua", ""):gsub("^jit$", "5.1")
  local share, lib = tree .. "/share/lua/" .. version, tree .. "/lib/lua/" .. version
  return run("mkdir -p '%s/empty' && cd '%s/empty' && LUA_PATH='%s/?.lua;%s/?/init.lua;;' LUA_CPATH='%s/?.so;;' "
    .. "BITRIX24_WEBHOOK_URL='%s' %s '%s'", root, root, share, share, lib, emulator.webhook, lua, file)
end

local function assert_example_runs(tree, lua)
  local output = run_from(tree, lua, copy .. "/examples/backlog_add.lua")
  assert.matches("125", output)
  assert.matches("backlog_already_added", output)

  -- Not by the help of something installed elsewhere.
  local probe = root .. "/probe.lua"
  local file = assert(io.open(probe, "w"))
  file:write [[
    print(debug.getinfo(require("bitrix").new, "S").source)
    for line in io.lines "/proc/self/maps" do
      if line:find("bitrix/core.so", 1, true) then print(line:match "%S+$") break end
    end
  ]]
  file:close()
  for line in run_from(tree, lua, probe):gmatch "[^\n]+" do
    assert.equal(tree, line:gsub("^@", ""):sub(1, #tree))
  end
end

describe("packaging #once", function()
  lazy_setup(function()
    root = run("mktemp -d"):gsub("\n", "")
    copy = root .. "/copy"
    run("mkdir '%s' && { git ls-files -co --exclude-standard 2>/dev/null || find . -type f -not -path './build/*'; } | "
      .. "while read -r f; do [ ! -f \"$f\" ] || echo \"$f\"; done | tar -c -T - | tar -x -C '%s'", copy, copy)
  end)

  lazy_teardown(function()
    run("rm -rf '%s'", root)
  end)

  before_each(function()
    emulator = require("bitrix.portal").start {}
  end)

  after_each(function()
    emulator:stop()
  end)

  for _, version in ipairs { "5.4", "5.1" } do
    it("installs into an empty LuaRocks tree for Lua " .. version .. ", and the example runs from it", function()
      local tree, before = root .. "/rocks-" .. version, files(copy)
      run("cd '%s' && luarocks --lua-version %s --tree '%s' make --deps-mode none", copy, version, tree)
      assert.equal(before, files(copy))
      assert_example_runs(tree, "lua" .. version)
      assert.matches("[Uu]sage", (run("'%s/bin/bitrix-portal' --help", tree)))
    end)
  end

  for _, lua in ipairs { "lua5.4", "luajit" } do
    it("installs by make for " .. lua .. " under DESTDIR, and takes away again what it put there", function()
      local stage = root .. "/stage-" .. lua
      run("cd '%s' && make -s install LUA=%s DESTDIR='%s' PREFIX=/usr", copy, lua, stage)
      assert_example_runs(stage .. "/usr", lua)
      local shebang = run("head -n 1 '%s/usr/bin/bitrix-portal'", stage)
      if shebang:find "lua" then assert.matches(lua, shebang, 1, true) end

      run("cd '%s' && make -s uninstall LUA=%s DESTDIR='%s' PREFIX=/usr", copy, lua, stage)
      assert.equal("", files(stage))
    end)
  end

  it("builds for one Lua beside another without mixing them up", function()
    run("cd '%s' && make -s LUA=lua5.4 && make -s LUA=luajit", copy)
    for id, lua in pairs { ["5.4"] = "lua5.4", luajit = "luajit" } do
      run("cd '%s' && LUA_CPATH='build/%s/?.so;;' %s -e 'require \"bitrix.core\"'", copy, id, lua)
    end
  end)

  it("exports one symbol, stays loaded when a Lua state closes, and brings no Lua of its own", function()
    local core = copy .. "/build/5.4/bitrix/core.so"
    run("cd '%s' && make -s LUA=lua5.4", copy)
    assert.equal("luaopen_bitrix_core\n", (run("nm -D --defined-only '%s' | awk '{ print $NF }'", core)))
    local dynamic = run("readelf -d '%s'", core)
    assert.matches("NODELETE", dynamic)
    assert.matches("libcurl", dynamic)
    assert.not_matches("NEEDED[^\n]*lua", dynamic)
  end)
end)
