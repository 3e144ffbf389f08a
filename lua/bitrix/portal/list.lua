-- Lists as the portal serves them: filter, order, select, 50 rows a page, `total` and `next`.
-- Takes rows, gives rows; knows no method and no state.

local date = require "bitrix.portal.date"
local keys = require "bitrix.portal.keys"
local php = require "bitrix.portal.php"

local M = {}

local PAGE = 50

--- The parameters of a list method; `start` is read without a check, as the portal does.
M.PARAMS = {
  { name = "filter", type = "array", optional = true },
  { name = "select", type = "array", optional = true },
  { name = "order", type = "array", optional = true },
}

-- GROUP_ID, group_id and groupId are one field.
local function normal(name)
  return (tostring(name):gsub("_", ""):lower())
end

-- What two values are compared by: numbers, points in time, or else text without regard to case.
local function comparable(value, kind)
  if value == nil then
    return nil
  elseif kind == "date" then
    return date.parse(value)
  elseif kind == "number" then
    return php.to_number(value)
  end
  return (type(value) == "boolean" and (value and "1" or "0") or tostring(value)):lower()
end

local MAGIC = "[%^%$%(%)%%%.%[%]%*%+%-%?]"

-- SQL's LIKE: `%` stands for anything, `_` for one character.
local function is_like(value, pattern)
  -- More than one `%` in a row stand for no more than one, and would take Lua's patterns too long.
  local lua = tostring(pattern):lower():gsub("%%+", "%%"):gsub(MAGIC, "%%%0"):gsub("%%%%", ".*"):gsub("_", ".")
  return tostring(value):lower():find("^" .. lua .. "$") ~= nil
end

local function contains(value, part)
  return tostring(value):lower():find(tostring(part):lower(), 1, true) ~= nil
end

local function is_equal(value, wanted, kind)
  local b = comparable(wanted, kind)
  return b ~= nil and comparable(value, kind) == b
end

local function ordered(compare)
  return function(value, wanted, kind)
    local a, b = comparable(value, kind), comparable(wanted, kind)
    return a ~= nil and b ~= nil and compare(a, b)
  end
end

-- Without a prefix a text with % in it is a pattern: { NAME = "%epic%" }.
local function fits(value, wanted, kind)
  if kind == "text" and type(wanted) == "string" and wanted:find("%", 1, true) then
    return is_like(value, wanted)
  end
  return is_equal(value, wanted, kind)
end

-- { prefix, test, negated }, longer prefixes first.
local OPERATIONS = {
  { "!=%", is_like, true }, { "!%=", is_like, true },
  { "=%", is_like }, { "%=", is_like }, { "!%", contains, true }, { "!=", is_equal, true }, { "!@", is_equal, true },
  { ">=", ordered(function(a, b) return a >= b end) }, { "<=", ordered(function(a, b) return a <= b end) },
  { ">", ordered(function(a, b) return a > b end) }, { "<", ordered(function(a, b) return a < b end) },
  { "%", contains }, { "!", is_equal, true }, { "@", is_equal }, { "=", is_equal },
  { "", fits },
}

local function operation_of(key)
  for _, operation in ipairs(OPERATIONS) do
    local prefix = operation[1]
    if key:sub(1, #prefix) == prefix then
      return operation, key:sub(#prefix + 1)
    end
  end
end

local function value_of(row, column)
  if column.value then
    return column.value(row)
  end
  return row[column.field]
end

local function passes(row, condition)
  local column, wanted = condition.column, condition.value
  local value, test, found = value_of(row, column), condition.test, false
  if type(wanted) ~= "table" then
    found = test(value, wanted, column.type)
  else
    for _, one in pairs(wanted) do
      found = found or test(value, one, column.type)
    end
  end
  return found ~= (condition.negated or false)
end

local function conditions_of(filter, columns, ignore)
  local list = {}
  for key, value in pairs(filter or {}) do
    local operation, name = operation_of(tostring(key))
    local column = columns[normal(name)]
    if column then
      list[#list + 1] = {
        column = column, prefix = operation[1], test = operation[2], negated = operation[3], value = value,
      }
    elseif not ignore then
      return nil
    end
  end
  return list
end

local function orders_of(order, columns, ignore)
  local list = {}
  for _, key in ipairs(keys.of(order or {})) do
    local column = columns[normal(key)]
    if column then
      list[#list + 1] = { column = column, descending = tostring(order[key]):lower():find("^%s*desc") ~= nil }
    elseif not ignore then
      return nil
    end
  end
  return list
end

local function selection_of(select, columns, ignore, default)
  local fields, all = {}, select == nil or next(select) == nil
  if all and default then
    select, all = default, false
  end
  for _, name in pairs(select or {}) do
    local column = columns[normal(name)]
    all = all or name == "*"
    if column then
      fields[column.field] = true
    elseif name ~= "*" and not ignore then
      return nil
    end
  end
  return all and "all" or fields
end

local AT_LEAST = { [">"] = true, [">="] = true, ["="] = true, [""] = true }
local AT_MOST = { ["<"] = true, ["<="] = true, ["="] = true, [""] = true }

-- The lowest and the highest id that can pass.
local function range_of(conditions)
  local low, high = 0, math.huge
  for _, condition in ipairs(conditions) do
    local id = condition.column.field == "id" and type(condition.value) ~= "table" and php.to_number(condition.value)
    if id and AT_LEAST[condition.prefix] then
      low = math.max(low, id)
    end
    if id and AT_MOST[condition.prefix] then
      high = math.min(high, id)
    end
  end
  return low, high
end

-- The rows from an id on, of a list or of what reads them one by one.
local function each(rows, id)
  if rows.from then
    return rows:from(id)
  end
  local i = 0
  return function()
    i = i + 1
    return rows[i]
  end
end

-- The rows that pass, but no more than so many. Not to be changed if `kept`: they may be the source's own.
local function passing(rows, conditions, most, kept)
  if kept and rows.all and #conditions == 0 and most == math.huge then
    return rows:all()
  end
  local found = {}
  local low, high = range_of(conditions)
  for row in each(rows, low) do
    if row.id > high then
      break
    end
    local good = true
    for _, condition in ipairs(conditions) do
      good = good and passes(row, condition)
    end
    if good then
      found[#found + 1] = row
      if #found >= most then
        break
      end
    end
  end
  return found
end

local function reverse(rows)
  local count = #rows
  for i = 1, math.floor(count / 2) do
    rows[i], rows[count + 1 - i] = rows[count + 1 - i], rows[i]
  end
end

local function sort(rows, orders)
  local function key(row, column)
    return comparable(value_of(row, column), column.type)
  end
  table.sort(rows, function(a, b)
    for _, order in ipairs(orders) do
      local x, y = key(a, order.column), key(b, order.column)
      -- What has no value comes first.
      if x ~= y then
        local before = x == nil or y ~= nil and x < y
        return before ~= order.descending
      end
    end
    return a.id < b.id
  end)
end

--- Describes the fields of a list.
-- @tparam table types field of a row → "number", "text" or "date"
-- @tparam[opt] table values field → function(row) for fields that are no plain field of a row
-- @treturn table for `page`
function M.columns(types, values)
  local columns = {}
  for field, kind in pairs(types) do
    columns[normal(field)] = { field = field, type = kind, value = values and values[field] }
  end
  return columns
end

--- One page of a list.
-- @tparam table rows all rows that the user may see, ordered by id: a list, or what Domain:source
--   returns
-- @tparam table params `filter`, `order`, `select`, `start` as they came
-- @tparam table columns what `columns` returned
-- @tparam function view row → what is answered for it; it has the fields that `select` can name
-- @tparam[opt] table options `ignore`: unknown fields are ignored; `default`: the names for an empty `select`
-- @treturn ?table the page, nil when a field is unknown
-- @treturn ?table `total` and `next`, both nil for `start = -1`
function M.page(rows, params, columns, view, options)
  local ignore = options and options.ignore
  local conditions = conditions_of(params.filter, columns, ignore)
  local orders = orders_of(params.order, columns, ignore)
  local selection = selection_of(params.select, columns, ignore, options and options.default)
  if not conditions or not orders or not selection then
    return nil
  end
  local start = php.to_integer(params.start)
  -- An id is there once: what else there is to order by does not matter.
  local by_id = not orders[1] or orders[1].column.field == "id"
  local backwards = by_id and orders[1] and orders[1].descending
  local as_it_is = by_id and not backwards
  local found = passing(rows, conditions, start < 0 and as_it_is and PAGE or math.huge, as_it_is)
  if not by_id then
    sort(found, orders)
  elseif backwards then
    reverse(found)
  end
  local first = math.max(start, 0)
  local page = {}
  for i = first + 1, math.min(first + PAGE, #found) do
    local answer = view(found[i])
    for field in pairs(selection == "all" and {} or answer) do
      answer[field] = selection[field] and answer[field] or nil
    end
    page[#page + 1] = answer
  end
  if start < 0 then
    return page, {}
  end
  return page, { total = #found, next = first + PAGE < #found and first + PAGE or nil }
end

return M
