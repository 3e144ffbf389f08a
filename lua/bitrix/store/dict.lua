--- A store in nginx's shared memory, for all workers of one nginx: `lua_shared_dict bitrix 1m;`.
--
--    local store = require("bitrix.store.dict").new("bitrix")
--
-- @module bitrix.store.dict
local core = require "bitrix.core"
local json = require "bitrix.store.json"
local limit = require "bitrix.limit"

local ngx = ngx

local _M = {}

local Store = {}
Store.__index = Store
Store.__name = "bitrix.store.dict"

-- A worker that is killed inside keeps the others out no longer.
local LIFE = 0.1 -- seconds
local PATIENCE = 5 * LIFE
local TRIES = 20 -- before others get their turn

--- Reads tokens.
-- @tparam string key
-- @treturn ?table nil when there are none
-- @treturn ?string why it failed
function Store:load(key)
  local text, problem = self.dict:get("tokens " .. key)
  if not text then return nil, problem end
  return json.decode(text)
end

--- Keeps tokens.
-- @treturn[1] boolean true
-- @return[2] nil, message
function Store:save(key, tokens)
  local ok, problem = self.dict:safe_set("tokens " .. key, json.encode(tokens))
  if ok then return true end
  return nil, problem
end

--- Takes a lock; does not wait.
-- @tparam string key
-- @tparam number seconds after which it is free again, whatever became of its holder
-- @treturn[1] function gives it back
-- @return[2] nil, "locked"; or another message
function Store:lock(key, seconds)
  local name, owner = "lock " .. key, core.random(16)
  local ok, problem = self.dict:safe_add(name, owner, seconds)
  if not ok then return nil, problem == "exists" and "locked" or problem end
  return function()
    if self.dict:get(name) == owner then self.dict:delete(name) end
  end
end

-- Runs f alone. What is inside is microseconds, and no worker can be interrupted in it but by its death.
local function alone(dict, key, f)
  local name = "limit lock " .. key
  local ends = core.now() + PATIENCE
  repeat
    for _ = 1, TRIES do
      local ok, problem = dict:safe_add(name, true, LIFE)
      if ok then
        local wait, number, epoch = f()
        dict:delete(name)
        return true, wait, number, epoch
      end
      if problem ~= "exists" then return nil, problem end
    end
    ngx.sleep(0.001)
  until core.now() > ends
  return nil, "the lock is not given back"
end

--- Counts requests: the operations of limit.lua, one worker at a time.
-- @treturn[1] boolean true; what the operation returned
-- @return[2] nil, message
function Store:limit(key, burst, rate, operation, ...)
  local dict, name = self.dict, "limit " .. key
  local first, second = ...
  return alone(dict, key, function()
    local state = limit.unpack(dict:get(name), burst, rate) or limit.new(burst, rate)
    local wait, number, epoch = limit[operation](state, core.now(), first, second)
    dict:set(name, limit.pack(state), limit.lifetime(burst, rate))
    return wait, number, epoch
  end)
end

--- Makes a store of a `lua_shared_dict`.
-- @tparam[opt] string name its name, "bitrix"
-- @treturn table the store: for the options `oauth.store` and `limit.store`
-- @raise a string when there is no such dictionary
function _M.new(name)
  name = name or "bitrix"
  local dict = ngx and ngx.shared and ngx.shared[name]
  if not dict then
    error(("bad argument #1 to 'new' (there is no 'lua_shared_dict %s ...;' in nginx's configuration)"):format(
      tostring(name)), 2)
  end
  return setmetatable({ dict = dict }, Store)
end

return _M
