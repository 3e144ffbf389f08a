-- The portal's ideas of numbers and parameter names, which are PHP's: is_numeric, (int), `a[b][]=c`.
-- Pure functions; no HTTP, no JSON.

local keys = require "bitrix.portal.keys"

local M = {}

local NUMBER = { "^[+-]?%d+%.?%d*$", "^[+-]?%.%d+$", "^[+-]?%d+%.?%d*[eE][+-]?%d+$", "^[+-]?%.%d+[eE][+-]?%d+$" }

local function truncate(number)
  if number ~= number or number >= 2 ^ 63 or number < -(2 ^ 63) then
    return 0
  end
  local integer = number < 0 and math.ceil(number) or math.floor(number)
  return integer == 0 and 0 or integer
end

--- PHP's is_numeric: a number, or a string that is one (white space around it allowed).
function M.is_numeric(value)
  if type(value) == "number" then
    return true
  end
  if type(value) ~= "string" then
    return false
  end
  local text = value:match("^%s*(.-)%s*$")
  for _, pattern in ipairs(NUMBER) do
    if text:find(pattern) then
      return true
    end
  end
  return false
end

--- The number that a value is or, as a string, says; nil for what is not numeric.
function M.to_number(value)
  if type(value) == "number" then
    return value
  end
  -- Lua does not know "+5".
  return M.is_numeric(value) and tonumber((value:gsub("^%s*%+", ""))) or nil
end

--- PHP's (int): whatever the value, an integer comes out; what is no number is 0.
function M.to_integer(value)
  local kind = type(value)
  if kind == "number" or kind == "string" then
    return truncate(M.to_number(value) or M.to_number(value:match("^%s*[+-]?%d+")) or 0)
  elseif kind == "boolean" then
    return value and 1 or 0
  elseif kind == "table" then
    return next(value) ~= nil and 1 or 0
  end
  return 0
end

--- Undoes percent-coding.
-- @tparam string text
-- @tparam boolean form `+` stands for a space
function M.unescape(text, form)
  if form then
    text = text:gsub("%+", " ")
  end
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local MOST_NESTED = 64 -- PHP's max_input_nesting_level

-- "fields[groupId]" → { "fields", "groupId" }; "a[]" → { "a", "" }. A bracket that is not closed belongs to the name.
local function path_of(name)
  local base, rest = name:match("^([^%[]+)(.*)$")
  if not base then
    return { name }
  end
  local path = { base }
  local position = 1
  while true do
    local key, after = rest:match("^%[([^%]]*)%]()", position)
    if not key or #path == MOST_NESTED then
      return path
    end
    path[#path + 1] = key
    position = after
  end
end

--- The integer that PHP makes of a key like "0" or "12"; nil for other keys, and for numbers above 999999.
function M.integer_key(key)
  return (key == "0" or #key <= 6 and key:find("^[1-9]%d*$")) and tonumber(key) or nil
end

local function put(root, path, value)
  local node = root
  for i = 1, #path do
    local key = path[i]
    if i > 1 then
      local position = M.integer_key(key)
      -- Lua's lists begin at 1.
      key = key == "" and #node + 1 or position and position + 1 or key
    end
    if i == #path then
      keys.put(node, key, value)
    else
      if type(node[key]) ~= "table" then
        keys.put(node, key, keys.set_order({}, {}))
      end
      node = node[key]
    end
  end
end

--- Reads `fields[groupId]=125&ids[]=1&ids[]=2` as PHP does. All values are strings. The nested tables know the
-- order of their keys, see keys.lua.
-- @tparam string text a query string or a form body
-- @tparam[opt] table into where to put the parameters
-- @treturn table
function M.parse_query(text, into)
  local params = into or {}
  for pair in text:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    if name ~= "" then
      put(params, path_of(M.unescape(name, true)), M.unescape(value, true))
    end
  end
  return params
end

return M
