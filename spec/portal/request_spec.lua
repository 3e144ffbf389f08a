-- bitrix/portal/request.lua: who calls which method with what.

local request = require "bitrix.portal.request"

describe("parse_path", function()
  it("finds user, secret and method", function()
    assert.same({ user = 1, secret = "abc", method = "profile" }, request.parse_path("/rest/1/abc/profile"))
  end)
  it("takes .json and a slash off the method", function()
    assert.equal("tasks.task.get", request.parse_path("/rest/1/abc/tasks.task.get.json").method)
    assert.equal("tasks.task.get", request.parse_path("/rest/1/abc/tasks.task.get/").method)
  end)
  it("finds an empty method", function()
    assert.equal("", request.parse_path("/rest/1/abc/").method)
    assert.equal("", request.parse_path("/rest/1/abc").method)
  end)
  it("finds no user in the OAuth form", function()
    assert.same({ method = "profile" }, request.parse_path("/rest/profile.json"))
  end)
  it("undoes percent-coding, where + is a plus", function()
    assert.equal("a b+c", request.parse_path("/rest/1/abc/a%20b+c").method)
  end)
  it("knows what is no REST address", function()
    assert.is_nil(request.parse_path("/"))
    assert.is_nil(request.parse_path("/restless/1/abc/profile"))
    assert.is_nil(request.parse_path("/x/rest/1/abc/profile"))
  end)
end)

describe("parse_params", function()
  local FORM = "application/x-www-form-urlencoded"

  it("reads JSON with its types", function()
    assert.same({ fields = { groupId = 125, name = "x", on = true } },
      request.parse_params("", "application/json", '{"fields":{"groupId":125,"name":"x","on":true}}'))
  end)
  it("takes every JSON content type for JSON", function()
    for _, content_type in ipairs { "application/json; charset=utf-8", "Application/JSON", "application/problem+json" } do
      assert.same({ id = 1 }, request.parse_params("", content_type, '{"id":1}'))
    end
  end)
  it("reads a form", function()
    assert.same({ fields = { groupId = "125" } }, request.parse_params("", FORM, "fields[groupId]=125"))
  end)
  it("reads a body without a content type as a form", function()
    assert.same({ id = "1" }, request.parse_params("", nil, "id=1"))
  end)
  it("reads the query string", function()
    assert.same({ id = "1" }, request.parse_params("id=1", nil, ""))
    assert.same({}, request.parse_params(nil, nil, nil))
  end)
  it("prefers the body to the query string", function()
    assert.same({ id = 2, a = "1" }, request.parse_params("id=1&a=1", "application/json", '{"id":2}'))
    assert.same({ id = "2", a = "1" }, request.parse_params("id=1&a=1", FORM, "id=2"))
  end)
  it("takes null for absent", function()
    assert.same({ fields = {} }, request.parse_params("", "application/json", '{"id":null,"fields":{"groupId":null}}'))
  end)
  it("finds nothing in what is no JSON, in JSON that goes on, and in a JSON that is no object", function()
    for _, body in ipairs { "{", "id=1", '{"id":1}x', "5", '"text"', "null", ("["):rep(200000) } do
      assert.same({}, request.parse_params("", "application/json", body))
    end
  end)
end)
