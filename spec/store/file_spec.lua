-- The store in a file: modes, locks between processes, kill -9.
local core = require "bitrix.core"
local file = require "bitrix.store.file"
local support = require "portal.support"

describe("bitrix.store.file", function()
  local directory, path

  before_each(function()
    directory = support.run("mktemp -d"):match("%S+")
    path = directory .. "/tokens.json"
  end)
  after_each(function() support.run("rm -rf " .. support.quote(directory)) end)

  local function mode(name) return (support.run("stat -c %a " .. support.quote(name)):match("%d+")) end

  it("gives back what was saved, to another store of the same file, too", function()
    local store = file.new(path)
    assert.is_nil(store:load("a"))
    assert.is_true(store:save("a", { access_token = "x\"\\\n\0é", expires = 1712137817, seeds = { "1", "2" } }))
    assert.is_true(store:save("b", { access_token = "y" }))
    local again = file.new(path)
    assert.same({ access_token = "x\"\\\n\0é", expires = 1712137817, seeds = { "1", "2" } }, again:load("a"))
    assert.same({ access_token = "y" }, again:load("b"))
    assert.is_nil(again:load("c"))
    if math.type then assert.equal("integer", math.type(again:load("a").expires)) end
  end)

  it("is for its user's eyes only", function()
    support.run("umask 000")
    local store = file.new(path)
    store:save("a", { access_token = "x" })
    assert.equal("600", mode(path))
    assert.equal("600", mode(path .. ".lock"))
    for _, bad in ipairs{ "644", "640", "606", "660", "601" } do
      support.run(("chmod %s %s"):format(bad, support.quote(path)))
      local loaded, problem = store:load("a")
      assert.is_nil(loaded)
      assert.truthy(problem:find("others can read it", 1, true), problem)
      local saved, trouble = store:save("a", { access_token = "y" })
      assert.is_nil(saved)
      assert.truthy(trouble:find("others can read it", 1, true))
    end
    support.run("chmod 400 " .. support.quote(path))
    assert.equal("x", store:load("a").access_token)
  end)

  it("refuses what is no plain file of its user", function()
    local store = file.new(path)
    support.run(("mkfifo -m 600 %s"):format(support.quote(path)))
    assert.truthy(select(2, store:load("a")):find("not a plain file", 1, true))
    support.run(("rm %s; ln -s /etc/passwd %s"):format(support.quote(path), support.quote(path)))
    assert.is_string((select(2, store:load("a"))))
    assert.is_string((select(2, file.new(directory .. "/no/where"):save("a", {}))))
    assert.is_string((select(2, file.new(directory .. "/no/where"):lock("a", 1))))
    assert.has_error(function() file.new() end)
    assert.has_error(function() file.new("") end)
  end)

  it("does not throw away what it does not understand", function()
    support.run(("umask 077; printf '{\"a\":{\"access_token\":\"S3cr' >%s"):format(support.quote(path)))
    local store = file.new(path)
    local _, problem = store:load("a")
    assert.truthy(problem:find("not the JSON of a store", 1, true))
    assert.is_nil(problem:find("S3cr", 1, true))
    assert.is_nil((store:save("a", { access_token = "x" })))
    support.run(": >" .. support.quote(path))
    assert.is_nil((store:load("a")))
    assert.is_true(store:save("a", { access_token = "x" }))
  end)

  it("locks a key once, within one process as well", function()
    local store, other = file.new(path), file.new(path)
    local unlock = store:lock("a", 60)
    assert.is_function(unlock)
    assert.same({ nil, "locked" }, { store:lock("a", 60) })
    assert.same({ nil, "locked" }, { other:lock("a", 60) })
    local second = other:lock("b", 60)
    assert.is_function(second)
    unlock()
    local again = other:lock("a", 60)
    assert.is_function(again)
    unlock() -- twice is fine, and not another's
    assert.same({ nil, "locked" }, { store:lock("a", 60) })
    again()
    second()
  end)

  it("lets go of a lock whose time is over or whose holder forgot it", function()
    local store = file.new(path)
    local late = store:lock("a", 0.01)
    local from = core.now()
    while core.now() < from + 0.02 do assert.is_function(late) end
    local now = store:lock("a", 60)
    assert.is_function(now)
    late()
    assert.same({ nil, "locked" }, { store:lock("a", 60) })
    now = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_function(store:lock("a", 60))
  end)

  -- A Lua process like this one, with the store's path as STORE.
  local function start(script)
    return io.popen(support.lua_command(("local STORE = %q %s"):format(path, script)) .. " 2>&1")
  end

  it("is free at once when the holder of a lock is killed", function()
    local pipe = start([[
      local unlock = assert(require("bitrix.store.file").new(STORE):lock("a", 600))
      local stat = assert(io.open("/proc/self/stat"))
      io.write(stat:read("*n"), "\n")
      io.stdout:flush()
      while unlock do os.execute("sleep 1") end]])
    local pid = assert(tonumber(pipe:read("*l")))
    local store = file.new(path)
    assert.same({ nil, "locked" }, { store:lock("a", 60) })
    support.run("kill -9 " .. pid)
    local unlock
    assert.is_true(support.eventually(function()
      unlock = store:lock("a", 60)
      return unlock ~= nil
    end))
    pipe:close()
  end)

  it("keeps all that twenty processes save at once", function()
    local pipes = {}
    for i = 1, 20 do
      pipes[i] = start(([[
        local store = require("bitrix.store.file").new(STORE)
        for n = 1, 10 do assert(store:save("key%d", { n = n })) end
        print("done")]]):format(i))
    end
    for _, pipe in ipairs(pipes) do
      assert.equal("done", pipe:read("*l"))
      pipe:close()
    end
    local store = file.new(path)
    for i = 1, 20 do assert.equal(10, store:load("key" .. i).n) end
  end)

  it("is whole after kill -9 at any moment #slow", function()
    local store = file.new(path)
    local filler = ("x"):rep(20000)
    assert.is_true(store:save("pair", { access_token = "0", refresh_token = "0", filler = filler }))
    local seen = 0
    for round = 1, 30 do
      local pipe = start([[
        local store = require("bitrix.store.file").new(STORE)
        local stat = assert(io.open("/proc/self/stat"))
        io.write(stat:read("*n"), "\n")
        io.stdout:flush()
        local n = tonumber(store:load("pair").access_token)
        while true do
          n = n + 1
          local text = ("%d"):format(n)
          local ok, problem = store:save("pair", { access_token = text, refresh_token = text, filler = ("x"):rep(20000) })
          if not ok then io.write(problem, "\n") os.exit(1) end
        end]])
      local pid = assert(tonumber(pipe:read("*l")))
      support.run(("sleep 0.0%02d; kill -9 %d"):format(round * 3, pid))
      local rest = pipe:read("*a")
      pipe:close()
      assert.equal("", (rest:gsub("Killed%s*", "")))
      local pair = store:load("pair")
      assert.is_table(pair)
      assert.equal(pair.access_token, pair.refresh_token)
      assert.equal(#filler, #pair.filler)
      assert.is_true(tonumber(pair.access_token) >= seen, "a save was undone")
      seen = tonumber(pair.access_token)
    end
    assert.is_true(seen > 0)
    assert.equal("600", mode(path))
  end)
end)

describe("bitrix.core.append", function()
  it("appends lines that are there after sync, and closes", function()
    local name = os.tmpname()
    local journal = assert(core.append(name))
    assert.is_true(journal:write("one"))
    assert.is_true(journal:write("two"))
    assert.is_true(journal:sync())
    local text = assert(io.open(name)):read("*a")
    assert.equal("one\ntwo\n", text)
    journal:close()
    journal:close()
    assert.has_error(function() journal:write("three") end, "this journal is closed")
    local again = assert(core.append(name))
    again:write("three")
    again:close()
    assert.equal("one\ntwo\nthree\n", assert(io.open(name)):read("*a"))
    os.remove(name)
    local none, problem = core.append("/no/where")
    assert.is_nil(none)
    assert.is_string(problem)
  end)
end)

describe("bitrix.core.random and equal", function()
  it("make and compare secrets", function()
    assert.truthy(core.random(16):find("^%x+$"))
    assert.equal(32, #core.random(16))
    assert.not_equal(core.random(16), core.random(16))
    assert.has_error(function() core.random(0) end)
    assert.is_true(core.equal("abc", "abc"))
    assert.is_true(core.equal("", ""))
    assert.is_true(core.equal("a\0b", "a\0b"))
    for _, pair in ipairs{ { "abc", "abd" }, { "abc", "ab" }, { "ab", "abc" }, { "abab", "ab" }, { "ab", "abab" }, { "", "a" }, { "a", "" },
      { "a\0b", "a\0c" } } do
      assert.is_false(core.equal(pair[1], pair[2]))
    end
  end)
end)
