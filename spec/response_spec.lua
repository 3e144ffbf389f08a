-- Answers that are no proper answers.
local bitrix = require "bitrix"
local safe = require "bitrix.safe"

describe("an answer", function()
  local portal, client

  setup(function()
    portal = require("bitrix.portal").start()
    client = safe.new{ webhook = portal.webhook, limit = false, retry = false }
  end)

  teardown(function()
    client:close()
    portal:stop()
  end)

  before_each(function() portal:clear() end)

  local function answer(rule, with)
    portal:script{ rule }
    local result, err = (with or client):call("any.method")
    assert.is_nil(result)
    assert.is_true(bitrix.is_error(err))
    return err
  end

  local function refused(reason, executed, rule, with)
    local err = answer(rule, with)
    assert.equal("protocol", err.kind)
    assert.equal(reason, err.reason)
    assert.equal(executed, err.executed)
    assert.equal(rule.status, err.status)
    assert.equal("string", type(err.body))
    assert.equal("string", type(err.message))
    return err
  end

  it("in HTML is not_json, with status and excerpt", function()
    local page = "<html><head><title>502 Bad Gateway</title></head></html>"
    for status, executed in pairs{ [502] = "unknown", [504] = "unknown", [500] = "unknown", [200] = "unknown",
      [403] = "no", [404] = "no", [413] = "no" } do
      local err = refused("not_json", executed, { status = status, body = page })
      assert.equal(page, err.body)
    end
  end)

  it("keeps 2 KiB of what was not understood", function()
    assert.equal(2048, #refused("not_json", "unknown", { status = 200, body = ("x"):rep(5000) }).body)
  end)

  it("that is empty is not_json", function()
    local err = refused("not_json", "unknown", { status = 200, body = "" })
    assert.equal("the answer is empty", err.message)
    assert.equal("", err.body)
    refused("not_json", "no", { status = 401, body = "" })
    refused("not_json", "unknown", { status = 200, body = " \r\n\t" })
  end)

  it("cut off in the transfer is truncated", function()
    local body = '{"result":{"id":1,"groupId":125}}'
    for cut = 0, #body - 1, 8 do
      refused("truncated", "unknown", { status = 200, body = body, cut = cut })
      refused("truncated", "unknown", { status = 200, body = body, cut = cut, chunked = true })
    end
  end)

  it("cut off before it was sent is truncated", function()
    for _, body in ipairs{ "{", '{"result"', '{"result":{"id":1', '["a","b', '{"result":"\\', '{"a":{"b":[1,2' } do
      refused("truncated", "unknown", { status = 200, body = body })
    end
  end)

  it("with more behind its end is trailing_data", function()
    refused("trailing_data", "unknown", { status = 200, body = '{"result":1}\0{"result":2}' })
    refused("trailing_data", "unknown", { status = 200, body = '{"result":1}\0' })
    refused("trailing_data", "unknown", { status = 200, body = '{"result":1}<br />PHP Warning' })
    refused("trailing_data", "unknown", { status = 200, body = '{"result":1}{"result":2}' })
  end)

  it("with white space around it is fine", function()
    portal:script{ { status = 200, body = ' \n{"result":1}\r\n ' } }
    assert.equal(1, (client:call("x")))
  end)

  it("that is nearly JSON is not_json", function()
    for _, body in ipairs{ "{foo}", '{"result":}', "{'result':1}", '{"result":NaN}', '{"result":0x10}', '{"result":[1,]}',
      '{"a":"x\0y"}', "\0", "PHP Notice: x\n{}", "nul" } do
      refused("not_json", "unknown", { status = 200, body = body })
    end
  end)

  it("nested a hundred thousand deep is too_deep", function()
    refused("too_deep", "unknown", { status = 200, body = ("["):rep(100000) .. ("]"):rep(100000) })
    refused("too_deep", "unknown", { status = 200, body = '{"result":' .. ("["):rep(100000) .. ("]"):rep(100000) .. "}" })
    refused("too_deep", "unknown", { status = 200, body = ("["):rep(100000) })
    portal:script{ { status = 200, body = '{"result":' .. ("["):rep(500) .. ("]"):rep(500) .. "}" } }
    assert.is_table((client:call("x")))
  end)

  it("that is JSON but no object is bad_shape", function()
    for _, body in ipairs{ '"text"', "5", "true", "null", "[1,2]" } do
      refused("bad_shape", "unknown", { status = 200, body = body })
    end
  end)

  it("with an error's status that says no error is bad_shape", function()
    refused("bad_shape", "unknown", { status = 500, body = '{"result":true}' })
    refused("bad_shape", "no", { status = 400, body = "{}" })
  end)

  it("with an error that is null or false is no error", function()
    for _, value in ipairs{ "null", "false" } do
      portal:script{ { status = 200, body = ('{"result":1,"error":%s}'):format(value) } }
      assert.equal(1, (client:call("x")))
    end
  end)

  it("larger than max_response is too_large, and costs no more than that", function()
    local small = safe.new{ webhook = portal.webhook, max_response = 1000 }
    local err = refused("too_large", "unknown", { status = 200, body = '{"result":"' .. ("x"):rep(2000) .. '"}' }, small)
    assert.truthy(err.message:find("max_response (1000 bytes)", 1, true))
    portal:script{ { status = 200, body_size = 60 * 1000 * 1000 } }
    local _, big = small:call("x")
    assert.equal("too_large", big.reason)
    portal:script{ { status = 200, body = '{"result":"' .. ("x"):rep(900) .. '"}' } }
    assert.equal(900, #(small:call("x")))
  end)

  it("that redirects where a portal cannot have moved is not followed, and the credential goes nowhere else", function()
    local other = require("bitrix.portal").start{ hosts = { "127.0.0.2" } }
    local url = other.url:gsub("127%.0%.0%.1", "127.0.0.2")
    portal:script{ { redirect = other.webhook:gsub("127%.0%.0%.1", "127.0.0.2") .. "any.method" } }
    local result, err = client:call("any.method")
    assert.is_nil(result)
    assert.equal("auth", err.kind)
    assert.equal("redirect_refused", err.reason)
    assert.equal(302, err.status)
    assert.equal("no", err.executed)
    assert.truthy(err.message:find(url, 1, true), err.message)
    assert.is_nil(err.message:find(other.webhook:match("([^/]+)/$"), 1, true))
    assert.equal(0, #other:journal())
    other:stop()
  end)

  it("that says 'see other' may come after the call ran; other 3xx are no redirects", function()
    portal:script{ { status = 303, headers = { Location = "https://x.bitrix24.com/" }, body = "" } }
    local _, err = client:call("x")
    assert.same({ "redirect_refused", "unknown" }, { err.reason, err.executed })
    refused("not_json", "unknown", { status = 300, body = "choose" })
  end)

  it("is read whatever the program's locale", function()
    local changed
    for _, name in ipairs{ "de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8", "ru_RU.UTF-8" } do
      changed = changed or os.setlocale(name, "numeric")
    end
    if not changed then return pending("no locale with a decimal comma is installed here") end
    portal:script{ { status = 200, body = '{"result":1.5}' }, { status = 200, body = '{"result":1}' } }
    local result = client:call("x")
    client:call("x", { n = 2.5 })
    os.setlocale("C", "numeric")
    local journal = portal:journal()
    portal:script{ { status = 200, body = '{"result":2.5}' } }
    local again = client:call("x")
    assert.equal(1.5, result)
    assert.equal(2.5, again)
    assert.equal('{"n":2.5}', journal[2].body)
  end)

  it("leaves the client fit for the next call, whatever it was", function()
    local rules = { { status = 502, body = "<html>" }, { status = 200, body = "{", cut = 0 }, { close = true }, { reset = true },
      { status = 200, body = "{" } }
    for _, rule in ipairs(rules) do
      answer(rule)
      assert.is_table((client.scrum.backlog_get_fields()))
    end
  end)
end)
