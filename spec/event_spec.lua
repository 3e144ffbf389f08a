-- Events: read, and refused when a stranger made them.
local bitrix = require "bitrix"
local event = require "bitrix.event"
local php = require "bitrix.php"

local BODY = "event=ONTASKADD&data%5BFIELDS_BEFORE%5D=undefined&data%5BFIELDS_AFTER%5D%5BID%5D=42&data[FIELDS_AFTER][TAGS][]=a+b"
  .. "&data[FIELDS_AFTER][TAGS][]=c&ts=1700000000&auth[domain]=acme.bitrix24.com&auth%5Bmember_id%5D=m1"
  .. "&auth%5Bapplication_token%5D=T0ken%2B1"

describe("event.parse", function()
  it("reads an event", function()
    local got = assert(bitrix.event.parse(BODY, { application_token = "T0ken+1" }))
    assert.same({
      event = "ONTASKADD", ts = 1700000000, verified = true, is_system = true,
      data = { FIELDS_BEFORE = "undefined", FIELDS_AFTER = { ID = "42", TAGS = { "a b", "c" } } },
      auth = { domain = "acme.bitrix24.com", member_id = "m1", application_token = "T0ken+1" },
    }, got)
  end)

  it("asks a function for the portal's token", function()
    local asked
    local function token(member_id, seen)
      asked = { member_id, seen.event }
      return member_id == "m1" and "T0ken+1" or nil
    end
    assert.is_table(event.parse(BODY, { application_token = token }))
    assert.same({ "m1", "ONTASKADD" }, asked)
    assert.same({ nil, "unknown_portal" }, { event.parse(BODY:gsub("=m1", "=m2"), { application_token = token }) })
  end)

  it("refuses what a stranger may send", function()
    for reason, body in pairs{
      no_event = "data[a]=1", no_token = "event=X&auth[member_id]=m1", wrong_token = BODY:gsub("T0ken%%2B1", "T0ken%%2B2"),
    } do
      assert.same({ nil, reason }, { event.parse(body, { application_token = "T0ken+1" }) })
    end
    for _, body in ipairs{ "", "event", "event[]=X", "auth=T0ken%2B1&event=X", "event=X&auth[application_token]=",
      "event=X&auth[application_token][]=T0ken%2B1", "event=X&application_token=T0ken%2B1", "event=X&auth[application_token]=T0ken%2B",
      "event=X&auth[application_token]=T0ken%2B1x", "event=X&auth[application_token]=t0ken%2B1", ("&"):rep(100),
      "event=X&" .. ("a[b]=1&"):rep(2000) .. "auth[application_token]=T0ken%2B1" } do
      assert.is_nil((event.parse(body, { application_token = "T0ken+1" })))
    end
    -- Nothing is known of the portal: nothing may pass for its token.
    for _, known in ipairs{ false, "" } do
      assert.same({ nil, "unknown_portal" },
        { event.parse(BODY, { application_token = function() return known or nil end, installation = true }) })
    end
  end)

  it("lets the installation of an unknown portal through, unverified, where that is wanted", function()
    local body = BODY:gsub("ONTASKADD", "ONAPPINSTALL")
    local function none() return nil end
    assert.same({ nil, "unknown_portal" }, { event.parse(body, { application_token = none }) })
    local got = assert(event.parse(body, { application_token = none, installation = true }))
    assert.is_false(got.verified)
    -- One that is known must have its token for this as well.
    assert.same({ nil, "wrong_token" }, { event.parse(body, { application_token = function() return "x" end, installation = true }) })
    assert.is_true(event.parse(body, { application_token = "T0ken+1" }).verified)
  end)

  it("tells a user's event", function()
    local got = assert(event.parse(BODY .. "&auth[access_token]=a&auth[user_id]=42", { application_token = "T0ken+1" }))
    assert.is_false(got.is_system)
    assert.is_true(event.is_from(got, 42))
    assert.is_true(event.is_from(got, "42"))
    assert.is_false(event.is_from(got, 777))
    assert.is_false(event.is_from(got, nil))
    assert.is_false(event.is_from(assert(event.parse(BODY, { application_token = "T0ken+1" })), 42))
  end)

  it("raises a mistake of the program at its line", function()
    for _, run in ipairs{
      function() event.parse(nil, { application_token = "x" }) end, function() event.parse("x") end, function() event.parse("x", {}) end,
      function() event.parse("x", { application_token = "" }) end, function() event.parse("x", { application_token = 1 }) end,
      function() event.parse("x", { aplication_token = "x" }) end,
    } do
      local ok, problem = pcall(run)
      assert.is_false(ok)
      assert.truthy(problem:find("event_spec.lua:%d+: bad argument #%d to 'parse'"), problem)
    end
  end)
end)

describe("php.parse_query", function()
  it("reads as many parameters as PHP does", function()
    local parsed = php.parse_query(("a[]=1&"):rep(3000))
    assert.equal(1000, #parsed.a)
    assert.equal(3, #php.parse_query("a[]=1&a[]=2&a[]=3", nil, nil, 3).a)
  end)

  it("does not fall over brackets", function()
    assert.same({ a = { b = "2" } }, php.parse_query("a=1&a[b]=2"))
    assert.same({ ["a[b"] = "1" }, { ["a[b"] = "1" })
    assert.is_table(php.parse_query("a" .. ("[x]"):rep(1000) .. "=1"))
    assert.is_table(php.parse_query("[=1&]=2&[]=3&=4&%=5&%5=6&a[=7"))
  end)
end)
