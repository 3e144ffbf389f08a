-- The catalog's methods and their arguments: what is refused before anything is sent.
local bitrix = require "bitrix"
local core = require "bitrix.core"
local safe = require "bitrix.safe"

describe("a wrong argument", function()
  local portal, client

  setup(function()
    portal = require("bitrix.portal").start()
    client = bitrix.new{ webhook = portal.webhook, limit = false }
  end)

  teardown(function()
    assert.equal(0, #portal:journal(), "a wrong argument was sent")
    client:close()
    portal:stop()
  end)

  local function problem_of(name, ...)
    local ok, problem = pcall(client.scrum[name], ...)
    assert.is_false(ok)
    assert.equal("string", type(problem))
    return problem
  end

  it("is named, with what was expected and what came", function()
    local cases = {
      { "backlog_add", nil, "(field 'groupId': integer expected, got nil)" },
      { "backlog_add", {}, "(field 'groupId': integer expected, got nil)" },
      { "backlog_add", { groupId = 1 }, "(field 'createdBy': integer expected, got nil)" },
      { "backlog_add", { groupId = "x", createdBy = 6 }, "(field 'groupId': integer expected, got string)" },
      { "backlog_add", { groupId = "", createdBy = 6 }, "got string" },
      { "backlog_add", { groupId = "-1", createdBy = 6 }, "got string" },
      { "backlog_add", { groupId = "1.0", createdBy = 6 }, "got string" },
      { "backlog_add", { groupId = "1e3", createdBy = 6 }, "got string" },
      { "backlog_add", { groupId = " 1", createdBy = 6 }, "got string" },
      { "backlog_add", { groupId = "1\0", createdBy = 6 }, "got string" },
      { "backlog_add", { groupId = ("9"):rep(19), createdBy = 6 }, "got string" },
      { "backlog_add", { groupId = 1.5, createdBy = 6 }, "(field 'groupId': integer expected, got 1.5)" },
      { "backlog_add", { groupId = 0 / 0, createdBy = 6 }, "integer expected, got " },
      { "backlog_add", { groupId = math.huge, createdBy = 6 }, "integer expected, got inf" },
      { "backlog_add", { groupId = 1e300, createdBy = 6 }, "integer expected, got 1e+300" },
      { "backlog_add", { groupId = true, createdBy = 6 }, "got boolean" },
      { "backlog_add", { groupId = {}, createdBy = 6 }, "got table" },
      { "backlog_add", { groupId = bitrix.null, createdBy = 6 }, "got null" },
      { "backlog_add", { groupId = 1, createdBy = 6, modifiedBy = "x" }, "(field 'modifiedBy': integer expected, got string)" },
      { "backlog_add", "x", "(table expected, got string)" },
      { "backlog_add", { groupid = 1, createdBy = 6 }, "(unknown parameter 'groupid'; did you mean 'groupId'?)" },
      { "backlog_add", { group_id = 1 }, "did you mean 'groupId'?" },
      { "backlog_add", { GroupID = 1 }, "did you mean 'groupId'?" },
      { "backlog_add", { groupId = 1, createBy = 6 }, "did you mean 'createdBy'?" },
      { "backlog_add", { groupId = 1, createdBy = 6, colour = 1 }, "(unknown parameter 'colour')" },
      { "backlog_add", { fields = { groupId = 1 } }, "give its contents directly" },
      { "backlog_add", { 1, 2 }, "(names expected as keys, got a number)" },
      { "backlog_add", { groupId = 1, createdBy = 6, ["modifiedBy\0x"] = 7 }, "unknown parameter 'modifiedBy" },
      { "backlog_get", { id = 1 }, "(unknown parameter 'id'; did you mean 'groupId'?)" },
      { "backlog_get", {}, "(field 'groupId': integer expected, got nil)" },
      { "backlog_update", { groupId = 1 }, "(field 'id': integer expected, got nil)" },
      { "backlog_update", { id = 1 }, "nothing to change" },
      { "backlog_delete", { groupId = 1 }, "(unknown parameter 'groupId')" },
      { "backlog_get_fields", { id = 1 }, "(unknown parameter 'id')" },
    }
    for _, case in ipairs(cases) do
      local problem = problem_of(case[1], case[2])
      assert.truthy(problem:find("bad argument #1 to '" .. case[1] .. "' (", 1, true), problem)
      assert.truthy(problem:find(case[3], 1, true), problem .. " has no " .. case[3])
    end
  end)

  it("is blamed on the caller's line, in both faces", function()
    local returning = safe.new{ webhook = portal.webhook }
    for _, run in ipairs{
      function() client.scrum.backlog_add{ groupId = "x" } end, function() returning.scrum.backlog_add{ groupId = "x" } end,
      function() client:call("x", 5) end, function() returning:call("") end,
    } do
      local ok, problem = pcall(run)
      assert.is_false(ok)
      assert.truthy(problem:find("^[^:]*catalog_spec.lua:%d+: bad argument"), problem)
    end
  end)

  it("is a colon in place of a dot", function()
    local function problem(run) return select(2, pcall(run)) end
    assert.truthy(problem(function() client.scrum:backlog_get{ groupId = 1 } end):find("write scrum.backlog_get{...}, with a dot", 1, true))
    assert.truthy(problem(function() client.scrum:backlog_ensure{ groupId = 1 } end):find("with a dot", 1, true))
    assert.truthy(problem(function() bitrix:new{} end):find("with a dot", 1, true))
    assert.truthy(problem(function() bitrix:configure{} end):find("with a dot", 1, true))
    assert.truthy(problem(function() client.close() end):find("with a colon", 1, true))
  end)

  describe("to call", function()
    local function call_problem(...)
      local ok, problem = pcall(client.call, client, ...)
      assert.is_false(ok)
      assert.equal("string", type(problem))
      return problem
    end

    it("is refused when it is no method's name", function()
      for _, name in ipairs{ ".", "..", ("a"):rep(256), "", "a b", "a\r\nb", "a\0b", "user/current", "a?b", "a#b", "а.б", "../x" } do
        assert.truthy(call_problem(name):find("bad argument #1 to 'call' (a method's name expected", 1, true))
      end
      assert.truthy(call_problem():find("got nil", 1, true))
      assert.truthy(call_problem(5):find("got number", 1, true))
    end)

    it("is refused with its place when it cannot be sent", function()
      local loop = {}
      loop.again = loop
      local cases = {
        { { f = print }, "(field 'f': function cannot be sent)" },
        { { a = { b = { 1, 2, io.stdout } } }, "(field 'a.b[3]': userdata cannot be sent)" },
        { { a = 0 / 0 }, "(field 'a': NaN cannot be sent)" },
        { { a = -math.huge }, "(field 'a': an infinite number cannot be sent)" },
        { { [true] = 1 }, "a key must be a string or an integer" },
        { { a = "\255" }, "(field 'a': the string is not valid UTF-8)" },
        { { a = "\237\160\128" }, "not valid UTF-8" },
        { { a = "\192\128" }, "not valid UTF-8" },
        { { a = "abc\226\130" }, "not valid UTF-8" },
        { { ["\255"] = 1 }, "not valid UTF-8" },
        { loop, "(field 'again': nested too deeply (a table that contains itself?))" },
      }
      for _, case in ipairs(cases) do
        local problem = call_problem("x", case[1])
        assert.truthy(problem:find("bad argument #2 to 'call' (", 1, true), problem)
        assert.truthy(problem:find(case[2], 1, true), problem .. " has no " .. case[2])
      end
      assert.truthy(call_problem("x", "text"):find("bad argument #2 to 'call' (table expected, got string)", 1, true))
    end)

    it("is refused when the installed cjson would round an integer", function()
      local cjson = require("cjson").new()
      pcall(cjson.encode_number_precision, 16)
      if not math.type then
        assert.has_error(function() client:call("x", { n = 12345678901234567 }) end)
        assert.has_error(function() client:call("x", { [9007199254740994] = 1 }) end)
      end
      for _, number in ipairs{ 12345678901234, 99999999999999, 123456789012345, 9007199254740991, -123456789012345 } do
        local exact = ("%.0f"):format(number)
        local session = assert(core.session{ webhook = portal.webhook })
        local exchange, problem = session:call("x", { n = number })
        if cjson.encode(number) == exact then
          assert.equal('{"n":' .. exact .. "}", exchange:body())
        else
          assert.is_nil(exchange)
          assert.truthy(problem:find("(field 'n': ", 1, true))
          assert.truthy(problem:find("cannot be written exactly by the installed lua-cjson; send it as a string", 1, true))
        end
      end
    end)
  end)
end)

describe("the catalog", function()
  it("has a function for each of its methods in both faces, and in clients", function()
    local client = bitrix.new{ webhook = "https://acme.bitrix24.com/rest/1/code/" }
    local rows = core.methods()
    assert.is_true(#rows >= 5)
    for _, row in ipairs(rows) do
      for _, face in ipairs{ bitrix, safe, client } do assert.is_function(face[row.space][row.name], row.name) end
      assert.truthy(row.method:find("^tasks%.api%.scrum%."))
    end
    client:close()
  end)

  it("knows which methods are idempotent", function()
    local session = core.session{ webhook = "https://acme.bitrix24.com/rest/1/code/" }
    local expected = { backlog_add = false, backlog_get = true, backlog_update = false, backlog_delete = true,
      backlog_get_fields = true }
    local params = { backlog_add = { groupId = 1, createdBy = 1 }, backlog_get = { groupId = 1 },
      backlog_update = { id = 1, groupId = 1 }, backlog_delete = { id = 1 }, backlog_get_fields = {} }
    for number, row in ipairs(core.methods()) do
      if expected[row.name] ~= nil then
        assert.equal(expected[row.name], row.idempotent, row.name)
        assert.equal(expected[row.name], assert(session:prepare(number, params[row.name])):idempotent())
      end
    end
    -- Methods that are called by their names: the catalog's own, and names that only reads have.
    for _, name in ipairs{ "tasks.api.scrum.backlog.get", "TASKS.api.scrum.backlog.DELETE.json", "user.current", "crm.deal.list",
      "crm.deal.fields", "tasks.task.getFields", "app.info", "server.time" } do
      assert.is_true(session:call(name):idempotent(), name)
    end
    for _, name in ipairs{ "tasks.api.scrum.backlog.add", "crm.deal.add", "crm.deal.delete", "batch", "list", "get", "a.budget", "x.getter",
      "crm.list.add" } do
      assert.is_false(session:call(name):idempotent(), name)
    end
  end)

  it("has kinds and outcomes of the documented sets only", function()
    local kinds = { api = true, auth = true, limit = true }
    local outcomes = { no = true, yes = true, unknown = true }
    for _, row in ipairs(core.reasons()) do
      assert.is_true(kinds[row.kind])
      assert.is_true(outcomes[row.executed])
      assert.truthy(row.reason:find("^[a-z][a-z0-9_]+$"))
    end
  end)
end)
