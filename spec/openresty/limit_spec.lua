-- The portal's limit, shared by nginx's workers. Tagged, because nginx's Lua is LuaJIT whichever Lua runs the spec.
local portal = require "bitrix.portal"
local redis = require "support.redis"
local server = require "openresty.server"
local socket = require "socket"

local LOCATION = [[ location = /call { content_by_lua_block {
  local limit = { burst = 20, rate = 10 }
  local here = require "here"
  if here.redis then limit.store = require("bitrix.store.redis").new { port = here.redis, timeout = 0.3 } end
  local client = require("bitrix.safe").new { webhook = here.webhook, limit = limit }
  local result, err = client:call "user.current"
  ngx.print(result and ngx.worker.pid() or tostring(err))
  client:close()
} } ]]

describe("the limit in nginx #once", function()
  local p, nginx

  after_each(function()
    if nginx then nginx:stop() end
    if p then p:stop() end
    nginx, p = nil, nil
  end)

  local function start(options)
    p = portal.start { limit = { burst = 20, rate = 10, counts_refused = true } }
    options.server = options.server or LOCATION
    options.files = { ["here.lua"] = ("return { webhook = %q, redis = %s }"):format(p.webhook, tostring(options.redis)) }
    options.redis = nil
    nginx = server.start(options)
  end

  -- So many calls at once, all answered; which workers had them.
  local function call(count)
    local paths, workers = {}, {}
    for i = 1, count do paths[i] = "/call" end
    for _, answer in ipairs(nginx:get_all(paths)) do
      assert.truthy(tonumber(answer.body), answer.body or answer.problem)
      workers[answer.body] = true
    end
    local n = 0
    for _ in pairs(workers) do n = n + 1 end
    return n
  end

  local function refused()
    local n = 0
    for _, request in ipairs(p:journal()) do n = n + (request.refused and 1 or 0) end
    return n
  end

  it("is one for all workers by lua_shared_dict", function()
    start { workers = 4, http = "lua_shared_dict bitrix 1m;" }
    local began = socket.gettime()
    assert.is_true(call(60) > 1)
    assert.is_true(socket.gettime() - began >= 3)
    assert.equal(0, refused())
    assert.equal(60, #p:journal())
    assert.equal("", nginx:complaints())
    assert.is_nil(nginx:log():find("takes its share", 1, true))
  end)

  it("is shared out without one, and that is said once", function()
    start { workers = 4 }
    call(40)
    assert.equal(0, refused())
    local _, said = nginx:log():gsub("takes its share of the portal's limit", "")
    assert.is_true(said >= 1 and said <= 4, said) -- each worker once
  end)

  it("goes on when a worker dies", function()
    start { workers = 2, http = "lua_shared_dict bitrix 1m;" }
    call(20)
    for _, worker in ipairs(nginx:workers()) do nginx:signal("KILL", worker.pid) end
    server.eventually(function() return nginx:get("/ping").status == 200 end)
    call(20)
    assert.equal(0, refused())
  end)

  it("goes on when a worker dies while it counts", function()
    start { workers = 2, http = "lua_shared_dict bitrix 1m;", server = LOCATION .. [[
      location = /die { content_by_lua_block {
        -- What is left behind by one that is killed inside: its lock.
        local place = require("here").webhook:match("^(.-)/rest/")
        ngx.print(tostring(ngx.shared.bitrix:add("limit lock " .. place, true, 0.1)))
      } }
    ]] }
    assert.equal("true", nginx:get("/die").body)
    local began = socket.gettime()
    call(4)
    assert.is_true(socket.gettime() - began < 5)
    assert.equal("", nginx:complaints())
    assert.is_nil(nginx:log():find("does not answer", 1, true))
  end)

  it("is one for all workers by Redis, and calls go on when that is gone", function()
    local there = redis.start()
    start { workers = 2, redis = there.port }
    call(40)
    assert.equal(0, refused())
    there.kill()
    local began = socket.gettime()
    assert.is_true(call(4) >= 1)
    assert.is_true(socket.gettime() - began < 10)
    assert.truthy(nginx:log():find("the store of the limit does not answer", 1, true))
    there.stop()
  end)

  it("keeps tokens and locks in the dictionary", function()
    start { workers = 1, http = "lua_shared_dict bitrix 1m;", server = [[ location = /x { content_by_lua_block {
      local store = require("bitrix.store.dict").new()
      local words = { tostring(store:load "a"), tostring(store:save("a", { access_token = "x" })), store:load("a").access_token }
      local unlock = store:lock("a", 5)
      words[4] = select(2, store:lock("a", 5))
      unlock()
      words[5] = type(store:lock("a", 0.2))
      unlock()
      words[6] = select(2, store:lock("a", 5))
      ngx.sleep(0.3)
      words[7] = type(store:lock("a", 5))
      words[8] = tostring(pcall(require("bitrix.store.dict").new, "none"))
      ngx.print(table.concat(words, " "))
    } } ]] }
    assert.equal("nil true x locked function locked function false", nginx:get("/x").body)
  end)
end)
