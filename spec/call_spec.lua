-- The call itself, over real sockets: what goes out, what comes back.
local bitrix = require "bitrix"
local is_integer = require "support.integers"

describe("a call", function()
  local portal, client

  setup(function()
    portal = require("bitrix.portal").start()
  end)

  teardown(function()
    portal:stop()
  end)

  before_each(function()
    portal:clear()
    client = bitrix.new{ webhook = portal.webhook, limit = false }
  end)

  after_each(function()
    client:close()
  end)

  local function last_request()
    local journal = portal:journal()
    return journal[#journal]
  end

  local function scripted(body, more)
    local rule = { status = 200, body = body }
    for name, value in pairs(more or {}) do rule[name] = value end
    portal:script{ rule }
  end

  it("posts to the webhook's address with the method behind it, and exactly this body", function()
    scripted('{"result":{}}')
    client.scrum.backlog_add{ groupId = 125, createdBy = 6 }
    local request = last_request()
    assert.equal("POST", request.http_method)
    assert.equal(portal.webhook:match("^http://[^/]+(/.*)$") .. "tasks.api.scrum.backlog.add", request.path)
    assert.equal('{"fields":{"groupId":125,"createdBy":6}}', request.body)
    assert.equal("", request.query)
  end)

  it("adds modifiedBy when it is given", function()
    scripted('{"result":{}}')
    client.scrum.backlog_add{ modifiedBy = 7, createdBy = 6, groupId = 125 }
    assert.equal('{"fields":{"groupId":125,"createdBy":6,"modifiedBy":7}}', last_request().body)
  end)

  it("sends the headers that the reference asks for, and no Expect even with a large body", function()
    portal:script{ { status = 200, body = '{"result":true}' }, { status = 200, body = '{"result":true}' } }
    client:call("x")
    local headers = last_request().headers
    assert.equal("application/json", headers["content-type"])
    assert.equal("application/json", headers["accept"])
    assert.equal("bitrix-lua/" .. bitrix._VERSION, headers["user-agent"])
    assert.equal("2", headers["content-length"])
    client:call("x", { text = ("y"):rep(2 * 1024 * 1024) })
    assert.is_nil(last_request().headers["expect"])
    assert.equal(2 * 1024 * 1024 + #'{"text":""}', #last_request().body)
  end)

  it("keeps its connection", function()
    for _ = 1, 3 do client.scrum.backlog_get_fields() end
    local journal = portal:journal()
    assert.equal(3, #journal)
    assert.equal(journal[1].connection, journal[2].connection)
    assert.equal(journal[1].connection, journal[3].connection)
  end)

  it("returns the result and, second, what is known about the call", function()
    scripted('{"result":{"id":1,"groupId":125,"createdBy":6,"modifiedBy":0},'
      .. '"time":{"start":1712137817.343984,"duration":0.26182,"operating":0,'
      .. '"date_start":"2024-04-03T12:50:17+02:00"},"total":70,"next":50}', { delay = 0.05 })
    local result, info = client.scrum.backlog_add{ groupId = 125, createdBy = 6 }
    assert.same({ id = 1, groupId = 125, createdBy = 6, modifiedBy = 0 }, result)
    for _, name in ipairs{ "id", "groupId", "createdBy", "modifiedBy" } do
      assert.is_true(is_integer(result[name]), name)
      assert.equal("number", type(result[name]))
    end
    assert.equal(200, info.status)
    assert.is_true(is_integer(info.status))
    assert.equal(0.26182, info.time.duration)
    assert.equal("2024-04-03T12:50:17+02:00", info.time.date_start)
    assert.equal(70, info.total)
    assert.equal(50, info.next)
    assert.equal(1, #info.attempts)
    assert.equal(200, info.attempts[1].status)
    assert.equal(0, info.attempts[1].waited)
    assert.is_true(info.attempts[1].seconds >= 0.04)
    local timings = info.timings
    for _, name in ipairs{ "dns", "connect", "tls", "first_byte", "total" } do
      assert.equal("number", type(timings[name]), name)
    end
    assert.is_true(timings.first_byte >= 0.04 and timings.total >= timings.first_byte and timings.total < 5)
    assert.equal(0, timings.tls)
  end)

  it("shows scheme and host only in tostring", function()
    assert.equal("bitrix.client (" .. portal.url:gsub("/$", "") .. ")", tostring(client))
    client:close()
    assert.equal("bitrix.client (closed)", tostring(client))
  end)

  describe("of the backlog methods", function()
    it("goes through a backlog's life", function()
      local made = client.scrum.backlog_add{ groupId = 125, createdBy = 6 }
      assert.equal(125, made.groupId)
      assert.same(made, (client.scrum.backlog_get{ groupId = 125 }))
      assert.equal('{"id":125}', last_request().body)
      local changed = client.scrum.backlog_update{ id = made.id, modifiedBy = 1 }
      assert.equal(('{"id":%d,"fields":{"modifiedBy":1}}'):format(made.id), last_request().body)
      assert.equal(1, changed.modifiedBy)
      assert.same({}, (client.scrum.backlog_delete{ id = made.id }))
      assert.equal(('{"id":%d}'):format(made.id), last_request().body)
      local ok, err = pcall(client.scrum.backlog_get, { groupId = 125 })
      assert.is_false(ok)
      assert.equal("backlog_not_found", err.reason)
      local fields = client.scrum.backlog_get_fields()
      assert.equal("integer", fields.fields.groupId.type)
      assert.equal("{}", last_request().body)
    end)

    it("takes ids as integers, integral floats and strings of digits", function()
      for _, id in ipairs{ 125, 125.0, "125", "0125" } do
        scripted('{"result":{}}')
        client.scrum.backlog_get{ groupId = id }
        assert.equal('{"id":125}', last_request().body)
      end
    end)

    it("writes large ids exactly", function()
      scripted('{"result":{}}')
      client.scrum.backlog_get{ groupId = 9007199254740991 }
      assert.equal('{"id":9007199254740991}', last_request().body)
      scripted('{"result":{}}')
      client.scrum.backlog_get{ groupId = "900719925474099301" }
      assert.equal('{"id":900719925474099301}', last_request().body)
    end)
  end)

  describe("by name", function()
    it("reaches any method with any parameters", function()
      scripted('{"result":[{"ID":"1"},{"ID":"2"}]}')
      local result = client:call("crm.deal.list", { filter = { [">ID"] = 0 }, select = { "ID", "TITLE" } })
      assert.same({ { ID = "1" }, { ID = "2" } }, result)
      assert.equal("crm.deal.list", last_request().method)
      assert.same({ filter = { [">ID"] = 0 }, select = { "ID", "TITLE" } }, last_request().params)
    end)

    it("sends null, UTF-8, nested lists and an empty table", function()
      scripted('{"result":true}')
      client:call("x.y", { a = bitrix.null, b = "A&B=C+D 100% Ёж \n\"\\", c = { { 1, 2 }, { x = false } }, d = {} })
      local body = last_request().body
      assert.truthy(body:find('"a":null', 1, true))
      assert.truthy(body:find("Ёж", 1, true))
      assert.truthy(body:find('"c":[[1,2],{"x":false}]', 1, true))
      assert.equal("A&B=C+D 100% Ёж \n\"\\", last_request().params.b)
    end)

    it("sends a list with holes as a map, never with made-up nulls", function()
      scripted('{"result":true}')
      client:call("x", { list = { [5] = "a" } })
      assert.equal('{"list":{"5":"a"}}', last_request().body)
    end)

    it("tells the portal's refusal of an unknown method", function()
      local ok, err = pcall(client.call, client, "no.such.method")
      assert.is_false(ok)
      assert.is_true(bitrix.is_error(err, "error_method_not_found"))
      assert.equal(404, err.status)
      assert.equal("no", err.executed)
    end)

    it("says so when the colon was forgotten", function()
      local ok, err = pcall(client.call, "user.current")
      assert.is_false(ok)
      assert.truthy(err:find("client:call", 1, true))
    end)
  end)

  describe("gives back values", function()
    local function result_of(body)
      scripted(body)
      return (client:call("any.method"))
    end

    it("as they are: numbers, texts, booleans, lists, empty lists", function()
      assert.equal(42, result_of('{"result":42}'))
      assert.is_true(is_integer(result_of('{"result":42}')) or not math.type)
      assert.equal(1.5, result_of('{"result":1.5}'))
      assert.equal("x", result_of('{"result":"x"}'))
      assert.equal(true, result_of('{"result":true}'))
      assert.equal(false, result_of('{"result":false}'))
      assert.same({}, result_of('{"result":[]}'))
      assert.same({}, result_of('{"result":{}}'))
    end)

    it("with integers exact up to 2^53", function()
      local list = result_of('{"result":[1,-1,0,9007199254740992,-9007199254740992,123456789012345,1.5,1e3]}')
      for i = 1, 6 do assert.is_true(is_integer(list[i]), tostring(list[i])) end
      assert.equal("9007199254740992", ("%.0f"):format(list[4]))
      assert.equal(123456789012345, list[6])
      assert.equal(1.5, list[7])
    end)

    it("with null absent from objects and bitrix.null in lists", function()
      assert.same({ a = 1, list = { 1, bitrix.null, 3 } }, result_of('{"result":{"a":1,"b":null,"list":[1,null,3]}}'))
    end)

    it("with bitrix.null for a result that is null or missing", function()
      assert.equal(bitrix.null, result_of('{"result":null}'))
      assert.equal(bitrix.null, result_of('{"time":{}}'))
      assert.equal(bitrix.null, result_of("{}"))
      assert.equal(bitrix.null, result_of("[]"))
      assert.equal(require("cjson").null, bitrix.null)
    end)

    it("of 60 MB", function()
      portal:script{ { status = 200, body_size = 60 * 1000 * 1000 } }
      local result = client:call("any.method")
      assert.is_true(#result > 59 * 1000 * 1000)
    end)

    it("without touching the application's cjson", function()
      result_of('{"result":1}')
      local cjson = require "cjson"
      assert.same({ { false, 2, 10 }, 14, true, 1000 }, { { cjson.encode_sparse_array() },
        cjson.encode_number_precision(), cjson.decode_invalid_numbers(), cjson.decode_max_depth() })
    end)
  end)
end)
