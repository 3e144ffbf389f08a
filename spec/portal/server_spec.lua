-- The emulator as a whole, over real sockets: bitrix/portal/{init,server,config,pki}.lua.

local dkjson = require "dkjson"
local portal = require "bitrix.portal"
local support = require "portal.support"

local call, curl = support.call, support.curl
local ADD = "tasks.api.scrum.backlog.add"
local GET = "tasks.api.scrum.backlog.get"
local DELETE = "tasks.api.scrum.backlog.delete"

local p

setup(function() p = portal.start { tls = true } end)
teardown(function() p:stop() end)
before_each(function() p:clear() end)

local function decoded(answer)
  return assert(dkjson.decode(answer.body, 1, nil, nil))
end

describe("a portal", function()
  it("says where it is", function()
    assert.equal(("http://127.0.0.1:%d/"):format(p.port), p.url)
    assert.equal(p.url .. "rest/1/" .. p.secret .. "/", p.webhook)
    assert.equal(("https://127.0.0.1:%d/"):format(p.tls_port), p.tls_url)
    assert.equal(p.tls_url .. "rest/1/" .. p.secret .. "/", p.tls_webhook)
    assert.matches("^[a-z0-9]+$", p.secret)
    assert.equal(16, #p.secret)
  end)
  it("adds a backlog, once, and deletes it", function()
    local answer = call(p.webhook .. ADD, '{"fields":{"groupId":125,"createdBy":6}}')
    assert.equal(200, answer.status)
    local body = decoded(answer)
    assert.same({ id = body.result.id, groupId = 125, createdBy = 6, modifiedBy = 0 }, body.result)
    for _, key in ipairs { "start", "finish", "duration", "processing", "operating", "operating_reset_at" } do
      assert.is_number(body.time[key])
    end
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%+00:00$", body.time.date_start)

    answer = call(p.webhook .. ADD, '{"fields":{"groupId":125,"createdBy":6}}')
    assert.same({ 400, '{"error":0,"error_description":"Backlog already added"}' }, { answer.status, answer.body })

    answer = call(p.webhook .. DELETE, ('{"id":%d}'):format(body.result.id))
    assert.equal(200, answer.status)
    assert.matches('^{"result":%[%],', answer.body)
  end)
  it("takes forms, a query string, GET and the .json suffix", function()
    local result = decoded(curl(p.webhook .. ADD .. ".json", "-d", "fields[groupId]=126&fields[createdBy]=6")).result
    assert.equal(126, result.groupId)
    assert.same(result, decoded(curl(p.webhook .. GET .. "?id=126")).result)
    assert.same(result, decoded(curl(p.webhook .. GET, "-d", "id=126")).result)
    call(p.webhook .. DELETE, ('{"id":%d}'):format(result.id))
  end)
  it("answers code 100, as a string, for what is missing", function()
    local answer = call(p.webhook .. ADD, "{}")
    assert.same({ 400, '{"error":"100","error_description":"Could not find value for parameter {fields}"}' },
      { answer.status, answer.body })
  end)
  it("knows a wrong webhook", function()
    for _, address in ipairs { "rest/1/wrong/profile", "rest/2/" .. p.secret .. "/profile", "rest/profile" } do
      local answer = curl(p.url .. address)
      assert.same({ 401, '{"error":"NO_AUTH_FOUND","error_description":"Wrong authorization data"}' },
        { answer.status, answer.body })
    end
  end)
  it("knows what methods it has", function()
    local answer = curl(p.webhook .. "no.such.method")
    assert.same({ 404, '{"error":"ERROR_METHOD_NOT_FOUND","error_description":"Method not found!"}' },
      { answer.status, answer.body })
  end)
  it("has a page for everything else", function()
    local answer = curl(p.url .. "company/")
    assert.equal(404, answer.status)
    assert.matches("^<html>", answer.body)
  end)
  it("survives bodies of any kind and size", function()
    assert.equal(400, call(p.webhook .. ADD, '{"fields":' .. ("["):rep(100000)).status)
    local file = os.tmpname()
    local handle = assert(io.open(file, "wb"))
    local body = '{"fields":{"groupId":999,"name":"' .. ("x"):rep(5000000) .. '"}}'
    handle:write(body)
    handle:close()
    assert.matches("Access denied", call(p.webhook .. ADD, "@" .. file).body)
    os.remove(file)
    assert.is_true(body == p:journal()[2].body)
  end)
end)

describe("the seed", function()
  it("has groups for each occasion", function()
    local function refusal(method, params)
      return decoded(call(p.webhook .. "tasks.api.scrum.backlog." .. method, params)).error_description
    end
    assert.equal("Access denied", refusal("add", '{"fields":{"groupId":128}}'))
    assert.equal("Access denied", refusal("get", '{"id":128}'))
    assert.equal("It is forbidden remove a backlog with items", refusal("delete", '{"id":901}'))
  end)
  it("can be given, and dumped with what became of it", function()
    local other = portal.start {
      user = 7, secret = "open-sesame", users = { 8 },
      groups = { { id = 1, backlog = { id = 4, createdBy = 8 } }, { id = 2 } },
    }
    assert.matches("/rest/7/open%-sesame/$", other.webhook)
    call(other.webhook .. ADD, '{"fields":{"groupId":2,"createdBy":8}}')
    call(other.webhook .. DELETE, '{"id":4}')
    assert.same({
      users = { { id = 7, admin = true }, { id = 8, admin = false } },
      groups = { { id = 1, scrum = true }, { id = 2, scrum = true } },
      backlogs = { { id = 1, groupId = 2, createdBy = 8, modifiedBy = 0, items = 0 } },
      epics = {}, sprints = {}, stages = {}, tasks = {},
    }, other:dump())
    other:stop()
  end)
  it("can be a dump, also in a file, of a portal with everything", function()
    local script = [[
      "group":"sonet_group.create?NAME=G&SCRUM_MASTER_ID=6",
      "backlog":"tasks.api.scrum.backlog.add?fields[groupId]=$result[group]",
      "epic":"tasks.api.scrum.epic.add?fields[groupId]=$result[group]&fields[name]=E&fields[files][]=n1",
      "sprint":"tasks.api.scrum.sprint.add?fields[groupId]=$result[group]&fields[dateStart]=1&fields[dateEnd]=2&fields[status]=active",
      "task":"tasks.task.add?fields[TITLE]=T&fields[RESPONSIBLE_ID]=6&fields[GROUP_ID]=$result[group]",
      "move":"tasks.api.scrum.task.update?id=$result[task][task][id]&fields[entityId]=$result[sprint][id]"]]
    local first = portal.start()
    assert.same({}, decoded(call(first.webhook .. "batch", '{"cmd":{' .. script:gsub("\n", "") .. "}}")).result.result_error)
    local dump = first:dump()
    first:stop()
    assert.equal(dump.sprints[1].id, dump.tasks[1].entityId)
    assert.same({ "n1" }, dump.epics[1].files)

    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(dkjson.encode(dump))
    file:close()
    for _, given in ipairs { dump, path } do
      local second = portal.start { seed = given }
      assert.same(dump, second:dump())
      call(second.webhook .. "tasks.api.scrum.sprint.delete", ('{"id":%d}'):format(dump.sprints[1].id))
      local after = second:dump()
      assert.same({ {}, {} }, { after.sprints, after.stages })
      assert.equal(dump.backlogs[1].id, after.tasks[1].entityId)
      second:stop()
    end
    os.remove(path)
  end)
end)

describe("TLS", function()
  it("is trusted with the portal's own authority, under both names, with HTTP/2 and 1.1", function()
    local answer = curl(p.tls_webhook .. "profile", "--cacert", p.ca_file)
    assert.same({ 0, 200, "2" }, { answer.exit, answer.status, answer.version })
    answer = curl(p.tls_webhook:gsub("127%.0%.0%.1", "localhost"), "--cacert", p.ca_file, "-4", "--http1.1")
    assert.same({ 0, "1.1" }, { answer.exit, answer.version })
    local journal = p:journal()
    assert.same({ true, 2 }, { journal[1].tls, journal[1].http_version })
    assert.same({ true, 1.1 }, { journal[2].tls, journal[2].http_version })
  end)
  it("is not trusted without it", function()
    assert.equal(60, curl(p.tls_webhook .. "profile").exit)
    assert.same({}, p:journal())
  end)
  it("is not there unless it is asked for", function()
    local other = portal.start()
    assert.is_nil(other.tls_port)
    assert.is_nil(other.tls_webhook)
    assert.is_nil(other.ca_file)
    other:stop()
  end)
end)

describe("the journal", function()
  it("has everything about a request", function()
    call(p.webhook .. ADD .. ".json?a=1", '{"fields":{"groupId":999}}', "-H", "X-Two: a", "-H", "X-Two: b")
    local entry = p:journal()[1]
    assert.equal("POST", entry.http_method)
    assert.equal("/rest/1/" .. p.secret .. "/" .. ADD .. ".json", entry.path)
    assert.equal("a=1", entry.query)
    assert.equal(1.1, entry.http_version)
    assert.equal("application/json", entry.headers["content-type"])
    assert.equal("a, b", entry.headers["x-two"])
    assert.equal('{"fields":{"groupId":999}}', entry.body)
    assert.equal(ADD, entry.method)
    assert.same({ a = "1", fields = { groupId = 999 } }, entry.params)
    assert.equal(400, entry.status)
    assert.equal(1, entry.user)
    assert.is_false(entry.tls)
    assert.is_true(math.abs(entry.time - os.time()) < 5)
  end)
  it("keeps every byte of a body", function()
    local bytes = {}
    for i = 0, 255 do
      bytes[#bytes + 1] = string.char(i)
    end
    local body = table.concat(bytes) .. "\226\128\168\239\187\191\194\173\237\160\128\n\\u0041"
    local file = os.tmpname()
    local handle = assert(io.open(file, "wb"))
    handle:write(body)
    handle:close()
    curl(p.webhook .. "profile", "--data-binary", "@" .. file)
    os.remove(file)
    assert.equal(body, p:journal()[1].body)
  end)
  it("shows which requests shared a connection", function()
    support.run(("curl -s %sprofile %sprofile; curl -s %sprofile"):format(p.webhook, p.webhook, p.webhook))
    local journal = p:journal()
    assert.equal(journal[1].connection, journal[2].connection)
    assert.not_equal(journal[2].connection, journal[3].connection)
  end)
  it("has requests with a wrong webhook, too", function()
    curl(p.url .. "rest/5/wrong/profile")
    local entry = p:journal()[1]
    assert.same({ 401, 5, "profile" }, { entry.status, entry.user, entry.method })
  end)
  it("can be cleared", function()
    curl(p.webhook .. "profile")
    p:clear()
    assert.same({}, p:journal())
    curl(p.webhook .. "server.time")
    assert.equal("server.time", p:journal()[1].method)
  end)
end)
