-- The portal's ideas of numbers and parameter names, which are PHP's: is_numeric, (int), `a[b][]=c`.
-- Reads them and writes them. Pure functions; no HTTP, no JSON.

local keys = require "bitrix.portal.keys"
local php = require "bitrix.php"

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

M.unescape, M.integer_key = php.unescape, php.integer_key

local ORDERED = {
  put = keys.put,
  new = function() return keys.set_order({}, {}) end,
}

--- Reads `fields[groupId]=125&ids[]=1&ids[]=2` as PHP does. All values are strings. The nested tables know the
-- order of their keys, see keys.lua.
-- @tparam string text a query string or a form body
-- @tparam[opt] table into where to put the parameters
-- @treturn table
function M.parse_query(text, into)
  return php.parse_query(text, into, ORDERED, math.huge)
end

-- PHP's urlencode.
local function escape(text)
  return (text:gsub("[^%w_.-]", function(character)
    return character == " " and "+" or ("%%%02X"):format(character:byte())
  end))
end

-- A value as PHP's string, or nil for what http_build_query leaves out.
local function shown(value)
  if type(value) == "boolean" then
    return value and "1" or "0"
  elseif type(value) == "number" then
    return value % 1 == 0 and ("%.0f"):format(value) or ("%.14g"):format(value)
  end
  return type(value) == "string" and value or nil
end

local function less(a, b)
  return tostring(a) < tostring(b)
end

-- The keys in their order; without one they are sorted, so that the same table is always the same text.
local function keys_of(object)
  local list = keys.of(object)
  local meta = getmetatable(object)
  if not (meta and meta.__jsonorder) and #object == 0 then
    table.sort(list, less)
  end
  return list
end

local function add_pairs(parts, object, prefix)
  for _, key in ipairs(keys_of(object)) do
    local value = object[key]
    -- PHP's lists begin at 0.
    local name = type(key) == "number" and ("%d"):format(key - 1) or key
    name = prefix and prefix .. "[" .. name .. "]" or name
    if type(value) == "table" then
      add_pairs(parts, value, name)
    elseif shown(value) then
      parts[#parts + 1] = escape(name) .. "=" .. escape(shown(value))
    end
  end
end

--- PHP's http_build_query: `a%5Bb%5D=1&a%5Bc%5D%5B0%5D=x`. What is neither table, string, number nor boolean is left
-- out.
-- @tparam table params may know the order of its keys, see keys.lua
-- @treturn string
function M.build_query(params)
  local parts = {}
  add_pairs(parts, params)
  return table.concat(parts, "&")
end

return M
