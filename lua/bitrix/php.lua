--- Forms and query strings as PHP reads them: `auth[member_id]=a&ids[]=1&ids[]=2`. Pure.
local _M = {}

local MOST_NESTED = 64 -- PHP's max_input_nesting_level
local MOST = 1000 -- PHP's max_input_vars

--- Undoes percent-coding.
-- @tparam string text
-- @tparam boolean form `+` stands for a space
function _M.unescape(text, form)
  if form then text = text:gsub("%+", " ") end
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- "fields[groupId]" → { "fields", "groupId" }; "a[]" → { "a", "" }. A bracket that is not closed belongs to the name.
local function path_of(name)
  local base, rest = name:match("^([^%[]+)(.*)$")
  if not base then return { name } end
  local path = { base }
  local position = 1
  while true do
    local key, after = rest:match("^%[([^%]]*)%]()", position)
    if not key or #path == MOST_NESTED then return path end
    path[#path + 1] = key
    position = after
  end
end

--- The integer that PHP makes of a key like "0" or "12"; nil for other keys, and for numbers above 999999.
function _M.integer_key(key)
  return (key == "0" or #key <= 6 and key:find("^[1-9]%d*$")) and tonumber(key) or nil
end

-- How tables are filled, unless the caller wants it done another way.
local PLAIN = {
  put = function(object, key, value) object[key] = value end,
  new = function() return {} end,
}

local function put(root, path, value, tables)
  local node = root
  for i = 1, #path do
    local key = path[i]
    if i > 1 then
      local position = _M.integer_key(key)
      -- Lua's lists begin at 1.
      key = key == "" and #node + 1 or position and position + 1 or key
    end
    if i == #path then
      tables.put(node, key, value)
    else
      if type(node[key]) ~= "table" then tables.put(node, key, tables.new()) end
      node = node[key]
    end
  end
end

--- Reads `fields[groupId]=125&ids[]=1&ids[]=2` as PHP does. All values are strings.
-- @tparam string text a query string or a form body
-- @tparam[opt] table into where to put the parameters
-- @tparam[opt] table tables `put(object, key, value)` and `new()`: how tables are filled and made
-- @tparam[opt] number most how many parameters are read; the rest is left out (1000, as PHP)
-- @treturn table
function _M.parse_query(text, into, tables, most)
  local params, left = into or {}, most or MOST
  for pair in text:gmatch("[^&]+") do
    if left == 0 then break end
    left = left - 1
    local name, value = pair:match("^([^=]*)=?(.*)$")
    if name ~= "" then put(params, path_of(_M.unescape(name, true)), _M.unescape(value, true), tables or PLAIN) end
  end
  return params
end

return _M
