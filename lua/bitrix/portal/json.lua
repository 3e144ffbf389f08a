-- JSON as the emulator writes and reads it: dkjson with one key order for all answers, and `[]` for an empty
-- table, as PHP has it. Knows nothing of what is in the documents.

local dkjson = require "dkjson"

local M = {}

-- Keys that are named here stand first and in this order, so that answers look like the portal's and do not change
-- from run to run; all others follow.
local KEY_ORDER = {
  "result", "error", "error_description", "total", "next", "time",
  "code", "message", "validation", "field", "id", "groupId", "createdBy", "modifiedBy", "fields",
  "start", "finish", "duration", "processing", "date_start", "date_finish", "operating_reset_at", "operating",
}

-- A null is a light userdata in most JSON libraries; nothing else is let through.
local function null_or_fail(reason, value, _, message)
  if reason == "unsupported type" and type(value) == "userdata" and tostring(value):find("^userdata: [NU0(]") then
    return "null"
  end
  return nil, message
end

--- Encodes a value. Strings may hold any bytes: what is no valid UTF-8 is written as it is, and `decode` returns it.
-- An empty table is a list unless its metatable says `__jsontype = "object"`; null is any JSON library's.
-- @param value a table, string, number, boolean
-- @treturn string the document; raises for functions, cycles and other things that JSON does not know
function M.encode(value)
  return dkjson.encode(value, { keyorder = KEY_ORDER, exception = null_or_fail })
end

-- The position of the quote that ends the string which begins at a position.
local function end_of_string(text, position)
  position = position + 1
  while true do
    local at = text:find('["\\]', position)
    if not at then
      return #text
    end
    if text:sub(at, at) == '"' then
      return at
    end
    position = at + 2
  end
end

-- Whether there is a comment, which dkjson reads and PHP does not.
local function has_comment(text)
  local position = 1
  while true do
    local at = text:find('["/]', position)
    if not at or text:sub(at, at) == "/" then
      return at ~= nil
    end
    position = end_of_string(text, at) + 1
  end
end

--- Decodes a document; `null` becomes nil, that is: absent.
-- @tparam string text
-- @return the value, or nil and a message. The document must be followed by nothing but white space.
function M.decode(text)
  -- pcall: a very deep document overflows the stack instead of returning an error.
  local ok, value, rest, message = pcall(dkjson.decode, text, 1, nil, nil)
  if not ok then
    return nil, "too deep"
  end
  if message then
    return nil, message
  end
  if rest and text:find("%S", rest) then
    return nil, "something follows the document"
  end
  if has_comment(text) then
    return nil, "a comment"
  end
  return value
end

--- The order in which the keys of the objects in a document's outermost object are written.
-- @tparam string text a document that `decode` has accepted
-- @treturn table key of the outermost object → list of the keys of the object there
function M.key_orders(text)
  local orders, depth, name = {}, 0, nil
  local position = 1
  while true do
    local at = text:find('["{}%[%]]', position)
    if not at then
      return orders
    end
    local character = text:sub(at, at)
    if character == '"' then
      local last = end_of_string(text, at)
      -- A string before a colon is a key.
      if depth <= 2 and text:find("^%s*:", last + 1) then
        local key = dkjson.decode(text:sub(at, last))
        if depth == 1 then
          name = key
          orders[name] = {}
        elseif orders[name] then
          table.insert(orders[name], key)
        end
      end
      at = last
    else
      depth = depth + ((character == "{" or character == "[") and 1 or -1)
    end
    position = at + 1
  end
end

--- The directory that dkjson was loaded from, for a Lua of another version to find the same file.
-- @treturn ?string a path without the final slash
function M.directory()
  local source = debug.getinfo(dkjson.encode, "S").source
  return source:match("^@(.*)/dkjson%.lua$")
end

return M
