-- The reference's own command lines of backlog.add, with the portal's address, user, code and token filled in.

local dkjson = require "dkjson"
local portal = require "bitrix.portal"
local support = require "portal.support"

local WEBHOOK = [[
curl -s -X POST \
  -H "Content-Type: application/json" \
  -H "Accept: application/json" \
  -d '{"fields":{"groupId":%d,"createdBy":6}}' \
  %srest/1/%s/tasks.api.scrum.backlog.add
]]

local OAUTH = [[
curl -s -X POST \
  -H "Content-Type: application/json" \
  -H "Accept: application/json" \
  -d '{"fields":{"groupId":%d,"createdBy":6},"auth":"%s"}' \
  %srest/tasks.api.scrum.backlog.add
]]

local p

before_each(function() p = portal.start { token = "an.access-token_1" } end)
after_each(function() p:stop() end)

local function adds(group_id, command)
  local text, code = support.run(command)
  assert.equal(0, code)
  local body = assert(dkjson.decode(text))
  assert.is_table(body.result, text)
  assert.same({ id = body.result.id, groupId = group_id, createdBy = 6, modifiedBy = 0 }, body.result)
  assert.is_number(body.time.duration)
end

local function answers(error_body, command)
  local text = support.run(command)
  assert.equal(error_body, text)
end

describe("curl", function()
  it("adds a backlog over the webhook", function()
    adds(125, WEBHOOK:format(125, p.url, p.secret))
  end)
  it("adds a backlog with an access token", function()
    adds(125, OAUTH:format(125, p.token, p.url))
  end)
  it("adds a backlog with forms", function()
    adds(125, ("curl -s -d 'fields[groupId]=125' -d 'fields[createdBy]=6' %stasks.api.scrum.backlog.add"):format(p.webhook))
    adds(126, ("curl -s -d 'fields[groupId]=126&fields[createdBy]=6&auth=%s' %srest/tasks.api.scrum.backlog.add.json")
      :format(p.token, p.url))
  end)
  it("adds a backlog with a token in the address", function()
    adds(125, ("curl -s -g '%srest/tasks.api.scrum.backlog.add?auth=%s&fields[groupId]=125&fields[createdBy]=6'")
      :format(p.url, p.token))
  end)
  it("gets the documented errors", function()
    support.run(WEBHOOK:format(125, p.url, p.secret))
    answers('{"error":0,"error_description":"Backlog already added"}', WEBHOOK:format(125, p.url, p.secret))
    answers('{"error":0,"error_description":"Access denied"}', OAUTH:format(128, p.token, p.url))
    answers('{"error":"NO_AUTH_FOUND","error_description":"Wrong authorization data"}', WEBHOOK:format(125, p.url, "wrong"))
    answers('{"error":"invalid_token","error_description":"Unable to get application by token"}',
      OAUTH:format(126, "wrong", p.url))
  end)
  it("has a token of its own at each portal", function()
    local other = portal.start()
    assert.matches("^%w+$", other.token)
    assert.equal(32, #other.token)
    adds(125, OAUTH:format(125, other.token, other.url))
    other:stop()
  end)
end)
