--- A store in this Lua state: for scripts, for tests, and for clients that share tokens in one process.
--
--    local store = require("bitrix.store.memory").new()
--
-- All stores have the same three methods, see `load`, `save` and `lock`; none of them waits for a lock.
-- @module bitrix.store.memory
local core = require "bitrix.core"

local _M = {}

-- What is given out must not change with what is kept.
local function copy(value)
  if type(value) ~= "table" then return value end
  local twin = {}
  for k, v in pairs(value) do twin[k] = copy(v) end
  return twin
end

--- Makes an empty store.
-- @treturn table the store
function _M.new()
  -- Upvalues, not fields: a table that is printed with all that is in it shows no token.
  local kept, locks = {}, {}
  local store = {}

  --- What was saved.
  -- @tparam string key
  -- @treturn[1] table a copy
  -- @return[2] nil where nothing was saved
  -- @return[3] nil, message (other stores)
  function store:load(key) -- luacheck: ignore self
    return copy(kept[key])
  end

  --- Keeps a copy, in place of what was there.
  -- @tparam string key
  -- @tparam table tokens strings, numbers, booleans and tables of these
  -- @treturn[1] boolean true
  -- @return[2] nil, message (other stores)
  function store:save(key, tokens) -- luacheck: ignore self
    kept[key] = copy(tokens)
    return true
  end

  --- Locks a key. Does not wait.
  -- @tparam string key
  -- @tparam number seconds after which the lock is free again by itself
  -- @treturn[1] function unlock
  -- @return[2] nil, "locked"
  -- @return[3] nil, message (other stores)
  function store:lock(key, seconds) -- luacheck: ignore self
    local held = locks[key]
    if held and core.now() < held.ends then return nil, "locked" end
    local mine = { ends = core.now() + seconds }
    locks[key] = mine
    return function()
      if locks[key] == mine then locks[key] = nil end
    end
  end

  return store
end

return _M
