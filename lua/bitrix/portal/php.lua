-- The portal's ideas of numbers and parameter names, which are PHP's: is_numeric, (int), `a[b][]=c`.
-- Pure functions; no HTTP, no JSON.

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

--- The number that is_numeric has seen.
-- @param value a number, or a string that is one
-- @treturn number
function M.to_number(value)
  return type(value) == "number" and value or tonumber((value:match("^%s*%+?(.-)%s*$")))
end

--- PHP's (int): whatever the value, an integer comes out; what is no number is 0.
function M.to_integer(value)
  local kind = type(value)
  if kind == "number" then
    return truncate(value)
  elseif kind == "string" then
    if M.is_numeric(value) then
      return truncate(M.to_number(value))
    end
    local digits = value:match("^%s*([+-]?%d+)")
    return digits and truncate(tonumber((digits:gsub("^%+", "")))) or 0
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

-- "0", "1", ... are list positions in PHP; Lua's lists begin at 1.
local function position_of(key)
  if key == "0" or key:find("^[1-9]%d?%d?%d?%d?%d?$") then
    return tonumber(key) + 1
  end
  return key
end

-- A table that knows the order in which its keys came; dkjson's name for that.
local function ordered()
  return setmetatable({}, { __jsonorder = {} })
end

local function note(node, key)
  local order = (getmetatable(node) or {}).__jsonorder
  if order and node[key] == nil then
    order[#order + 1] = key
  end
end

local function put(root, path, value)
  local node = root
  for i = 1, #path do
    local key = path[i]
    if i > 1 then
      key = key == "" and #node + 1 or position_of(key)
    end
    note(node, key)
    if i == #path then
      node[key] = value
    else
      if type(node[key]) ~= "table" then
        node[key] = ordered()
      end
      node = node[key]
    end
  end
end

--- Reads `fields[groupId]=125&ids[]=1&ids[]=2` as PHP does. All values are strings. The nested tables remember the
-- order of their keys, as a list in the field `__jsonorder` of their metatables.
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
