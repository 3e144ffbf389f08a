-- bitrix/portal/rest.lua: webhook, method, parameters, answer.

local domain = require "bitrix.portal.domain"
local oauth = require "bitrix.portal.oauth"
local rest = require "bitrix.portal.rest"

local entrance, seen

before_each(function()
  seen = nil
  entrance = rest.new {
    domain = domain.new { users = { { id = 1, admin = true } } },
    user = 1,
    secret = "secret",
    oauth = oauth.new { app = oauth.read(), user = 1, token = "token" },
    methods = { require "bitrix.portal.general", {
      ["some.Method"] = {
        params = { { name = "id", type = "int" }, { name = "fields", type = "array" } },
        run = function(_, user, params)
          seen = { user = user, id = params.id, fields = params.fields, other = params.other }
          return { fine = true }
        end,
      },
      ["some.refusal"] = { params = {}, run = function() return nil, "Access denied" end },
      ["some.miss"] = { params = {}, run = function() return nil, "Group id not found" end },
      ["some.rule"] = { params = {}, run = function() return nil, "Backlog already added" end },
      ["some.falsehood"] = { params = {}, run = function() return false end },
    } },
  }
end)

local function handle(method, params, address)
  local time = 1712137817.25
  return entrance:handle(address or { user = 1, secret = "secret", method = method }, params or {}, function()
    time = time + 0.25
    return time
  end)
end

local function answers(status, code, text, ...)
  local got, body = handle(...)
  assert.same({ status, { error = code, error_description = text } }, { got, body })
  assert.is_nil(seen)
end

describe("the webhook", function()
  it("must be the right user's with the right secret", function()
    for _, address in ipairs { { user = 1, secret = "Secret" }, { user = 2, secret = "secret" }, {}, { user = 1 } } do
      address.method = "profile"
      answers(401, "NO_AUTH_FOUND", "Wrong authorization data", nil, nil, address)
    end
  end)
  it("is checked before the method", function()
    answers(401, "NO_AUTH_FOUND", "Wrong authorization data", nil, nil, { user = 1, secret = "x", method = "nonsense" })
  end)
end)

describe("an access token", function()
  local function with(auth)
    return handle("some.method", { id = 1, fields = {}, auth = auth }, { method = "some.method" })
  end

  it("opens the address without a webhook", function()
    assert.equal(200, (with("token")))
    assert.same({ user = 1, id = 1, fields = {} }, seen)
  end)
  it("must be there", function()
    answers(401, "NO_AUTH_FOUND", "Wrong authorization data", nil, {}, { method = "profile" })
    answers(401, "NO_AUTH_FOUND", "Wrong authorization data", nil, { auth = "" }, { method = "profile" })
  end)
  it("must be the right one", function()
    for _, wrong in ipairs { "Token", 5, {} } do
      answers(401, "invalid_token", "Unable to get application by token", nil, { auth = wrong }, { method = "profile" })
    end
    answers(401, "invalid_token", "Unable to get application by token", nil, { auth = "secret" }, { method = "profile" })
  end)
  it("does not make up for a wrong webhook", function()
    answers(401, "NO_AUTH_FOUND", "Wrong authorization data", nil, { auth = "token" },
      { method = "profile", user = 1, secret = "x" })
  end)
end)

describe("an access token that has run out", function()
  it("is told apart from a wrong one", function()
    entrance.oauth:expire()
    answers(401, "expired_token", "The access token provided has expired.", nil, { auth = "token" },
      { method = "profile" })
  end)
  it("is another user's if it says so", function()
    entrance.oauth:accept({ access_token = "six", refresh_token = "r", expires_in = 10, user = 6 }, 1712137817)
    handle(nil, { id = 1, fields = {}, auth = "six" }, { method = "some.method" })
    assert.equal(6, seen.user)
  end)
end)

describe("the method", function()
  it("must be there", function()
    answers(404, "ERROR_METHOD_NOT_FOUND", "Method not found!", "some.nonsense")
    answers(404, "ERROR_METHOD_NOT_FOUND", "Method not found!", "")
  end)
  it("is found without regard to case", function()
    assert.equal(200, (handle("SOME.method", { id = 1, fields = {} })))
  end)
  it("gets the webhook's user and all parameters", function()
    handle("some.method", { id = "5", fields = { a = 1 }, other = "x" })
    assert.same({ user = 1, id = 5, fields = { a = 1 }, other = "x" }, seen)
  end)
end)

describe("parameters", function()
  local function refuses(text, params)
    answers(400, "100", text, "some.method", params)
  end

  it("must be there, in their order", function()
    refuses("Could not find value for parameter {id}", {})
    refuses("Could not find value for parameter {fields}", { id = 1 })
  end)
  it("must be integers where integers are asked for", function()
    for shown, value in pairs { abc = "abc", ["1.5"] = 1.5, ["12x"] = "12x", [""] = "", ["true"] = true, Array = { 1 } } do
      refuses(("Invalid value {%s} to match with parameter {id}. Should be value of type int."):format(shown),
        { id = value, fields = {} })
    end
  end)
  it("can be integers in other clothes", function()
    for _, value in ipairs { 5, 5.0, "5", " 5", "+5", "5.0" } do
      assert.equal(200, (handle("some.method", { id = value, fields = {} })))
      assert.equal(5, seen.id)
    end
  end)
  it("must be arrays where arrays are asked for", function()
    refuses("Invalid value {text} to match with parameter {fields}. Should be value of type array.",
      { id = 1, fields = "text" })
  end)
end)

describe("the answer", function()
  it("is the result with the time it took", function()
    local status, body = handle("some.method", { id = 1, fields = {} })
    assert.equal(200, status)
    assert.same({
      result = { fine = true },
      time = {
        start = 1712137817.5, finish = 1712137817.75, duration = 0.25, processing = 0.25,
        date_start = "2024-04-03T09:50:17+00:00", date_finish = "2024-04-03T09:50:17+00:00",
        operating = 0, operating_reset_at = 1712138417,
      },
    }, body)
  end)
  it("can be false", function()
    local _, body = handle("some.falsehood")
    assert.is_false(body.result)
  end)
  it("is the integer 0 and a text when the method refuses", function()
    answers(400, 0, "Access denied", "some.refusal")
  end)
end)

describe("REST v3", function()
  local function v3(method, params, key, body)
    local status, answer, done = entrance:handle({ user = 1, secret = "secret", method = method, version = 3 },
      params or {}, function() return 1712137817 end, key and { key = key, body = body or "" } or nil)
    return status, answer, done
  end
  local function refuses(status, code, message, ...)
    local got, answer = v3(...)
    assert.same({ status, { error = { code = code, message = message } } }, { got, answer })
  end

  it("answers results as ever", function()
    local status, answer = v3("some.method", { id = 1, fields = {} })
    assert.same({ 200, { fine = true } }, { status, answer.result })
    assert.is_table(answer.time)
  end)
  it("has errors that are objects", function()
    refuses(404, "ERROR_METHOD_NOT_FOUND", "Method not found!", "nonsense")
    refuses(400, "BITRIX_REST_V3_EXCEPTION_ACCESSDENIEDEXCEPTION", "Access denied", "some.refusal")
    refuses(400, "BITRIX_REST_V3_EXCEPTION_ENTITYNOTFOUNDEXCEPTION", "Group id not found", "some.miss")
    refuses(400, "0", "Backlog already added", "some.rule")
    local text = "Could not find value for parameter {id}"
    local status, answer = v3("some.method")
    assert.same({ 400, { error = { code = "BITRIX_REST_V3_EXCEPTION_VALIDATION_REQUESTVALIDATIONEXCEPTION",
      message = "Request object validation error", validation = { { field = "id", message = text } } } } },
      { status, answer })
    status, answer = entrance:handle({ method = "profile", version = 3 }, {}, os.time)
    assert.same({ 401, { error = { code = "NO_AUTH_FOUND", message = "Wrong authorization data" } } },
      { status, answer })
  end)

  describe("with an Idempotency-Key", function()
    local function write(key, body)
      seen = nil
      return v3("some.method", { id = 1, fields = {}, other = body }, key, body)
    end

    it("runs a write once, and answers it again", function()
      local status, first, done = write("k", "a")
      assert.same({ 200, true, nil }, { status, done.executed, done.replayed })
      assert.is_table(seen)
      local second
      status, second, done = write("k", "a")
      assert.same({ 200, false, true }, { status, done.executed, done.replayed })
      assert.is_nil(seen)
      assert.same(first, second)
      write("other", "a")
      assert.is_table(seen)
    end)
    it("refuses another request with the same key", function()
      write("k", "a")
      local status, answer, done = write("k", "b")
      assert.same({ 422, "BITRIX_REST_V3_EXCEPTION_IDEMPOTENCYKEYREUSEDEXCEPTION", false },
        { status, answer.error.code, done.executed })
      assert.is_nil(seen)
      assert.equal(422, (v3("some.refusal", {}, "k", "a")))
    end)
    it("keeps refusals of a method, too, but not what was not run", function()
      assert.equal(400, (v3("some.rule", {}, "k", "a")))
      local status, answer, done = v3("some.rule", {}, "k", "a")
      assert.same({ 400, "Backlog already added", true }, { status, answer.error.message, done.replayed })
      assert.equal(400, (v3("some.method", {}, "k2", "a")))
      assert.equal(200, (v3("some.method", { id = 1, fields = {} }, "k2", "b")))
    end)
    it("does not look at it for a read", function()
      for _ = 1, 2 do
        local _, _, done = v3("profile", {}, "k", "a")
        assert.same({ true, nil }, { done.executed, done.replayed })
      end
      assert.equal(200, (v3("profile", {}, "k", "b")))
    end)
    it("does not look at it in v2", function()
      for _ = 1, 2 do
        local _, _, done = entrance:handle({ user = 1, secret = "secret", method = "some.method" }, { id = 1, fields = {} },
          os.time, { key = "k", body = "a" })
        assert.is_true(done.executed)
      end
    end)
  end)
end)
