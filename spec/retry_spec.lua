-- Whether a failed call is made again: pure decisions. What becomes of them is in retry_matrix_spec.lua.
local retry = require "bitrix.retry"

local POLICY = { attempts = 5, base = 0.5, cap = 30 }

local function decide(err, more)
  local question = { error = err, attempt = 1, policy = POLICY, random = function() return 0.5 end }
  for k, v in pairs(more or {}) do question[k] = v end
  return retry.decide(question)
end

describe("a failed call", function()
  it("is made again when it has not run and the failure may pass", function()
    for _, err in ipairs{
      { kind = "network", reason = "connect" }, { kind = "network", reason = "dns" }, { kind = "network", reason = "reset" },
      { kind = "timeout", reason = "connect_timeout" }, { kind = "limit", reason = "query_limit_exceeded", status = 503 },
      { kind = "limit", reason = "operation_time_limit", status = 429 },
    } do
      err.executed = "no"
      assert.equal("not executed", decide(err).why, err.reason)
    end
  end)

  it("is made again when it may run twice", function()
    for _, err in ipairs{
      { kind = "network", reason = "reset" }, { kind = "timeout", reason = "timeout" },
      { kind = "protocol", reason = "not_json", status = 502 },
      { kind = "protocol", reason = "not_json", status = 429 }, { kind = "protocol", reason = "truncated", status = 200 },
      { kind = "api", reason = "internal_server_error", status = 500 }, { kind = "api", reason = "unknown", status = 408 },
    } do
      err.executed = "unknown"
      assert.is_nil(decide(err), err.reason)
      assert.equal("idempotent", decide(err, { idempotent = true }).why, err.reason)
    end
  end)

  it("is left alone when the next attempt would end alike", function()
    for _, err in ipairs{
      { kind = "limit", reason = "overload_limit", status = 503 }, { kind = "api", reason = "portal_deleted", status = 500 },
      { kind = "auth", reason = "payment_required", status = 402 }, { kind = "auth", reason = "invalid_token", status = 401 },
      { kind = "api", reason = "backlog_not_found", status = 400 }, { kind = "api", reason = "unknown", status = 404 },
      { kind = "protocol", reason = "not_json", status = 403 }, { kind = "network", reason = "tls" },
      { kind = "timeout", reason = "deadline" }, { kind = "protocol", reason = "too_large", status = 200 },
      { kind = "network", reason = "cancelled" },
    } do
      for _, executed in ipairs{ "no", "unknown", "yes" } do
        err.executed = executed
        assert.is_nil(decide(err, { idempotent = true }), err.reason)
      end
    end
  end)

  it("waits with exponential backoff and full jitter", function()
    local err = { kind = "network", reason = "connect", executed = "no" }
    local waits = {}
    for attempt = 1, 4 do waits[attempt] = decide(err, { attempt = attempt }).wait end
    assert.same({ 0.25, 0.5, 1, 2 }, waits)
    local long = { attempts = 100, base = 0.5, cap = 30 }
    assert.equal(15, decide(err, { attempt = 50, policy = long }).wait)
    local least, most = math.huge, 0
    for _ = 1, 1000 do
      local wait = retry.backoff(3, POLICY)
      least, most = math.min(least, wait), math.max(most, wait)
    end
    assert.is_true(least >= 0 and least < 0.1 and most > 1.9 and most <= 2)
  end)

  it("leaves the waiting for the portal's limits to the limiter, where there is one", function()
    local err = { kind = "limit", reason = "query_limit_exceeded", status = 503, executed = "no" }
    assert.equal(0, decide(err, { paced = true }).wait)
    assert.equal(0.25, decide(err).wait)
  end)

  it("is made so often and not more often", function()
    local err = { kind = "network", reason = "connect", executed = "no" }
    assert.is_table(decide(err, { attempt = 4 }))
    assert.is_nil(decide(err, { attempt = 5 }))
    assert.is_nil(decide(err, { attempt = 1, policy = { attempts = 1, base = 1, cap = 1 } }))
  end)
end)
