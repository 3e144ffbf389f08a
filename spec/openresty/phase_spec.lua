-- Where in nginx calls can be made, and what they say where they cannot: lua/bitrix/runtime/nginx.lua. Tagged, because nginx's
-- Lua is LuaJIT whichever Lua runs the spec.
local portal = require "bitrix.portal"
local server = require "openresty.server"

-- For the TLS phases: the emulator's certificate.
local TLS = [[
  listen 127.0.0.1:%d ssl;
  ssl_certificate "%s/server.pem";
  ssl_certificate_key "%s/server.key";
]]

-- Groups 1 to 9, each with a backlog of an id of its own.
local function groups()
  local list = {}
  for id = 1, 9 do list[id] = { id = id, backlog = { id = 1000 + id, createdBy = 1, modifiedBy = 0 } } end
  return list
end

describe("in nginx #once", function()
  local p, nginx

  setup(function() p = portal.start { groups = groups(), tls = true } end)
  teardown(function() p:stop() end)
  before_each(function() p:clear() end)
  after_each(function()
    if nginx then nginx:stop() end
    nginx = nil
  end)

  local function start(options)
    options.files = options.files or {}
    options.files["here.lua"] = ("return { webhook = %q }"):format(p.webhook)
    nginx = server.start(options)
    return nginx
  end

  describe("a call can be made", function()
    for _, phase in ipairs { "server_rewrite", "rewrite", "access" } do
      it("in " .. phase .. "_by_lua", function()
        local block = phase .. [[_by_lua_block {
          if ngx.var.uri == "/x" then ngx.ctx.answer = ngx.get_phase() .. " " .. require("openresty.app").own(3) end
        }]]
        start { server = ([[
          %s
          location = /x { %s content_by_lua_block { ngx.print(ngx.ctx.answer) } }
        ]]):format(phase == "server_rewrite" and block or "", phase ~= "server_rewrite" and block or "") }
        assert.equal(phase .. " 3 1003", nginx:get("/x").body)
        assert.equal("", nginx:complaints())
      end)
    end

    it("in content_by_lua, in a light thread, in a coroutine, inside pcall and xpcall", function()
      start { server = [[
        location = /x { content_by_lua_block {
          local own = require("openresty.app").own
          local thread = ngx.thread.spawn(own, 2)
          local inside = coroutine.wrap(function() return own(3) end)
          local words = { own(1), inside() }
          words[3] = select(2, ngx.thread.wait(thread))
          words[4] = select(2, pcall(own, 4))
          words[5] = select(2, xpcall(function() return own(5) end, debug.traceback))
          words[6] = select(2, coroutine.resume(coroutine.create(own), 6))
          ngx.print(table.concat(words, ","))
        } }
      ]] }
      assert.equal("1 1001,3 1003,2 1002,4 1004,5 1005,6 1006", nginx:get("/x").body)
      assert.equal("", nginx:complaints())
    end)

    it("from a timer, wherever that was set", function()
      start {
        http = [[
          init_worker_by_lua_block {
            done = {}
            function later(id) ngx.timer.at(0, function() done[id] = require("openresty.app").own(id) end) end
            later(1)
          }
        ]],
        server = [[
          location = /x { content_by_lua_block { later(2) } log_by_lua_block { later(3) } }
          location = /done { content_by_lua_block { ngx.print(table.concat(done, ",", 1, 3)) } }
        ]],
      }
      nginx:get("/x")
      local body
      assert.is_true(server.eventually(function()
        body = nginx:get("/done").body
        return body == "1 1001,2 1002,3 1003"
      end), body)
    end)

    it("while a certificate is chosen", function()
      local port = require("bitrix.portal.port").free(1)[1]
      start { http = ([[
        server {
          %s
          ssl_certificate_by_lua_block { chosen = ngx.get_phase() .. " " .. require("openresty.app").own(7) }
          location = /x { content_by_lua_block { ngx.print(chosen) } }
        }
      ]]):format(TLS:format(port, p.directory, p.directory)) }
      local answer = require("portal.support").curl(("https://127.0.0.1:%d/x"):format(port), "--cacert", p.ca_file)
      assert.equal("ssl_cert 7 1007", answer.body)
      assert.equal("", nginx:complaints())
    end)

    it("side by side: parallel and map, in light threads", function()
      start { server = [[
        location = /x { content_by_lua_block {
          local own, bitrix = require("openresty.app").own, require "bitrix.safe"
          local began = ngx.now()
          local a, b, c = bitrix.parallel(function() return own(1) end, function() return own(2) end, function() return own(3) end)
          local mapped = bitrix.map({ 4, 5, 6 }, own, { concurrency = 2 })
          ngx.update_time()
          ngx.print(a, ",", b, ",", c, ",", table.concat(mapped, ","), ",", ngx.now() - began < 2.5)
        } }
      ]] }
      p:script { { pass = true, delay = 0.5, times = 6 } }
      assert.equal("1 1001,2 1002,3 1003,4 1004,5 1005,6 1006,true", nginx:get("/x").body)
      assert.equal("", nginx:complaints())
    end)
  end)

  describe("a call is refused before anything is sent", function()
    -- What `try` said is in the log: several of these phases cannot answer.
    local function outcome()
      local found
      server.eventually(function()
        found = nginx:log():match("OUTCOME ([^\n]*)")
        return found
      end)
      return found
    end
    local CALL = [[ { ngx.log(ngx.WARN, "OUTCOME ", require("openresty.app").try()) } ]]

    local function assert_refused(words)
      local text = outcome()
      assert.truthy(text and text:find("false ", 1, true), text)
      -- An ordinary string, at the line of who called.
      assert.truthy(text:find("openresty/app.lua:%d+: no call can wait in "), text)
      assert.truthy(text:find(words, 1, true), text)
      assert.equal(0, #p:journal())
    end

    it("in init_by_lua", function()
      start { http = "init_by_lua_block " .. CALL }
      assert_refused("init_by_lua, which runs before there are workers; use a timer from init_worker_by_lua (ngx.timer.at(0, ...))")
    end)
    it("in init_by_lua, in a coroutine", function()
      start { http = [[init_by_lua_block { coroutine.wrap(function() ]] .. CALL:match("{(.*)}") .. "end)() }" }
      assert_refused("init_by_lua, which")
    end)
    it("in init_worker_by_lua", function()
      start { http = "init_worker_by_lua_block " .. CALL }
      assert_refused("init_worker_by_lua; use a timer (ngx.timer.at(0, ...))")
    end)
    it("in exit_worker_by_lua", function()
      start { http = "exit_worker_by_lua_block " .. CALL }
      nginx:signal("QUIT")
      assert_refused("exit_worker_by_lua")
    end)
    it("in set_by_lua", function()
      start { server = "location = /x { set_by_lua_block $y " .. CALL .. " return 200; }" }
      nginx:get("/x")
      assert_refused("set_by_lua; use rewrite_by_lua or access_by_lua")
    end)
    for _, phase in ipairs { "header_filter", "body_filter" } do
      it("in " .. phase .. "_by_lua", function()
        start { server = "location = /x { " .. phase .. "_by_lua_block " .. CALL .. " return 200; }" }
        nginx:get("/x")
        assert_refused(phase .. "_by_lua; call in access_by_lua or content_by_lua and keep the answer in ngx.ctx")
      end)
    end
    it("in log_by_lua", function()
      start { server = "location = /x { log_by_lua_block " .. CALL .. " return 200; }" }
      nginx:get("/x")
      assert_refused("log_by_lua; use a timer (ngx.timer.at(0, ...))")
    end)
    it("in balancer_by_lua", function()
      start {
        http = "upstream u { server 127.0.0.1:1; balancer_by_lua_block " .. CALL .. " }",
        server = "location = /x { proxy_pass http://u; }",
      }
      nginx:get("/x")
      assert_refused("balancer_by_lua; call in access_by_lua")
    end)

    -- They can on OpenResty's own nginx, which this is not if its Lua is a module to be loaded.
    if #require("bitrix.portal.config").find_nginx().modules > 0 then
      for _, phase in ipairs { "ssl_client_hello", "ssl_session_fetch" } do
        it("in " .. phase .. "_by_lua of an nginx without OpenResty's patches", function()
          local port = require("bitrix.portal.port").free(1)[1]
          local block = phase .. "_by_lua_block " .. CALL
          local of_server = phase == "ssl_client_hello"
          start { http = ("%s server { %s %s location = /x { return 204; } }"):format(not of_server and block or "",
            TLS:format(port, p.directory, p.directory), of_server and block or "") }
          local support = require "portal.support"
          if of_server then
            assert.equal(204, support.curl(("https://127.0.0.1:%d/x"):format(port), "--cacert", p.ca_file).status)
          else
            -- A session that nginx has not: it asks Lua for it.
            support.run(([[
              connect="timeout 10 openssl s_client -connect 127.0.0.1:%d -tls1_2 -no_ticket"
              session=$(mktemp)
              $connect -sess_out "$session" </dev/null
              $connect -sess_in "$session" </dev/null
              rm -f "$session"
            ]]):format(port))
          end
          assert_refused(phase .. "_by_lua without OpenResty's own nginx; use ssl_certificate_by_lua")
        end)
      end
    end

    for name, code in pairs {
      ["string.gsub"] = [[ string.gsub("x", "x", function() seen = try() end) ]],
      ["table.sort"] = [[ table.sort({ 1, 2 }, function() seen = try() end) ]],
      ["a module that is being loaded"] = [[ seen = require "calls" ]],
    } do
      it("inside " .. name, function()
        start {
          server = "location = /x { content_by_lua_block { local seen local try = require('openresty.app').try " .. code
            .. " ngx.log(ngx.WARN, 'OUTCOME ', seen) } }",
          files = { ["calls.lua"] = "return require('openresty.app').try()" },
        }
        nginx:get("/x")
        assert_refused("inside what C code calls")
      end)
    end
  end)
end)
