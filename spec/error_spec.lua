-- Error objects: what the portal's refusals become.
local bitrix = require "bitrix"
local safe = require "bitrix.safe"
local is_integer = require "support.integers"

local META = { status = 400, code = "0", kind = "api", executed = "yes" }

describe("an error object", function()
  local portal, client

  setup(function()
    portal = require("bitrix.portal").start()
    client = safe.new{ webhook = portal.webhook, limit = false, retry = false }
  end)

  teardown(function()
    client:close()
    portal:stop()
  end)

  before_each(function() portal:clear() end)

  local function answer(status, body)
    portal:script{ { status = status, body = body } }
    local result, err = client.scrum.backlog_add{ groupId = 125, createdBy = 6 }
    assert.is_nil(result)
    assert.is_true(bitrix.is_error(err))
    assert.equal("tasks.api.scrum.backlog.add", err.method)
    assert.equal(status, err.status)
    assert.is_true(is_integer(err.status))
    assert.equal(1, #err.attempts)
    assert.equal(status, err.attempts[1].status)
    assert.equal(0, err.attempts[1].waited)
    assert.equal("number", type(err.attempts[1].seconds))
    assert.equal(err.code, err.attempts[1].code)
    return err
  end

  describe("has a reason of its own for each text of the backlog methods:", function()
    local reasons = {
      ["Group id not found"] = "group_id_not_found",
      ["Group is not found"] = "group_id_not_found",
      ["Access denied"] = "access_denied",
      ["Backlog already added"] = "backlog_already_added",
      ["createdBy user not found"] = "created_by_not_found",
      ["modifiedBy user not found"] = "modified_by_not_found",
      ["Unable to add backlog"] = "unable_to_add_backlog",
      ["Backlog not found"] = "backlog_not_found",
      ["Backlog id not found"] = "backlog_id_not_found",
      ["It is forbidden move a backlog with items"] = "backlog_move_forbidden",
      ["The target group already has a backlog"] = "target_group_has_backlog",
      ["Unable to update backlog"] = "unable_to_update_backlog",
      ["It is forbidden remove a backlog with items"] = "backlog_remove_forbidden",
      ["Backlog not deleted"] = "backlog_not_deleted",
    }
    for text, reason in pairs(reasons) do
      it(text, function()
        local err = answer(400, ('{"error":0,"error_description":"%s"}'):format(text))
        for field, value in pairs(META) do assert.equal(value, err[field]) end
        assert.equal(reason, err.reason)
        assert.equal(text, err.message)
        assert.is_true(bitrix.is_error(err, reason))
        assert.is_true(bitrix.is_error(err, "api"))
        assert.is_false(bitrix.is_error(err, "network"))
      end)
    end
  end)

  it("knows a text in another case, with a full stop or white space", function()
    assert.equal("backlog_already_added", answer(400, '{"error":0,"error_description":" backlog ALREADY added. "}').reason)
  end)

  it("keeps an unknown text, with reason unknown", function()
    local err = answer(400, '{"error":0,"error_description":"Der Mond ist voll"}')
    assert.equal("unknown", err.reason)
    assert.equal("Der Mond ist voll", err.message)
    assert.equal("yes", err.executed)
  end)

  it("prints as one line that says all", function()
    assert.equal("bitrix: tasks.api.scrum.backlog.add: Backlog already added (backlog_already_added, HTTP 400, code 0)",
      tostring(answer(400, '{"error":0,"error_description":"Backlog already added"}')))
    assert.equal('bitrix: tasks.api.scrum.backlog.add: ID is not defined or invalid. (unknown, HTTP 400, code "")',
      tostring(answer(400, '{"error":"","error_description":"ID is not defined or invalid."}')))
    assert.equal("bitrix: tasks.api.scrum.backlog.add: no description (wrong_client, HTTP 400, code wrong_client)",
      tostring(answer(400, '{"error":"wrong_client"}')))
  end)

  it("has the code as a string, whatever the portal sends", function()
    assert.equal("0", answer(400, '{"error":0,"error_description":"x"}').code)
    assert.equal("100", answer(400, '{"error":"100","error_description":"x"}').code)
    assert.equal("100", answer(400, '{"error":100,"error_description":"x"}').code)
    assert.equal("1048582", answer(400, '{"error":1048582,"error_description":"x"}').code)
    assert.equal("", answer(400, '{"error":"","error_description":"x"}').code)
  end)

  it("is made from an error key under HTTP 200", function()
    local err = answer(200, '{"error":"ACCESS_ERROR","error_description":"You do not have access to the dialog"}')
    assert.equal("ACCESS_ERROR", err.code)
    assert.equal("api", err.kind)
    assert.equal("You do not have access to the dialog", err.message)
    assert.equal("wrong_client", answer(200, '{"error":"wrong_client"}').reason)
    assert.equal("0", answer(200, '{"result":[],"error":0,"error_description":"Backlog already added"}').code)
  end)

  it("has no message where the portal gave none, and an empty one where it gave that", function()
    assert.is_nil(answer(400, '{"error":"wrong_client"}').message)
    assert.is_nil(answer(400, '{"error":0,"error_description":null}').message)
    assert.equal("", answer(403, '{"error":"WRONG_AUTH_TYPE","error_description":""}').message)
  end)

  it("understands the shape of REST v3, with its validation", function()
    local err = answer(400, '{"error":{"code":"VALIDATION_ERROR","message":"Invalid input",'
      .. '"validation":[{"field":"title","message":"Required field"},{"field":"x","message":"y"}]}}')
    assert.equal("VALIDATION_ERROR", err.code)
    assert.equal("Invalid input", err.message)
    assert.equal("validation_error", err.reason)
    assert.same({ { field = "title", message = "Required field" }, { field = "x", message = "y" } }, err.validation)
    err = answer(400, '{"error":{"code":"BITRIX_REST_V3_EXCEPTION_UNKNOWNDTOPROPERTYEXCEPTION","message":"Unknown property"}}')
    assert.equal("BITRIX_REST_V3_EXCEPTION_UNKNOWNDTOPROPERTYEXCEPTION", err.code)
    assert.is_nil(err.validation)
    assert.equal("", answer(400, '{"error":{}}').code)
    assert.same({ {} }, answer(400, '{"error":{"code":"x","validation":["odd"]}}').validation)
  end)

  it("classifies by code first, in any case of letters, and by status second", function()
    local cases = {
      { 503, "QUERY_LIMIT_EXCEEDED", "limit", "query_limit_exceeded", "no" },
      { 503, "query_limit_exceeded", "limit", "query_limit_exceeded", "no" },
      { 429, "OPERATION_TIME_LIMIT", "limit", "operation_time_limit", "no" },
      { 503, "OVERLOAD_LIMIT", "limit", "overload_limit", "no" },
      { 401, "expired_token", "auth", "expired_token", "no" },
      { 401, "invalid_token", "auth", "invalid_token", "no" },
      { 401, "NO_AUTH_FOUND", "auth", "no_auth_found", "no" },
      { 403, "insufficient_scope", "auth", "insufficient_scope", "no" },
      { 401, "insufficient_scope", "auth", "insufficient_scope", "no" },
      { 403, "INVALID_CREDENTIALS", "auth", "invalid_credentials", "no" },
      { 401, "INVALID_CREDENTIALS", "auth", "invalid_credentials", "no" },
      { 403, "user_access_error", "auth", "user_access_error", "no" },
      { 403, "ACCESS_DENIED", "auth", "access_denied", "no" },
      { 401, "ERROR_OAUTH", "auth", "error_oauth", "no" },
      { 402, "PAYMENT_REQUIRED", "auth", "payment_required", "no" },
      { 401, "PAYMENT_REQUIRED", "auth", "payment_required", "no" },
      { 500, "PORTAL_DELETED", "api", "portal_deleted", "no" },
      { 410, "PORTAL_DELETED", "api", "portal_deleted", "no" },
      { 400, "INVALID_REQUEST", "api", "invalid_request", "no" },
      { 404, "ERROR_METHOD_NOT_FOUND", "api", "error_method_not_found", "no" },
      { 404, "ERROR_MANIFEST_IS_NOT_AVAILABLE", "api", "error_manifest_is_not_available", "no" },
      { 405, "ERROR_BATCH_METHOD_NOT_ALLOWED", "api", "error_batch_method_not_allowed", "no" },
      { 400, "ERROR_BATCH_LENGTH_EXCEEDED", "api", "error_batch_length_exceeded", "no" },
      { 500, "INTERNAL_SERVER_ERROR", "api", "internal_server_error", "unknown" },
      { 500, "ERROR_UNEXPECTED_ANSWER", "api", "error_unexpected_answer", "unknown" },
      { 400, "CANCELED", "api", "unknown", "yes" },
      { 401, "SOMETHING_NEW", "auth", "unknown", "no" },
      { 403, "SOMETHING_NEW", "auth", "unknown", "no" },
      { 429, "SOMETHING_NEW", "limit", "unknown", "no" },
      { 408, "REQUEST_TIMEOUT", "api", "unknown", "unknown" },
      { 500, "SOMETHING_NEW", "api", "unknown", "unknown" },
      { 503, "SOMETHING_NEW", "api", "unknown", "unknown" },
    }
    for _, case in ipairs(cases) do
      local err = answer(case[1], ('{"error":"%s","error_description":"some text"}'):format(case[2]))
      local name = case[1] .. " " .. case[2]
      assert.equal(case[2], err.code, name)
      assert.equal(case[3], err.kind, name)
      assert.equal(case[4], err.reason, name)
      assert.equal(case[5], err.executed, name)
    end
  end)

  it("tells missing and wrong parameters apart", function()
    local err = answer(400, '{"error":"100","error_description":"Could not find value for parameter {fields}"}')
    assert.equal("missing_parameter", err.reason)
    assert.equal("no", err.executed)
    err = answer(400, '{"error":"100","error_description":'
      .. '"Invalid value {x} to match with parameter {id}. Should be value of type int."}')
    assert.equal("invalid_parameter", err.reason)
  end)

  it("tells a portal that wants https", function()
    local err = answer(400, '{"error":"INVALID_REQUEST","error_description":"Https required."}')
    assert.equal("auth", err.kind)
    assert.equal("https_required", err.reason)
    assert.equal("no", err.executed)
  end)

  it("is made from a description alone when the status says error", function()
    local err = answer(400, '{"error_description":"Access denied"}')
    assert.equal("", err.code)
    assert.equal("access_denied", err.reason)
  end)

  it("is known by is_error, and nothing else is", function()
    for _, value in ipairs{ "text", 1, true, {}, setmetatable({ kind = "api" }, {}), print } do
      assert.is_false(bitrix.is_error(value))
    end
    assert.is_false(bitrix.is_error(nil))
    assert.is_false(bitrix.is_error())
    assert.has_error(function() bitrix.is_error({}, {}) end)
  end)

  it("comes from the portal's own rules as well", function()
    local made = assert(client.scrum.backlog_add{ groupId = 125, createdBy = 6 })
    local _, again = client.scrum.backlog_add{ groupId = 125, createdBy = 6 }
    assert.equal("backlog_already_added", again.reason)
    local _, nobody = client.scrum.backlog_add{ groupId = 126, createdBy = 999999 }
    assert.equal("created_by_not_found", nobody.reason)
    local _, absent = client.scrum.backlog_delete{ id = made.id + 1000 }
    assert.equal("backlog_not_found", absent.reason)
    local stranger = safe.new{ webhook = (portal.webhook:gsub("[^/]+/$", "wrongsecret/")) }
    local _, refused = stranger.scrum.backlog_get{ groupId = 125 }
    assert.equal("no_auth_found", refused.reason)
    assert.equal(401, refused.status)
    assert.equal("no", refused.executed)
  end)
end)
