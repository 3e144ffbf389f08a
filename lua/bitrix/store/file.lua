--- A store in a file, for the processes of one machine: 0600, replaced as a whole, whole after kill -9 at any moment.
--
--    local store = require("bitrix.store.file").new("/var/lib/acme/tokens.json")
--
-- The file is JSON, an object with a member for each key. Beside it are `tokens.json.lock` (stays) and, for moments,
-- `tokens.json.new`. A file that others can read, or that belongs to another user, is refused. Not for network file
-- systems. The methods are those of `bitrix.store.memory`.
-- @module bitrix.store.file
local cjson = require "cjson"
local core = require "bitrix.core"

local _M = {}

local json = cjson.new()

-- cjson makes floats of all numbers.
local function with_integers(value)
  for k, v in pairs(value) do
    if type(v) == "table" then
      with_integers(v)
    elseif type(v) == "number" then
      value[k] = math.tointeger and math.tointeger(v) or v
    end
  end
  return value
end

--- Makes a store. Touches nothing yet; the file is made by the first `save`.
-- @tparam string path of the file; its directory must be there and be writable
-- @treturn table the store
-- @raise a string when the path is none
function _M.new(path)
  if type(path) ~= "string" or path == "" then
    error(("bad argument #1 to 'new' (a path expected, got %s)"):format(path == "" and "''" or type(path)), 2)
  end
  local lock_path = path .. ".lock"
  local store = {}

  local function read()
    local text, problem = core.file.read(path)
    if problem then return nil, problem end
    if not text or text == "" then return {} end
    local ok, all = pcall(json.decode, text)
    -- cjson's message would show a piece of the file.
    if not ok or type(all) ~= "table" then return nil, path .. ": not the JSON of a store" end
    return all
  end

  function store:load(key) -- luacheck: ignore self
    local all, problem = read()
    if not all then return nil, problem end
    local value = all[key]
    return type(value) == "table" and with_integers(value) or nil
  end

  function store:save(key, tokens) -- luacheck: ignore self
    local mutex, busy = core.file.mutex(lock_path)
    if not mutex then return nil, busy end
    -- Whatever goes wrong, the mutex must not wait for the collector.
    local ok, done, problem = pcall(function()
      local all, unread = read()
      if not all then return nil, unread end
      all[key] = tokens
      return core.file.replace(path, json.encode(all))
    end)
    mutex:unlock()
    if not ok then error(done, 0) end
    return done, problem
  end

  function store:lock(key, seconds) -- luacheck: ignore self
    local held, why = core.file.lock(lock_path, key, seconds)
    if not held then return nil, why end
    return function() held:unlock() end
  end

  return store
end

return _M
