-- bin/bitrix: as a program, against an emulated portal.
local json = require "dkjson"
local support = require "portal.support"

local interpreter = os.getenv("BITRIX_LUA") or support.lua

describe("the command line", function()
  local portal, path

  setup(function() portal = require("bitrix.portal").start() end)
  teardown(function() portal:stop() end)
  before_each(function()
    path = os.tmpname()
    portal:clear()
  end)
  after_each(function()
    os.remove(path)
    os.remove(path .. ".journal")
  end)

  -- Standard output, exit code, standard error.
  local function run(...)
    local words = {}
    for i, word in ipairs{ ... } do words[i] = support.quote(word) end
    local errors = os.tmpname()
    local output, code = support.run(("env BITRIX24_WEBHOOK_URL=%s LUA_PATH=%s LUA_CPATH=%s %s bin/bitrix %s 2>%s"):format(
      support.quote(portal.webhook), support.quote(package.path), support.quote(package.cpath), support.quote(interpreter),
      table.concat(words, " "), errors))
    local file = io.open(errors)
    local text = file:read("*a")
    file:close()
    os.remove(errors)
    assert.is_nil((output .. text):find(portal.secret, 1, true), "the secret was shown")
    assert.is_nil(text:find("traceback", 1, true), text)
    return output, code, text
  end

  local function write(text)
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
  end

  it("calls scrum methods, with checked parameters", function()
    local output, code = run("scrum", "backlog-add", "--groupId", "125", "--createdBy", "6")
    assert.equal(0, code)
    assert.equal("createdBy   6\ngroupId     125\nid          1\nmodifiedBy  0\n", output)
    assert.same({ groupId = 125, createdBy = 6 }, portal:journal()[1].params.fields)
    output, code = run("scrum", "backlog-get", "--groupId", "125", "--json")
    assert.equal(0, code)
    assert.same({ id = 1, groupId = 125, createdBy = 6, modifiedBy = 0 }, json.decode(output))
    output = run("scrum", "epic-list", "--filter", '{"GROUP_ID":125}', "--json")
    assert.equal("[]\n", output)
    assert.same({ GROUP_ID = 125 }, portal:journal()[3].params.filter)
  end)

  it("calls any method", function()
    local output, code = run("call", "user.get")
    assert.equal(0, code)
    assert.matches("^%-\n  ACTIVE     true\n  ID         1\n", output)
    run("call", "x.y", "filter[>=ID]=5", "select[]=ID", "select[]=NAME", "fields[A][B]=x=y", "n:=5", 'list:=[1,{"a":null}]', "text=")
    local params = portal:journal()[2].params
    assert.same({ [">=ID"] = "5" }, params.filter)
    assert.same({ "ID", "NAME" }, params.select)
    assert.same({ A = { B = "x=y" } }, params.fields)
    assert.equal(5, params.n)
    assert.equal("", params.text)
    assert.equal(1, params.list[1])
  end)

  it("ends with a code for each kind of error", function()
    local gone = "http://127.0.0.1:1/rest/1/code/"
    for _, case in ipairs{
      { 3, "backlog_already_added", "scrum", "backlog-add", "--groupId", "129", "--createdBy", "6" },
      { 3, "error_method_not_found", "call", "x.y" },
      { 4, "no_auth_found", "call", "user.get", "--webhook", portal.url .. "rest/1/another/" },
      { 6, "connect", "call", "user.get", "--webhook", gone, "--deadline", "0.2" },
      { 2, "missing option '%-%-createdBy'", "scrum", "backlog-add", "--groupId", "125" },
      { 2, "field 'groupId': integer expected, got string", "scrum", "backlog-get", "--groupId", "x" },
      { 2, "JSON expected", "scrum", "epic-list", "--filter", "x" },
      { 2, "unknown command 'cal'", "cal" }, { 2, "a command is required" },
      { 2, "key=value expected", "call", "x.y", "word" }, { 2, "not closed", "call", "x.y", "a[b=c" },
      { 2, "JSON expected behind :=", "call", "x.y", "a:=[" }, { 2, "a method's name expected", "call", "a b" },
      { 2, "%-%-webhook: the address", "call", "x.y", "--webhook", "nonsense" },
      { 1, "No such file", "import", "/nonexistent/x.csv" },
    } do
      local _, code, text = run((table.unpack or unpack)(case, 3))
      assert.equal(case[1], code, text)
      assert.matches(case[2], text)
    end
    portal:script{ { status = 200, body = "<html>" } }
    local output, code = run("call", "x.add", "--json")
    assert.equal(8, code)
    local err = json.decode(output).error
    assert.equal("not_json", err.reason)
    assert.equal("<html>", err.body)
  end)

  it("shows the request that it would send", function()
    local output, code = run("scrum", "backlog-add", "--groupId", "125", "--createdBy", "6", "--dry-run")
    assert.equal(0, code)
    local expected = ("POST %srest/[REDACTED]/tasks.api.scrum.backlog.add\nContent-Type: application/json\nAccept: application/json\n")
      :format(portal.url)
    assert.equal(expected, output:sub(1, #expected))
    assert.matches('\n\n{"fields":{"groupId":125,"createdBy":6}}\n$', output)
    assert.equal(0, #portal:journal())
    write("groupId,createdBy\n201,6\nx,6\n202,6\n")
    output = run("import", path, "--dry-run")
    assert.matches("/batch\n", output)
    assert.truthy(output:find('{"halt":0,"cmd":{"i1_1":"tasks.api.scrum.backlog.add?fields%5BgroupId%5D=201&fields%5BcreatedBy%5D=6",'
      .. '"i3_1":"tasks.api.scrum.backlog.add?fields%5BgroupId%5D=202&fields%5BcreatedBy%5D=6"}}', 1, true), output)
    assert.equal(0, #portal:journal())
    assert.is_nil(io.open(path .. ".journal"))
  end)

  it("imports a table, says what failed and why, and goes on where it stopped", function()
    write("groupId,createdBy\n126,6\n999,6\nx,6\n")
    local output, code, text = run("import", path)
    assert.equal(9, code)
    assert.matches("^3 rows in [%d.]+ s, 1 requests: 1 ok, 2 failed, 0 unknown\n", output)
    assert.matches("  line 3: Access denied %(access_denied", output)
    assert.matches("  line 4: field 'groupId': integer expected, got string", output)
    assert.matches("3/3 .-2 failed", text)
    output, code = run("import", path, "--json", "--quiet")
    assert.equal(9, code)
    local report = json.decode(output)
    assert.equal(2, report.summary.replayed)
    assert.equal(0, report.summary.requests)
    assert.equal("access_denied", report.failures[1].reason)
    assert.equal(1, #portal:journal())
    -- Another table under the same name.
    write("groupId,createdBy\n125,6\n999,6\n")
    output, code, text = run("import", path)
    assert.equal(1, code)
    assert.equal("", output)
    assert.matches("other items: item 1 is not what it was", text)
    assert.equal(1, #portal:journal())
    output, code = run("import", path, "--no-journal", "--with", "scrum.backlog_add")
    assert.equal(9, code, output)
  end)

  it("sends nothing of a table with a mistake in it", function()
    for text, problem in pairs{
      ["groupId,createdby\n1,2\n"] = ":1: 'createdby' is no parameter of backlog_add", ["groupId\n1\n"] = ":1: no column createdBy",
      ['groupId,createdBy\n1,2\n"3,4\n'] = ":3: a quote that is not closed", [""] = "no names in the first line",
    } do
      write(text)
      local _, code, errors = run("import", path)
      assert.equal(1, code)
      assert.truthy(errors:find(problem, 1, true), errors)
    end
    write("groupId,createdBy\n")
    local output, code = run("import", path)
    assert.equal(0, code)
    assert.matches("^0 rows", output)
    assert.equal(0, #portal:journal())
  end)

  it("ends an import with what ended it", function()
    write("groupId,createdBy\n126,6\n")
    local _, code, text = run("import", path, "--webhook", portal.url .. "rest/1/another/")
    assert.equal(4, code)
    assert.matches("the same command goes on where this stopped", text)
  end)

  it("lists the methods, its version, and help", function()
    local output, code = run("methods")
    assert.equal(0, code)
    assert.truthy(output:find("bitrix scrum backlog-add --groupId integer --createdBy integer [--modifiedBy integer]\n", 1, true))
    assert.equal("tasks.api.scrum.backlog.add", json.decode((run("methods", "--json")))[1].method)
    assert.equal("bitrix " .. require("bitrix")._VERSION .. "\n", (run("--version")))
    for _, words in ipairs{ { "--help" }, { "call", "--help" }, { "scrum", "backlog-add", "--help" }, { "import", "--help" } } do
      output, code = run((table.unpack or unpack)(words))
      assert.equal(0, code)
      assert.matches("^Usage: bitrix", output)
    end
  end)

  it("lets no control characters of a portal through to a terminal", function()
    portal:script{ { status = 200, body = '{"result":{"a":"x\\u001b[2Jy\\nz"}}' } }
    assert.equal("a  x\\x1b[2Jy\\nz\n", (run("call", "x.y")))
  end)
end)
