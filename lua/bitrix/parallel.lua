--- Functions side by side: the same calls inside as ever, each of which lets the others go on while it waits.
-- Who runs them is the runtime's business: tasks in plain Lua, light threads in nginx.
local core = require "bitrix.core"
local runtime = require "bitrix.runtime"
local tasks = require "bitrix.runtime.tasks"

local _M = {}

local unpack = table.unpack or unpack
local MANY = 1000000

local function is_callable(f)
  if type(f) == "function" then return true end
  local meta = getmetatable(f)
  return type(meta) == "table" and meta.__call ~= nil
end

-- Raises an error that blames the caller of the function `name`, which is `level` calls away.
local function refuse(name, position, expected, got, level)
  error(("bad argument #%d to '%s' (%s expected, got %s)"):format(position, name, expected, type(got)), level)
end

-- What one function came to. `nil, error object` is how bitrix.safe fails: a failure here, too.
local function outcome_of(ok, ...)
  local first, second = ...
  if not ok then return { ok = false, error = first } end
  if first == nil and core.is_error(second) then return { ok = false, error = second } end
  return { ok = true, n = select("#", ...), ... }
end

local function run(functions, concurrency, level)
  local rt, problem = runtime.current()
  if not rt then error(problem, level) end
  if rt.name == "blocking" then rt = tasks end
  local outcomes = {}
  rt.all(functions, concurrency, function(index, ...) outcomes[index] = outcome_of(...) end)
  return outcomes
end

local function check_functions(name, ...)
  local functions = { ... }
  for i = 1, select("#", ...) do
    if not is_callable(functions[i]) then refuse(name, i, "function", functions[i], 4) end
    local f = functions[i]
    if type(f) ~= "function" then functions[i] = function() return f() end end
  end
  return functions
end

-- The first failure in the order of the functions, or nil. An error may be nil, too.
local function first_failure(outcomes, count)
  for i = 1, count do
    if not outcomes[i].ok then return outcomes[i] end
  end
end

--- Runs functions side by side and waits until all have ended.
-- @tparam function ... any number of them
-- @treturn table a list in the order of the functions: `{ ok = true, n = count, ... }` with what the function returned,
-- or `{ ok = false, error = e }` with what it raised, or returned behind nil as an error object
-- @raise a string when an argument is no function, or where nobody can wait
function _M.parallel_settled(...)
  local functions = check_functions("parallel_settled", ...)
  local outcomes = run(functions, MANY, 3)
  return outcomes
end

--- Starts a function that another event loop drives by `client:fd` and `client:pump`. It begins at the next `pump`.
-- Not for nginx, whose own loop does that: there, ngx.thread.spawn.
-- @tparam function f
-- @treturn table the task: `done` (boolean), and when it is done an outcome as of `parallel_settled`
-- @raise a string when the argument is no function
function _M.spawn(f)
  if not is_callable(f) then refuse("spawn", 1, "function", f, 3) end
  local task = { done = false }
  tasks.spawn(function() return f() end, function(...)
    for k, v in pairs(outcome_of(...)) do task[k] = v end
    task.done = true
  end)
  return task
end

--- The same for a face: `parallel` and `map`.
-- @tparam function fail what the face does with an error object: raises it, or returns nil and it
function _M.face(fail)
  local face = { parallel_settled = _M.parallel_settled }

  local function settle(outcomes, count)
    local failure = first_failure(outcomes, count)
    if not failure then return true end
    local problem = failure.error
    if core.is_error(problem) then return false, problem end
    error(problem, 0)
  end

  --- Runs functions side by side, waits until all have ended, and returns the first result of each in their order.
  -- @tparam function ... any number of them
  -- @return one value for each function
  -- @raise the error of the first (in their order) that failed, after all have ended; with `bitrix.safe` an error
  -- object is returned behind nil instead
  function face.parallel(...)
    local functions = check_functions("parallel", ...)
    local outcomes = run(functions, MANY, 3)
    local ok, problem = settle(outcomes, #functions)
    if not ok then return fail(problem) end
    local results = {}
    for i = 1, #functions do results[i] = outcomes[i][1] end
    return unpack(results, 1, #functions)
  end

  -- `level` is that of the user's line, for errors about arguments.
  function face.map_at(level, items, f, options)
    if type(items) ~= "table" then refuse("map", 1, "table", items, level + 1) end
    if not is_callable(f) then refuse("map", 2, "function", f, level + 1) end
    if options ~= nil and type(options) ~= "table" then refuse("map", 3, "table", options, level + 1) end
    local concurrency = 10
    for name, value in pairs(options or {}) do
      if name ~= "concurrency" then
        error(("bad argument #3 to 'map' (unknown option '%s')"):format(tostring(name)), level)
      end
      if type(value) ~= "number" or value < 1 or value % 1 ~= 0 then
        error(("bad argument #3 to 'map' (option 'concurrency': a positive integer expected, got %s)"):format(
          tostring(value)), level)
      end
      concurrency = value
    end
    local functions = {}
    for i, item in ipairs(items) do functions[i] = function() return f(item, i) end end
    local outcomes = run(functions, concurrency, level + 1)
    local ok, problem = settle(outcomes, #functions)
    if not ok then return fail(problem) end
    local results = {}
    for i = 1, #functions do
      local value = outcomes[i][1]
      if value == nil then value = core.null end
      results[i] = value
    end
    return results
  end

  --- Runs a function for each item of a list, so many at once, and returns the results in the order of the items.
  -- @tparam table items a list
  -- @tparam function f f(item, index)
  -- @tparam[opt] table options `concurrency` (integer, 10)
  -- @treturn table a list of the first result of each; `bitrix.null` where that was nil
  -- @raise as `parallel`
  function face.map(items, f, options)
    local results, problem = face.map_at(3, items, f, options)
    return results, problem
  end

  return face
end

return _M
