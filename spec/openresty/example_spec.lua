-- That examples/openresty/ runs as it stands, by its demo. Tagged, because nginx's Lua is LuaJIT whichever Lua runs the spec.
local server = require "openresty.server"
local support = require "portal.support"

describe("the example for nginx #once", function()
  it("creates a backlog and tells errors by HTTP statuses", function()
    server.build()
    local output, code = support.run("env -u BITRIX24_WEBHOOK_URL LUA=" .. support.quote(support.lua) .. " examples/openresty/demo")
    assert.equal(0, code, output)
    for _, words in ipairs { '"groupId":125.*HTTP 201', "backlog_already_added.*HTTP 409", "access_denied.*HTTP 403",
      "created_by_not_found.*HTTP 422", "bad_request.*HTTP 400" } do
      assert.matches(words, output)
    end
  end)

  it("leaves nothing behind", function()
    assert.same({}, support.processes("examples/openresty/demo"))
  end)
end)
