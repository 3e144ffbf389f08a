local M = {}
local TR = { query_limit_exceeded=true, operation_time_limit=true, dns=true, connect=true, reset=true, send=true, connect_timeout=true, timeout=true, not_json=true, truncated=true, trailing_data=true, internal_server_error=true, error_unexpected_answer=true }
function M.decide(q)
  if q.attempt >= q.policy.attempts then return nil end
  local e = q.error
  if e.kind=="auth" or e.reason=="overload_limit" then return nil end
  local st = e.status
  if st and st>=400 and st<500 and st~=408 and st~=429 then return nil end
  if e.executed=="no" then if TR[e.reason] then return {wait=e.kind=="limit" and 0 or math.random()*q.policy.base} end return nil end
  if not q.idempotent then return nil end
  return { wait = math.random()*q.policy.base }
end
return M
