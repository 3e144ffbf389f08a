--- Whether a call that failed is made again, and after how long. Pure: knows no clock and sends nothing.
-- A call is repeated when the failure may pass and the portal has not run it, or when it may run twice.
local _M = {}

-- Whatever else is said of these, the next attempt would end alike.
local FINAL = {
  overload_limit = true, portal_deleted = true, payment_required = true, tls = true, cancelled = true, deadline = true,
  too_large = true, too_deep = true,
}

-- The portal did not run these; how long to wait is the limiter's business.
local PACED = { query_limit_exceeded = true, operation_time_limit = true }

local PASSING = { network = true, timeout = true, protocol = true }

local function may_pass(err)
  if FINAL[err.reason] or err.kind == "auth" then return false end
  if PACED[err.reason] then return true end
  local status = err.status
  if status and status >= 400 and status < 500 then return status == 408 or status == 429 end
  return PASSING[err.kind] or err.kind == "api" and status ~= nil and status >= 500
end

--- Exponential backoff with full jitter.
-- @tparam integer attempt how many have been made
-- @tparam table policy { base, cap } in seconds
-- @tparam[opt] function random → [0, 1)
-- @treturn number seconds
function _M.backoff(attempt, policy, random)
  return (random or math.random)() * math.min(policy.cap, policy.base * 2 ^ (attempt - 1))
end

--- Decides.
-- @tparam table question `error` (an error object), `attempt` (integer: how many have been made), `idempotent`
-- (boolean: it may
-- run twice), `paced` (boolean: there is a limiter, which waits where the portal's limits were met), `policy` ({
-- attempts, base, cap }), `random` (function, math.random)
-- @treturn ?table nil: no; or { wait = seconds, why = "not executed" or "idempotent" }
function _M.decide(question)
  local err = question.error
  if question.attempt >= question.policy.attempts or not may_pass(err) then return nil end
  local why = err.executed == "no" and "not executed"
    or err.executed == "unknown" and question.idempotent and "idempotent"
  if not why then return nil end
  local wait = 0
  if not (question.paced and PACED[err.reason]) then
    wait = _M.backoff(question.attempt, question.policy, question.random)
  end
  return { wait = wait, why = why }
end

return _M
