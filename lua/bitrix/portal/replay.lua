-- Idempotency keys of REST v3: which answer belongs to a key, and to which request. Knows no HTTP.

local M = {}

local Replay = {}
Replay.__index = Replay

--- Makes an empty register.
function M.new()
  return setmetatable({ kept = {} }, Replay)
end

-- The last words of methods that change nothing.
local READS = { list = true, current = true, admin = true, time = true, scope = true, methods = true, profile = true,
  aggregate = true, tail = true }

--- Whether a method is a write: only these look at the key.
function M.is_write(method)
  local last = method:lower():match("[^.]*$")
  return not (READS[last] or last:find("^get"))
end

--- What was answered to a key before.
-- @tparam string caller the webhook or the application
-- @tparam string key
-- @tparam string request what must be the same: method and body
-- @return nil: the key is new; false: it belongs to another request; or what was kept
function Replay:find(caller, key, request)
  local kept = self.kept[caller .. "\n" .. key]
  if kept == nil then
    return nil
  end
  return kept.request == request and kept.answer
end

--- Keeps the answer to a request.
function Replay:keep(caller, key, request, answer)
  self.kept[caller .. "\n" .. key] = { request = request, answer = answer }
end

return M
