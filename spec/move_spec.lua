-- Portals that move: which redirects may be followed, and what a client does then.
local bitrix = require "bitrix"
local memory = require "bitrix.store.memory"
local move = require "bitrix.move"
local safe = require "bitrix.safe"

describe("move.check", function()
  local function may(from, to, allow) return move.check(from, to, allow) end

  it("lets a cloud portal move to a cloud portal, in any zone", function()
    for _, host in ipairs{ "new.bitrix24.com", "acme.bitrix24.de", "new.bitrix24.com.br", "a.b.bitrix24.eu", "NEW.Bitrix24.RU" } do
      assert.equal("https://" .. host:lower(), may("https://acme.bitrix24.com", "https://" .. host .. "/rest/user.current"))
    end
  end)

  it("does not take for a cloud portal what only looks like one", function()
    for _, host in ipairs{ "new.bitrix24.com.evil.com", "bitrix24.com", "evilbitrix24.com", "new.bitrix24.evil", "new.bitrix24.com.evil",
      "new.bitrix24.", "bitrix24.com.evil.de", "new-bitrix24.com", "acme.bitrix24.com.", ".bitrix24.com" } do
      assert.is_nil(may("https://acme.bitrix24.com", "https://" .. host .. "/rest/x"), host)
    end
  end)

  it("lets another portal move on its own host only", function()
    assert.equal("https://intranet.acme.de:8443", may("https://intranet.acme.de", "https://intranet.acme.de:8443/portal/rest/x"))
    assert.equal("https://intranet.acme.de", may("http://intranet.acme.de", "https://intranet.acme.de/rest/x"))
    assert.is_nil(may("https://intranet.acme.de", "https://other.acme.de/rest/x"))
    assert.is_nil(may("https://intranet.acme.de", "https://acme.bitrix24.com/rest/x"))
    assert.is_nil(may("https://acme.bitrix24.com", "https://intranet.acme.de/rest/x"))
  end)

  it("wants https, but within this machine", function()
    local _, why = may("https://acme.bitrix24.com", "http://new.bitrix24.com/rest/x")
    assert.equal("https expected", why)
    assert.is_nil(may("http://10.0.0.1", "http://10.0.0.1:81/rest/x"))
    assert.is_nil(may("https://127.0.0.1", "http://127.0.0.1:81/rest/x"))
    assert.is_nil(may("http://127.0.0.1", "http://10.0.0.1/rest/x"))
    assert.equal("http://127.0.0.1:81", may("http://127.0.0.1", "http://127.0.0.1:81/rest/x"))
    assert.is_nil(may("http://127.0.0.1", "http://127.0.0.2:81/rest/x"))
    assert.equal("http://localhost:81", may("http://127.0.0.1:80", "http://localhost:81/rest/x", { "localhost" }))
    assert.is_nil(may("http://127.0.0.1", "http://10.0.0.1/rest/x", { "10.0.0.1" }))
    assert.equal("https://127.0.0.1:81", may("https://127.0.0.1", "https://127.0.0.1:81/rest/x"))
    assert.is_nil(may("http://127.0.0.1", "http://127.0.0.1.evil.com/rest/x"))
  end)

  it("does not follow to where it came from", function()
    local _, why = may("https://acme.bitrix24.com", "https://ACME.bitrix24.com:443/rest/x")
    assert.truthy(why:find("where it came from", 1, true))
  end)

  it("does not follow to what is no REST address, or not understood", function()
    for _, address in ipairs{ "https://new.bitrix24.com/", "https://new.bitrix24.com/bitrix/license.php", "https://new.bitrix24.com", "",
      "//new.bitrix24.com/rest/x", "/rest/x", "https://user@new.bitrix24.com/rest/x", "https://[REDACTED]@new.bitrix24.com/rest/x",
      "https://evil.com\\@new.bitrix24.com/rest/x", "https://evil.com#@new.bitrix24.com/rest/x", "ftp://new.bitrix24.com/rest/x",
      "https://evil.com:x@new.bitrix24.com/rest/x", "https://new.bitrix24.com:/rest/x", "https://new.bitrix24.com?/rest/x",
      "https://evil.com%2f.bitrix24.com/rest/x", "https://new.bitrix24.com\n/rest/x" } do
      assert.is_nil(may("https://acme.bitrix24.com", address), address)
    end
  end)

  it("follows the application's list, and nothing else then", function()
    local allow = { "new.acme.de", "*.portals.acme.de" }
    assert.equal("https://new.acme.de", may("https://old.acme.de", "https://new.acme.de/rest/x", allow))
    assert.equal("https://a.b.portals.acme.de", may("https://old.acme.de", "https://a.b.Portals.acme.de/rest/x", allow))
    for _, host in ipairs{ "portals.acme.de", "evilportals.acme.de", "x.new.acme.de", "old2.acme.de", "new.acme.de.evil.com" } do
      assert.is_nil(may("https://old.acme.de", "https://" .. host .. "/rest/x", allow), host)
    end
    assert.is_nil(may("https://acme.bitrix24.com", "https://new.bitrix24.com/rest/x", {}))
    assert.is_nil(may("https://old.acme.de", "http://new.acme.de/rest/x", allow))
  end)

  it("asks the application's function", function()
    local asked
    local function allow(to, from)
      asked = { to, from }
      return to == "new.acme.de" or "yes"
    end
    assert.equal("https://new.acme.de:444", may("https://old.acme.de", "https://new.acme.de:444/rest/x", allow))
    assert.same({ "new.acme.de", "old.acme.de" }, asked)
    assert.is_nil(may("https://old.acme.de", "https://other.acme.de/rest/x", allow), "only true is a yes")
  end)
end)

describe("the options of a move", function()
  it("are checked", function()
    for _, case in ipairs{
      { "allow_hosts", "x", "a list of host names or a function" }, { "allow_hosts", { 1 }, "host names" },
      { "allow_hosts", { "https://x" }, "host names" }, { "allow_hosts", { "*" }, "host names" },
      { "allow_hosts", { "*acme.de" }, "host names" },
      { "on_move", 1, "function expected" }, { "store", {}, "load, save and lock" }, { "store", "x", "load, save and lock" },
    } do
      local ok, problem = pcall(bitrix.new, { webhook = "https://x.y/rest/1/abcdefgh/", [case[1]] = case[2] })
      assert.is_false(ok)
      assert.truthy(problem:find("bad argument #1 to 'new' (option '" .. case[1] .. "': ", 1, true), problem)
      assert.truthy(problem:find(case[3], 1, true), problem)
    end
  end)
end)

describe("a portal that moves", function()
  local old, new, third

  setup(function()
    local start = require("bitrix.portal").start
    old = start()
    new = start{ secret = old.secret, token = old.token }
    third = start{ secret = old.secret, token = old.token }
  end)
  teardown(function()
    old:stop()
    new:stop()
    third:stop()
  end)
  before_each(function()
    for _, portal in ipairs{ old, new, third } do
      portal:clear()
      portal:move(nil)
    end
  end)

  local function place(portal) return (portal.url:gsub("/$", "")) end

  it("gets the same POST at its new address, and the client stays there and tells", function()
    old:move(new.url)
    local told = {}
    local client = safe.new{ webhook = old.webhook, on_move = function(to, from) told[#told + 1] = { to, from } end }
    local backlog, info = client.scrum.backlog_get_fields()
    assert.is_table(backlog, tostring(info))
    assert.equal(2, #info.attempts)
    assert.equal(302, info.attempts[1].status)
    assert.is_table(client:call("user.current"))
    assert.same({ { place(new), place(old) } }, told)
    assert.equal(("bitrix.client (%s)"):format(place(new)), tostring(client))
    local first, there = old:journal(), new:journal()
    assert.equal(1, #first)
    assert.equal(2, #there)
    assert.equal("POST", there[1].http_method)
    assert.equal(first[1].path, there[1].path)
    assert.equal(first[1].body, there[1].body)
  end)

  it("is remembered in a store, under its old address", function()
    old:move(new.url)
    local store = memory.new()
    safe.new{ webhook = old.webhook, store = store }:call("user.current")
    old:clear()
    local again = safe.new{ webhook = old.webhook, store = store }
    assert.is_table(again:call("user.current"))
    assert.equal(0, #old:journal())
    assert.equal(2, #new:journal())
    -- What is remembered goes no further than what is allowed now.
    assert.is_nil(safe.new{ webhook = old.webhook, store = store, allow_hosts = {} }:call("user.current"))
    assert.equal(2, #new:journal())
  end)

  it("may move twice", function()
    old:move(new.url)
    new:move(third.url)
    local store = memory.new()
    assert.is_table(safe.new{ webhook = old.webhook, store = store }:call("user.current"))
    assert.is_table(safe.new{ webhook = old.webhook, store = store }:call("user.current"))
    assert.equal(1, #old:journal())
    assert.equal(1, #new:journal())
    assert.equal(2, #third:journal())
  end)

  it("does not send a client in a circle", function()
    old:move(new.url)
    new:move(old.url)
    local result, err = safe.new{ webhook = old.webhook }:call("user.current")
    assert.is_nil(result)
    assert.equal("auth", err.kind)
    assert.equal("redirect_refused", err.reason)
    assert.equal("no", err.executed)
    assert.truthy(err.message:find("in a circle", 1, true), err.message)
    assert.is_true(#old:journal() <= 2)
    assert.equal(1, #new:journal())
  end)

  it("does not send a client to itself", function()
    old:move(old.url)
    local _, err = safe.new{ webhook = old.webhook }:call("user.current")
    assert.equal("redirect_refused", err.reason)
    assert.truthy(err.message:find("where it came from", 1, true), err.message)
    assert.equal(1, #old:journal())
  end)

  it("does not get a client to a host that is not allowed, and nothing is sent there", function()
    old:move(new.url)
    local client = safe.new{ webhook = old.webhook, allow_hosts = { "new.acme.de" } }
    local _, err = client:call("user.current")
    assert.equal("redirect_refused", err.reason)
    assert.truthy(err.message:find("allow_hosts", 1, true), err.message)
    assert.equal(0, #new:journal())
    assert.equal(("bitrix.client (%s)"):format(place(old)), tostring(client))
    old:script{ { redirect = "https://elsewhere.bitrix24.com/rest/1/abc/x" } }
    _, err = safe.new{ webhook = old.webhook }:call("user.current")
    assert.equal("redirect_refused", err.reason)
    assert.truthy(err.redirect:find("https://elsewhere.bitrix24.com/rest/", 1, true), err.redirect)
  end)

  it("is not followed after 303: the call may have run", function()
    old:script{ { status = 303, headers = { Location = new.url .. "rest/x" }, body = "" } }
    local _, err = safe.new{ webhook = old.webhook, retry = false }:call("user.current")
    assert.equal("redirect_refused", err.reason)
    assert.equal("unknown", err.executed)
    assert.equal(0, #new:journal())
  end)

  it("does not lose a call to a listener that fails", function()
    old:move(new.url)
    local stderr = io.stderr
    io.stderr = { write = function() end } -- luacheck: ignore
    local result = safe.new{ webhook = old.webhook, on_move = function() error("no") end }:call("user.current")
    io.stderr = stderr -- luacheck: ignore
    assert.is_table(result)
  end)
end)
