-- bitrix/portal/batch.lua: commands, references, sections; through rest.lua as a request would come.

local json = require "bitrix.portal.json"
local keys = require "bitrix.portal.keys"
local php = require "bitrix.portal.php"
local request = require "bitrix.portal.request"
local world = require "portal.world"

before_each(world.new)

local ADDRESS = { user = 1, secret = "secret", method = "batch" }

-- The answer to a JSON body, through JSON as a client would see it; the sections.
local function batch(body, content_type)
  local params = request.parse_params("", content_type or "application/json", body)
  local status, answer = world.entrance:handle(ADDRESS, params, os.time)
  assert.equal(200, status)
  assert.is_table(answer.time)
  local text = json.encode(answer.result)
  return json.decode(text), text
end

local function has(text, part)
  assert.is_truthy(text:find(part, 1, true), text)
end

describe("a batch", function()
  it("answers five sections keyed like its commands", function()
    local result = batch [[{"halt":0,"cmd":{
      "one":"tasks.api.scrum.epic.list?filter[GROUP_ID]=125","two":"tasks.api.scrum.epic.get?id=99","three":"profile"}}]]
    assert.equal(20, result.result.one[1].id)
    assert.equal("1", result.result.three.ID)
    assert.is_nil(result.result.two)
    assert.same({ two = { error = 0, error_description = "Epic not found" } }, result.result_error)
    assert.same({ one = 1 }, result.result_total)
    assert.is_number(result.result_time.one.duration)
    assert.is_nil(result.result_time.two)
  end)
  it("has [] for an empty section, and for all without commands", function()
    local _, text = batch '{"cmd":{"a":"profile"}}'
    has(text, '"result_error":[]')
    has(text, '"result_next":[]')
    for _, body in ipairs { '{"cmd":{}}', '{"cmd":[]}', "{}" } do
      _, text = batch(body)
      has(text, '"result":[]')
    end
  end)
  it("answers keys 0 to n-1 as a list, from a list and from an object", function()
    local _, text = batch '{"cmd":["user.admin","user.admin"]}'
    has(text, '"result":[false,false]')
    _, text = batch '{"cmd":{"0":"user.admin","1":"user.admin"}}'
    has(text, '"result":[false,false]')
  end)
  it("answers an object where a key is missing or the order is another", function()
    local _, text = batch '{"cmd":["nonsense","user.admin"]}'
    has(text, '"result":{"1":false}')
    has(text, '"result_error":[{')
    _, text = batch '{"cmd":{"1":"user.admin","0":"user.admin"}}'
    has(text, '"result":{"1":false,"0":false}')
  end)
  it("keeps the order of the commands, whatever their names", function()
    local names, parts = { "z", "m", "a", "k9", "k10", "b", "y" }, {}
    for i, name in ipairs(names) do
      parts[i] = ('"%s":"tasks.api.scrum.sprint.add?fields[groupId]=126&fields[status]=planned&fields[dateStart]=1'
        .. '&fields[dateEnd]=2"'):format(name)
    end
    local result = batch('{"cmd":{' .. table.concat(parts, ",") .. "}}")
    for i, name in ipairs(names) do
      assert.equal(i, result.result[name].id)
    end
  end)
  it("stops at the first error with halt, and the rest stands nowhere", function()
    for _, halt in ipairs { "1", "true", '"1"', '"Y"' } do
      local result = batch('{"halt":' .. halt .. ',"cmd":{"a":"user.admin","b":"nonsense","c":"user.admin"}}')
      assert.same({ a = false }, result.result)
      assert.same({ b = { error = "ERROR_METHOD_NOT_FOUND", error_description = "Method not found!" } }, result.result_error)
      assert.is_nil(result.result_time.c)
    end
    assert.is_false(batch('{"halt":0,"cmd":{"b":"nonsense","c":"user.admin"}}').result.c)
  end)
  it("takes 50 commands; the surplus ends with an error", function()
    local commands = {}
    for i = 1, 52 do
      commands[i] = '"c' .. i .. '":"user.admin"'
    end
    local result = batch('{"cmd":{' .. table.concat(commands, ",") .. "}}")
    assert.is_false(result.result.c50)
    assert.is_nil(result.result.c51)
    assert.equal("ERROR_BATCH_LENGTH_EXCEEDED", result.result_error.c51.error)
    assert.equal("ERROR_BATCH_LENGTH_EXCEEDED", result.result_error.c52.error)
  end)
  it("does not nest", function()
    assert.equal("ERROR_BATCH_METHOD_NOT_ALLOWED", batch('{"cmd":{"a":"batch?cmd[x]=profile"}}').result_error.a.error)
  end)
  it("checks parameters as single calls do", function()
    assert.same({ error = "100", error_description = "Could not find value for parameter {id}" },
      batch('{"cmd":{"a":"tasks.api.scrum.epic.get"}}').result_error.a)
  end)
  it("has total and next of lists", function()
    for _ = 1, 60 do
      world.result("tasks.api.scrum.epic.add", { fields = { groupId = 125, name = "x" } })
    end
    local result = batch '{"cmd":{"a":"tasks.api.scrum.epic.list","b":"tasks.api.scrum.epic.list?start=-1"}}'
    assert.same({ a = 61 }, result.result_total)
    assert.same({ a = 50 }, result.result_next)
    assert.equal(50, #result.result.b)
  end)
  it("comes in a form, where the commands are encoded once more", function()
    local body = "halt=0&cmd[z]=" .. ("tasks.api.scrum.epic.add?fields%5BgroupId%5D=126&fields%5Bname%5D=A%26B+%25")
      :gsub("[%%&=+?]", function(c) return ("%%%02X"):format(c:byte()) end) .. "&cmd[a]=user.admin"
    local result, text = batch(body, "application/x-www-form-urlencoded")
    assert.equal("A&B %", result.result.z.name)
    has(text, '"a":false')
    assert.is_truthy(text:find('"z":') < text:find('"a":'))
    local _, list = batch("cmd[]=user.admin&cmd[]=user.admin", "application/x-www-form-urlencoded")
    has(list, '"result":[false,false]')
  end)
end)

describe("a reference", function()
  it("is replaced by a result, or a part of it", function()
    local result = batch [[{"cmd":{
      "group":"sonet_group.create?NAME=G&SCRUM_MASTER_ID=6",
      "backlog":"tasks.api.scrum.backlog.add?fields[groupId]=$result[group]&fields[createdBy]=6",
      "task":"tasks.task.add?fields[TITLE]=T+of+$result[group]&fields[RESPONSIBLE_ID]=6&fields[GROUP_ID]=$result[group]",
      "place":"tasks.api.scrum.task.get?id=$result[task][task][id]",
      "again":"tasks.api.scrum.backlog.get?id=$result[backlog][groupId]"}}]]
    assert.same({}, result.result_error)
    assert.equal(result.result.group, result.result.backlog.groupId)
    assert.equal("T of " .. result.result.group, result.result.task.task.title)
    assert.equal(result.result.backlog.id, result.result.place.entityId)
    assert.same(result.result.backlog, result.result.again)
  end)
  it("takes a row of a list by its position from 0, also percent-coded", function()
    local result = batch [[{"cmd":{"list":"tasks.api.scrum.sprint.list?order[ID]=asc",
      "second":"tasks.api.scrum.sprint.get?id=%24result%5Blist%5D%5B1%5D%5Bid%5D",
      "rest":"tasks.api.scrum.sprint.list?filter[>ID]=$result[list][2][id]"}}]]
    assert.equal(31, result.result.second.id)
    assert.equal(33, result.result.rest[1].id)
  end)
  it("works with positions as keys", function()
    assert.equal(30, batch('{"cmd":["tasks.api.scrum.sprint.list","tasks.api.scrum.sprint.get?id=$result[0][0][id]"]}')
      .result[2].id)
  end)
  it("to nothing is an empty text", function()
    assert.equal("Invalid value {} to match with parameter {id}. Should be value of type int.",
      batch('{"cmd":{"a":"tasks.api.scrum.epic.get?id=$result[x][y]"}}').result_error.a.error_description)
  end)
end)

it("the order of keys is read from any document", function()
  local text = [[{"a\"b":{"x":1},"cmd" : {"b":"{\"q\":","a":{"deep":{"z":1}},"\u0063":[{"n":1}]},"l":[{"o":1}],"s":"x"}]]
  assert.is_table(json.decode(text))
  local orders = json.key_orders(text)
  assert.same({ "b", "a", "c" }, orders.cmd)
  assert.same({ "x" }, orders['a"b'])
  assert.same({}, orders.l)
  assert.same({ "b", "a" }, keys.of(php.parse_query("cmd[b]=1&cmd[a]=2&cmd[b]=3").cmd))
end)
