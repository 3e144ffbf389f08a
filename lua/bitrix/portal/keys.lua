-- Tables that know the order in which their keys came, which decides how a batch runs and how a list is sorted.
-- The order is a list in the field `__jsonorder` of the metatable: dkjson's name, so that encoding keeps it, too.

local M = {}

--- Gives a table an order.
-- @tparam table object
-- @tparam ?table order a list of keys; may name some twice, and some that are not there
-- @treturn table the object
function M.set_order(object, order)
  return setmetatable(object, { __jsonorder = order })
end

local function order_of(object)
  local meta = getmetatable(object)
  return meta and meta.__jsonorder
end

--- Puts a value, at the end of the order if the key is new. A table without an order gets none.
function M.put(object, key, value)
  local order = order_of(object)
  if order and object[key] == nil then
    order[#order + 1] = key
  end
  object[key] = value
end

--- The keys of a table, each once: those with an order in it, the positions of a list, then the others.
-- @treturn table a list
function M.of(object)
  local list, seen = {}, {}
  local function add(key)
    if object[key] ~= nil and not seen[key] then
      seen[key] = true
      list[#list + 1] = key
    end
  end
  for _, key in ipairs(order_of(object) or {}) do
    add(key)
  end
  for position = 1, #object do
    add(position)
  end
  for key in pairs(object) do
    add(key)
  end
  return list
end

return M
