-- Cases from other clients' tests, the official reference and recorded portals: spec/cases/peer_cases.json.
-- Each case of the file is run here, or belongs to what is named below: another spec, or a feature that is not built yet.
local bitrix = require "bitrix"
local json = require "dkjson"
local peer_cases = require "support.peer_cases"
local limit = require "bitrix.limit"
local operating = require "bitrix.operating"
local safe = require "bitrix.safe"

-- Run by other specs: peer_many_cases_spec.lua, oauth_cases_spec.lua.
local ELSEWHERE = { batch = true, list = true, encoding = true, auth = true, redirect = true, events = true }
-- Not run at all, and why.
local LEFT_OUT = {
  C224 = "nothing here logs what is sent", C225 = "nothing here logs what is sent",
  C241 = "how long a call takes is the portal's to say, not the client's clock",
}

local function masked(text) return (text:gsub("%*%*%*REDACTED%*%*%*", "[REDACTED]")) end

local function search(value, needle, seen)
  seen = seen or {}
  if tostring(value):find(needle, 1, true) then return true end
  if type(value) ~= "table" or seen[value] then return false end
  seen[value] = true
  for k, v in pairs(value) do
    if search(k, needle, seen) or search(v, needle, seen) then return true end
  end
  return false
end

local with_our_null = peer_cases.with_our_null

describe("peer case", function()
  local cases = peer_cases.read()
  local portal

  setup(function() portal = require("bitrix.portal").start() end)
  teardown(function() portal:stop() end)
  before_each(function() portal:clear() end)

  local function rule_of(response)
    local body = response.body
    return { status = response.http_status, body = type(body) == "table" and json.encode(body) or body }
  end

  local function call(case, response)
    -- The client's credentials do not matter to how an answer is read: a webhook stands for OAuth, too.
    local client = safe.new{ webhook = portal.webhook, headers = case.given.client.headers, limit = false, retry = false }
    portal:script{ rule_of(response) }
    local result, more = client:call(case.given.method, with_our_null(case.given.params))
    client:close()
    return result, more
  end

  local function check_error(expected, err)
    assert.is_true(bitrix.is_error(err))
    if expected.http_status then assert.equal(expected.http_status, err.status) end
    if expected.code then assert.equal(expected.code, err.code) end
    if expected.description == json.null then
      assert.is_nil(err.message)
    elseif expected.description then
      assert.equal(expected.description, err.message)
    end
    if expected.validation then assert.same(expected.validation, err.validation) end
    -- What must not be retried is known not to be worth it by its kind, and was sent once (below).
    if expected.retryable == false then assert.is_true(err.kind == "api" or err.kind == "auth") end
  end

  local function check_answer(case, response)
    local expect = case.expect
    local result, more = call(case, response)
    if expect.ok == false then
      assert.is_nil(result)
      check_error(expect.error or {}, more)
      if expect["error.kind"] == "invalid_response" then assert.equal("protocol", more.kind) end
      if expect["error.raw_body"] then assert.equal(response.body, more.body) end
    elseif expect.ok then
      assert.not_nil(result)
    end
    if expect.result then assert.same(with_our_null(expect.result), result) end
    -- The emulator writes 14 digits.
    if expect["time.duration"] then assert.is_true(math.abs(expect["time.duration"] - more.time.duration) < 1e-12) end
    for _, needle in ipairs(expect.must_not_contain or {}) do assert.is_false(search(more, needle)) end
    local journal = portal:journal()
    if expect.http_requests then assert.equal(expect.http_requests, #journal) end
    local request = journal[#journal]
    assert.equal(case.given.method, request.method)
    for name, value in pairs(expect.request_headers or {}) do
      local got = request.headers[name:lower()]
      if value:find("present", 1, true) then assert.truthy(got:find("^[%w-]+/[%w.]+$")) else assert.equal(value, got) end
    end
    for name, value in pairs(expect) do
      local parameter = name:match("^request_params%.(.+)$")
      if parameter then assert.equal(value, request.params[parameter]) end
    end
  end

  local run = {}

  function run.answers(case)
    for _, response in ipairs(case.given.responses or case.given.responses_variants) do
      portal:clear()
      check_answer(case, response)
    end
  end

  -- All of the answers are for one call with its repetitions.
  function run.retry(case)
    local given, expect = case.given, case.expect
    local rules, webhook = {}, portal.webhook
    if given.api == "v3" then webhook = webhook:gsub("/rest/", "/rest/api/") end
    for _, response in ipairs(given.responses) do
      local rule = rule_of(response)
      if response.network == "connection_refused" then
        webhook = "http://127.0.0.1:1/rest/1/code/"
      elseif response.network == "timeout" then
        rule = { delay = 1, close = true }
      elseif response.delay_ms then
        rule = { delay = response.delay_ms / 1000, status = response.http_status, body = rule.body }
      end
      rules[#rules + 1] = rule
    end
    portal:script(rules)
    local client = safe.new{
      webhook = webhook, limit = false, timeout = math.min(given.client.timeout or 5, 0.2),
      retry = { attempts = given.client.max_attempts or 5, base = 0.01 },
    }
    local result, more = client:call(given.method, with_our_null(given.params))
    client:close()
    if expect.ok == false then
      assert.is_nil(result)
      check_error(expect.error or {}, more)
      if expect["error.kind"] then assert.equal(expect["error.kind"], more.kind) end
      if expect["error.cause"] then assert.equal("string", type(more.message)) end
    elseif expect.ok then
      assert.not_nil(result, tostring(more))
    end
    -- A manual block of the portal is not knocked at again, whatever others do.
    if case.id == "C082" then assert.equal(1, #portal:journal()) end
    if expect.http_requests then assert.equal(expect.http_requests, #portal:journal()) end
    if expect.sleeps then assert.equal(expect.sleeps + 1, #more.attempts) end
    if expect.slept_ms == 0 then assert.equal(0, more.attempts[1].waited) end
  end

  function run.idempotency(case)
    local given = case.given
    local client = safe.new{ webhook = portal.webhook:gsub("/rest/", "/rest/api/"), limit = false, retry = { base = 0.01 } }
    for _, key in ipairs(given.idempotency_key_variants or {}) do
      local ok, problem = pcall(client.call, client, "tasks.task.add", {}, { idempotency_key = key })
      assert.is_false(ok)
      assert.truthy(problem:find("idempotency_key", 1, true))
    end
    if given.responses then
      portal:script{ rule_of(given.responses[1]) }
      local result, err = client:call(given.method, given.params, { idempotency_key = given.idempotency_key })
      assert.is_nil(result)
      check_error(case.expect.error, err)
      assert.equal(given.idempotency_key, portal:journal()[1].headers["idempotency-key"])
    end
    assert.equal(case.expect.http_requests, #portal:journal())
    client:close()
  end

  function run.limiter(case)
    local given, expect = case.given, case.expect
    if given.responses then return run.answers(case) end
    if given.bucket then
      local state = limit.new(given.bucket.X, given.bucket.Y)
      for _ = 1, given.bucket.made_at_t0 do limit.enter(state, 0, 0) end
      assert.equal(expect.wait_s, (limit.enter(state, 0, math.huge)))
    elseif given.operating_window then
      -- The portal says what was used and when the oldest part of it leaves; here that is made up from the case's requests.
      local window = given.operating_window
      for _, expected in ipairs(expect["needed_wait_[t,s]"]) do
        local now, used, oldest = expected[1], 0, nil
        local state = operating.new(window.limit_s)
        for _, request in ipairs(window["requests_[t,duration]"]) do
          if request[1] <= now and request[1] > now - window.period_s then
            used, oldest = used + request[2], oldest or request[1]
          end
        end
        operating.seen(state, now, "x", { operating = used, finish = 1000 + now,
          operating_reset_at = 1000 + (oldest or now) + window.period_s })
        assert.is_true(math.abs(operating.wait(state, now, "x") - expected[2]) < 1e-9)
      end
    else
      local limited = require("bitrix.portal").start{ limit = { burst = given.emulator.X, rate = given.emulator.Y } }
      local client = safe.new{ webhook = limited.webhook, limit = false, retry = false }
      local refused = 0
      for _ = 1, given.burst do
        local result, err = client:call("user.current")
        if result == nil then
          refused = refused + 1
          assert.equal(expect.code, err.code)
        end
      end
      assert.is_true(refused > 0 and refused <= given.burst - given.emulator.X)
      limited:stop()
    end
  end

  -- The id goes in a header instead of the query: there it is in nobody's way.
  function run.telemetry(case)
    local client = safe.new{ webhook = portal.webhook, limit = false, retry = { base = 0.01 } }
    local seen = {}
    for _, method in ipairs(case.given.methods) do
      portal:clear()
      portal:script{ { status = 502, body = "x" }, { status = 200, body = '{"result":1}' } }
      local result, more = client:call(method, nil, { idempotent = true })
      assert.equal(1, result)
      local journal = portal:journal()
      local id = journal[1].headers["x-request-id"]
      assert.truthy(id:find("^%x+$"))
      assert.equal(16, #id)
      assert.equal(id, journal[2].headers["x-request-id"])
      assert.equal(1, #more.attempts - 1)
      assert.is_nil(seen[id])
      seen[id] = true
    end
    client:close()
  end

  -- There is no log of requests; what there is to print must be as clean as a log.
  function run.log(case)
    local secret = case.given.client.url:match("/rest/1/([^/]+)")
    local other = require("bitrix.portal").start{ secret = secret }
    other:script{ rule_of(case.given.responses[1]) }
    local client = safe.new{ webhook = other.webhook }
    local result, more = client:call(case.given.method)
    other:stop()
    for _, needle in ipairs(case.expect.log_must_not_contain or case.expect.must_not_contain) do
      for _, shown in ipairs{ more, client, result == nil and "" or result } do assert.is_false(search(shown, needle)) end
    end
    if result == nil then assert.truthy(tostring(more):find(case.given.method, 1, true)) end
  end

  function run.redact(case)
    local got = bitrix.redact(case.given.redact)
    assert.equal(masked(case.expect.equals), got)
    assert.equal(got, bitrix.redact(got))
  end

  function run.redact_table(case)
    local expect = case.expect
    local original = with_our_null(case.given.redact_table)
    local got = bitrix.redact(original)
    if expect.unchanged then assert.same(original, got) end
    for _, path in ipairs(expect.masked_paths or {}) do
      local at = got
      for key in path:gmatch("[^.%[%]]+") do at = at[tonumber(key) and tonumber(key) + 1 or key] end
      assert.equal("[REDACTED]", at)
    end
    for name, value in pairs(expect.kept or {}) do assert.equal(value, got[name]) end
    for _, needle in ipairs(expect.must_not_contain or {}) do assert.is_false(search(got, needle)) end
    for _, needle in ipairs(expect.contains or {}) do assert.is_true(search(got, needle)) end
  end

  -- Domains are OAuth's; the webhook is under the same rules.
  function run.construct(case)
    local domain = case.given.construct.domain
    if case.expect.ok == false then
      assert.has_error(function() bitrix.new{ webhook = domain } end)
    else
      local client = bitrix.new{ webhook = domain .. "/rest/1/code/", insecure_http = true }
      assert.equal(("bitrix.client (%s)"):format(case.expect.base_url), tostring(client))
    end
  end

  function run.construct_variants(case)
    for i, variant in ipairs(case.given.construct_variants) do
      local ok, client = pcall(bitrix.new, { webhook = variant })
      assert.equal(i == 1, ok)
      if ok then assert.equal("bitrix.client (https://x.bitrix24.ru)", tostring(client)) end
    end
  end

  local function runner_of(case)
    local given = case.given
    if case.category == "redaction" and given.client then return run.log end
    local own = { retry = true, telemetry = true, idempotency = true, limiter = true }
    if own[case.category] then return run[case.category] end
    if given.responses or given.responses_variants then return run.answers end
    return given.redact and run.redact or given.redact_table and run.redact_table
      or given.construct and run.construct or given.construct_variants and run.construct_variants
  end

  local ran = 0
  for _, case in ipairs(cases) do
    if not LEFT_OUT[case.id] and not ELSEWHERE[case.category] then
      ran = ran + 1
      it(("%s (%s): %s"):format(case.id, case.category, case.name), function()
        local runner = runner_of(case)
        assert.is_function(runner, "nothing here knows how to run this case")
        runner(case)
      end)
    end
  end

  it("is run here, or by another spec, or left out for a reason", function()
    local ids = {}
    for _, case in ipairs(cases) do ids[case.id] = true end
    for id, reason in pairs(LEFT_OUT) do assert.is_true(ids[id] and #reason > 0, id) end
    assert.is_true(ran >= 80, "only " .. ran .. " cases ran")
  end)
end)
