-- The method batch: runs the commands of `cmd` one after the other and puts what they answer into five sections.
-- Knows no HTTP and no JSON; how a command is run is the caller's business.

local keys = require "bitrix.portal.keys"
local php = require "bitrix.portal.php"

local M = {}

local MOST = 50
local SECTIONS = { "result", "result_error", "result_total", "result_next", "result_time" }

-- The commands as a list of { key, text }; keys are strings, or integers where PHP has integers.
local function commands_of(cmd)
  if type(cmd) ~= "table" then
    return cmd ~= nil and { { 0, cmd } } or {}
  end
  local list = {}
  for i, key in ipairs(keys.of(cmd)) do
    -- A number here is a position in a Lua list.
    list[i] = { type(key) == "number" and key - 1 or php.integer_key(key) or key, cmd[key] }
  end
  return list
end

-- What the keys of a reference find in the results, or nil.
local function look_up(results, path)
  local value = results
  for i, key in ipairs(path) do
    if type(value) ~= "table" then
      return nil
    end
    local number = php.integer_key(key)
    if i == 1 then
      -- `results` is ours: its integer keys are PHP's.
      value = number and value[number] or value[key]
    elseif number and value[number + 1] ~= nil then
      value = value[number + 1]
    else
      value = value[key]
    end
  end
  return value
end

-- The next `$result[key][field]` in a text from a position on: where it begins, where it ends, its keys; or nil.
local function next_reference(text, from)
  local first, last = text:find("$result", from, true)
  while first do
    local path = {}
    while true do
      local key, after = text:match("^%[([^%[%]]+)%]()", last + 1)
      if not key then
        break
      end
      path[#path + 1] = key
      last = after - 1
    end
    if path[1] then
      return first, last, path
    end
    first, last = text:find("$result", last + 1, true)
  end
end

-- A value with its references replaced; one that finds nothing is replaced by an empty text.
local function resolved(value, results)
  if type(value) == "table" then
    local copy = setmetatable({}, getmetatable(value))
    for key, inner in pairs(value) do
      copy[key] = resolved(inner, results)
    end
    return copy
  elseif type(value) ~= "string" or not value:find("$result[", 1, true) then
    return value
  end
  local parts, position = {}, 1
  local first, last, path = next_reference(value, 1)
  if first == 1 and last == #value then
    local found = look_up(results, path)
    return found == nil and "" or found
  end
  while first do
    local found = look_up(results, path)
    parts[#parts + 1] = value:sub(position, first - 1)
    parts[#parts + 1] = type(found) == "table" and "Array" or found == nil and "" or tostring(found)
    position = last + 1
    first, last, path = next_reference(value, position)
  end
  return table.concat(parts) .. value:sub(position)
end

-- A section as PHP encodes it: a list if its keys are 0 to n-1 in this order, else an object, `[]` when empty.
local function section_of(entries)
  local is_list, list, object, order = true, {}, {}, {}
  for i, entry in ipairs(entries) do
    is_list = is_list and entry[1] == i - 1
    list[i] = entry[2]
    order[i] = tostring(entry[1])
    object[order[i]] = entry[2]
  end
  return is_list and list or keys.set_order(object, order)
end

local function refusal(code, text)
  return { error = code, error_description = text }
end

local function answer_to(text, number, results, call)
  if number > MOST then
    return refusal("ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")
  end
  local method, query = tostring(text):match("^([^?]*)%??(.*)$")
  method = method:gsub("%.json$", "")
  if method:lower() == "batch" then
    return refusal("ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage")
  end
  return call(method, resolved(php.parse_query(query), results))
end

-- Parameters by their names in any case, as the portal finds those of batch.
local function find(params, name)
  if params[name] ~= nil then
    return params[name]
  end
  for key, value in pairs(params) do
    if type(key) == "string" and key:lower() == name then
      return value
    end
  end
end

local function is_on(value)
  return value == true or value == "true" or value == "Y" or php.to_integer(value) ~= 0
end

--- Runs a batch.
-- @tparam table params `cmd`, `halt`
-- @tparam function call `(method, params)` → `{ result =, total =, next =, time = }` or
--   `{ error =, error_description = }`
-- @treturn table the five sections
function M.run(params, call)
  local halt = is_on(find(params, "halt"))
  local results, entries = {}, {}
  for _, name in ipairs(SECTIONS) do
    entries[name] = {}
  end
  local function add(section, key, value)
    if value ~= nil then
      table.insert(entries[section], { key, value })
    end
  end
  for i, command in ipairs(commands_of(find(params, "cmd"))) do
    local key = command[1]
    local body = answer_to(command[2], i, results, call)
    if body.error ~= nil then
      add("result_error", key, refusal(body.error, body.error_description))
      if halt then
        break
      end
    else
      results[key] = body.result
      add("result", key, body.result)
      add("result_total", key, body.total)
      add("result_next", key, body.next)
      add("result_time", key, body.time)
    end
  end
  local answer = {}
  for _, name in ipairs(SECTIONS) do
    answer[name] = section_of(entries[name])
  end
  return answer
end

return M
