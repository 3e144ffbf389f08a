-- Checks tables of options: names and types. Raises what is wrong, without a position. Knows no option.

local M = {}

--- A kind of value beside Lua's types: a number from 0 that need not be an integer.
M.SECONDS = "seconds"

--- Raises a message.
-- @tparam string text a format
-- @param ... what goes into it
function M.fail(text, ...)
  error("bitrix.portal: " .. text:format(...), 0)
end

--- Whether a value can be the id of something.
function M.is_id(value)
  return type(value) == "number" and value >= 1 and value % 1 == 0
end

--- A number without a fraction as Lua's integer, where there are such.
function M.integer(value)
  return math.floor(value)
end

-- The kind that a value is of, or nil.
local function kind_of(value, kinds)
  for _, kind in ipairs(kinds) do
    if type(value) == (kind == M.SECONDS and "number" or kind) then
      return kind
    end
  end
end

--- Checks a table.
-- @tparam string what it is called in messages: "option"
-- @param given must be a table
-- @tparam table known name → kind, or list of kinds: one of Lua's types or SECONDS; numbers must be integers from 0
function M.table(what, given, known)
  if type(given) ~= "table" then
    M.fail("%s: table expected, got %s", what, type(given))
  end
  for name, value in pairs(given) do
    local expected = known[name]
    if not expected then
      M.fail("unknown %s '%s'", what, tostring(name))
    end
    local kinds = type(expected) == "table" and expected or { expected }
    local kind = kind_of(value, kinds)
    if not kind then
      M.fail("%s '%s': %s expected, got %s", what, name, table.concat(kinds, " or "), type(value))
    end
    if type(value) == "number" then
      local whole = kind ~= M.SECONDS
      if not (value >= 0 and value < math.huge) or whole and value % 1 ~= 0 then
        M.fail("%s '%s': %s from 0 expected, got %s", what, name, whole and "integer" or "number", tostring(value))
      end
    end
  end
end

return M
