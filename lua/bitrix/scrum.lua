--- What scripts write by hand around the scrum methods: made from calls, knows nothing of how they are sent.
local _M = {}

-- Each round is an add and a read. More than two happen only when somebody keeps deleting what is added here.
local ROUNDS = 5

--- What the user gave, as it was when the call began: his table may change while the call waits.
function _M.keep(params)
  if type(params) ~= "table" then return params end
  local kept = {}
  for name, value in next, params do kept[name] = value end
  return setmetatable(kept, getmetatable(params))
end

--- Makes sure that a group has a backlog.
-- @tparam function call call(name, params) → result, info; or nil, error object; or nil, message about the arguments
-- @tparam table params as for backlog_add
-- @return[1] backlog, whether it was created, info
-- @return[2] nil, error object or message
function _M.backlog_ensure(call, params)
  local attempts, last, lost = {}, nil, false
  params = _M.keep(params)
  local function step(name, what)
    local result, more = call(name, what)
    if type(more) == "table" then
      for _, attempt in ipairs(more.attempts) do attempts[#attempts + 1] = attempt end
      more.attempts = attempts
    end
    return result, more
  end
  -- What one of our adds may have done is not undone by the failure of a later step.
  local function failed(problem)
    if lost then problem.executed = "unknown" end
    return nil, problem
  end
  for _ = 1, ROUNDS do
    local added, more = step("backlog_add", params)
    if type(added) == "table" then return added, true, more end
    -- A message in a later step: the client was closed meanwhile. What our adds came to says more.
    if type(more) == "string" then
      if last then return failed(last) end
      return nil, more
    end
    local made = added ~= nil -- the portal said yes and did not say to what
    lost = lost or made or more.executed == "unknown"
    if not made and more.reason ~= "backlog_already_added" and more.executed ~= "unknown" then return failed(more) end
    local found, info = step("backlog_get", { groupId = params.groupId })
    if found ~= nil then
      -- Who made it when the answer to our add was lost? A group has one backlog: this one has our author, so we did.
      local author = type(found) == "table" and tonumber(found.createdBy)
      return found, made or lost and author == tonumber(params.createdBy), info
    end
    if type(info) == "string" then
      if made then return nil, info end
      return failed(more)
    end
    if info.reason ~= "backlog_not_found" then return failed(info) end
    last = not made and more or info
  end
  return failed(last)
end

--- How the lost outcome of a method is settled: method → settle(params, read), where read(name, params) → result, info;
-- or nil,
-- error object, makes a call that only reads. It returns "done", result, info; or "again": it has not run; or "failed",
-- kind, reason, message; or nil: still open.
_M.settle = {}

-- A group has one backlog: where it has our author, our add was what made it.
function _M.settle.backlog_add(params, read)
  local found, more = read("backlog_get", { groupId = params.groupId })
  if type(found) == "table" then
    if tonumber(found.createdBy) == tonumber(params.createdBy) then return "done", found, more end
    return "failed", "api", "backlog_already_added", "Backlog already added"
  end
  return found == nil and type(more) == "table" and more.reason == "backlog_not_found" and "again" or nil
end

return _M
