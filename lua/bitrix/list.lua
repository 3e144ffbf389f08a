--- Walks the rows of any list method, page by page, and never ends silently before the last row.
--
--    for task in client:list("tasks.task.list", { filter = { GROUP_ID = 125 } }, { fast = true }) do ... end
--
-- Decides where the next page begins and whether what came fits; how a request is sent is call.perform's business.
-- @module bitrix.list
local batch = require "bitrix.batch"
local call = require "bitrix.call"

local _M = {}

-- Where the rows are in the result, how their id is called in `filter` and `order`, and how in a row.
local KNOWN = {
  ["tasks.api.scrum.epic.list"] = { id = "ID", row_id = "id" },
  ["tasks.api.scrum.sprint.list"] = { id = "ID", row_id = "id" },
  ["tasks.task.list"] = { rows = "tasks", id = "ID", row_id = "id" },
  ["socialnetwork.api.workgroup.list"] = { rows = "workgroups", id = "ID", row_id = "id" },
  ["sonet_group.get"] = { id = "ID", row_id = "ID" },
  ["crm.item.list"] = { rows = "items", id = "id", row_id = "id" },
}

local PAGE = 50
local CHAIN = 50 -- pages in one batch
local MAX_PAGES = 100000

local function what_is_known(method)
  local name = method:lower():gsub("%.json$", "")
  return KNOWN[name] or name:find("^crm%.%a+%.list$") and { id = "ID", row_id = "ID" } or {}
end

local Rows = {}
Rows.__index = Rows
Rows.__name = "bitrix.rows"

function Rows:__tostring()
  return ("bitrix.rows (%s, %d read)"):format(self.method, self.count)
end

-- A copy of the first level; of `filter`, `order`, `select` as well, which are written to.
local function copy(source)
  local result = {}
  for key, value in pairs(source or {}) do result[key] = value end
  return result
end

-- The name of a parameter in the spelling that the caller used: the portal finds FILTER and filter.
local function spelling(params, name)
  if params[name] ~= nil then return name end
  for key in pairs(params) do
    if type(key) == "string" and key:lower() == name then return key end
  end
  return name
end

-- ---- what goes wrong ----

local function failed(self, err)
  err.read, err.last_id = self.count, self.last_id
  self.error, self.pages, self.fetch = err, {}, nil
  return self._finish(nil, err)
end

local function broken(self, reason, message, ...)
  local err = self._state.session:failure(self.method, {
    kind = "protocol", reason = reason, executed = "yes", message = message:format(...),
  })
  err.attempts = self.attempts or {}
  return err
end

-- ---- a page ----

-- The rows in a result; or nil, error object.
local function rows_in(self, result)
  local rows = result
  if self.rows then
    rows = type(result) == "table" and result[self.rows] or nil
    if rows == nil and type(result) == "table" and next(result) == nil then return {} end
  elseif type(result) == "table" and #result == 0 and next(result) ~= nil then
    -- A map around the list, if there is only one thing in it that can be the list.
    local name
    for key, value in pairs(result) do
      if type(value) == "table" then
        if name then
          return nil, broken(self, "bad_shape", "the rows can be in '%s' or '%s': say which by the option 'rows'",
            name, key)
        end
        name = key
      end
    end
    self.rows = name
    rows = name and result[name]
  end
  if type(rows) ~= "table" or #rows == 0 and next(rows) ~= nil then
    local place = self.rows and "'" .. self.rows .. "' of the result" or "the result"
    return nil, broken(self, "bad_shape", "there is no list in %s", place)
  end
  return rows
end

local function send(self, exchange, options)
  self.requests = self.requests + 1
  local result, more = call.perform(self._state, exchange, nil, options)
  if type(more) == "string" then error(more, 0) end -- nobody can wait here
  self.attempts = more.attempts
  return result, more
end

-- One page by a plain call: its rows, info; or nil, error object.
local function plain_page(self, params)
  local exchange = self.first
  self.first = nil
  if not exchange then
    local problem
    exchange, problem = self._state.session:call(self.method, params)
    if not exchange then error(problem, 0) end
  end
  local result, more = send(self, exchange)
  if result == nil then return nil, more end
  local rows, problem = rows_in(self, result)
  return rows, rows and more or problem
end

-- ---- by `next` ----

-- The count that the portal says must be the count that it sent. Rows that come and go meanwhile change both.
local function check_count(self, from)
  local total = self.total
  if total and total ~= from + self.arrived then
    return broken(self, "count_mismatch", "the portal counts %d rows, and sent %d", total, from + self.arrived)
  end
end

local function walk_by_next(self, params)
  local key = spelling(params, "start")
  local from = tonumber(params[key]) or 0
  local start = from
  params[key] = start
  function self.fetch()
    params[key] = start
    local rows, more = plain_page(self, params)
    if not rows then return nil, more end
    self.arrived = self.arrived + #rows
    local total, following = tonumber(more.total), tonumber(more.next)
    -- 0 beside rows means "not counted".
    if total and (total > 0 or not self.total) then self.total = total end
    if self.total == 0 and self.arrived > 0 then self.total = nil end
    if not following then
      self.fetch = nil
      local problem = check_count(self, from)
      if problem then
        self.pages[1] = rows
        return nil, problem
      end
    elseif #rows == 0 or following <= start then
      self.pages[1] = rows
      return nil, broken(self, "cursor_stalled", "after the page from %d the portal says that the next is from %d",
        start, following)
    else
      start = following
    end
    return { rows }
  end
end

-- ---- fast: by the last id ----

local function id_of(self, row)
  local value = type(row) == "table" and self.row_id and row[self.row_id]
  return tonumber(value or nil), value
end

-- The name of the id in the rows, where nobody said it.
local function find_row_id(self, row)
  if self.row_id or type(row) ~= "table" then return end
  for _, name in ipairs{ self.id, self.id:lower(), self.id:upper() } do
    if row[name] ~= nil then self.row_id = name end
  end
  self.row_id = self.row_id or self.id
end

-- A row must have an id above all before it: else a page came twice, or some never will.
local function check_row(self, row)
  local id, value = id_of(self, row)
  if not id then
    return broken(self, "cursor_stalled",
      "a row has no number in '%s' (%s) to go on from: see the options 'id' and 'row_id'",
      self.row_id or self.id, value == nil and "nothing" or type(value) == "string" and "a text" or type(value))
  elseif id <= self.last_id then
    return broken(self, "cursor_stalled",
      "a row's '%s' is %.0f, after %.0f: the portal does not follow the filter '>%s' or the order",
      self.row_id, id, self.last_id, self.id)
  end
  self.last_id = id
end

-- Commands for as many pages as a batch carries; each begins behind the last row of the one before.
local function chain_of(self, params, filter)
  local commands = {}
  local key = ">" .. self.id
  for i = 1, CHAIN do
    local previous = commands[i - 1]
    if previous then
      local last = self.page - 1
      filter[key] = self.rows and previous:ref(self.rows, last, self.row_id) or previous:ref(last, self.row_id)
    end
    local command, problem = batch.new_command(self._state.session, "p" .. i, "command_call", self.method, params)
    if not command then error(problem, 0) end
    commands[i] = command
  end
  return commands
end

-- The pages of a chain up to the first that is not full; or the pages before what went wrong, and the error object.
local function pages_of(self, commands)
  local pages = {}
  for _, command in ipairs(commands) do
    if command.status ~= "ok" then return pages, command.error end
    local rows, problem = rows_in(self, command.result)
    if not rows then return pages, problem end
    pages[#pages + 1] = rows
    command.result = nil
    -- What stands behind a page that is not full had nothing to begin from.
    if #rows < self.page then
      self.fetch = nil
      break
    end
  end
  return pages
end

local function walk_by_id(self, params)
  local filter_key, order_key = spelling(params, "filter"), spelling(params, "order")
  local select_key = spelling(params, "select")
  local filter = copy(params[filter_key])
  local key = ">" .. self.id
  self.last_id = self.after or tonumber(filter[key]) or 0
  filter[key] = self.last_id
  params[filter_key], params[order_key], params.start = filter, { [self.id] = "ASC" }, -1
  if type(params[select_key]) == "table" and next(params[select_key]) ~= nil then
    local select, there = copy(params[select_key]), false
    for _, name in pairs(select) do there = there or name == self.id or name == "*" end
    if not there then select[#select + 1] = self.id end
    params[select_key] = select
  end
  function self.fetch()
    filter[key] = self.last_id
    if self.requests == 0 then
      local rows, problem = plain_page(self, params)
      if not rows then return nil, problem end
      find_row_id(self, rows[1])
      self.page = math.max(self.page, #rows)
      if #rows < self.page then self.fetch = nil end
      return { rows }
    end
    local commands = chain_of(self, params, filter)
    self.requests = self.requests + 1
    local err = batch.send(self._state, commands, true)
    self.attempts = err and err.attempts or commands[1].info and commands[1].info.attempts
    if err then return nil, commands[1].error end
    local pages, problem = pages_of(self, commands)
    -- The rows before the failure are good.
    if problem then self.pages, self.position = pages, 1 end
    return not problem and pages or nil, problem
  end
end

-- ---- the iterator ----

local function page_cap(self)
  return broken(self, "page_cap", "more than %d pages: see the option 'max_pages'", self.max_pages)
end

-- Makes sure that there is a page at hand, unless the end is reached.
local function next_page(self)
  while not self.pages[self.position] do
    if self.late then return self.late end
    if not self.fetch then return nil end
    if self.page_count >= self.max_pages then return page_cap(self) end
    self.pages, self.position = {}, 1
    local pages, problem = self.fetch()
    if pages then self.pages = pages else self.late = problem end
    self.page_count = self.page_count + #self.pages
  end
end

--- The next row; nil after the last.
function Rows:__call()
  if self.error then return self._finish(nil, self.error) end
  while true do
    local problem = next_page(self)
    if problem then return failed(self, problem) end
    local page = self.pages[self.position]
    if not page then return nil end
    local row = page[self.at]
    if row ~= nil then
      page[self.at] = false -- flat memory, also while a page is walked
      self.at = self.at + 1
      problem = self.fast and check_row(self, row)
      if problem then return failed(self, problem) end
      self.count = self.count + 1
      return row
    end
    self.pages[self.position] = false
    self.position, self.at = self.position + 1, 1
  end
end

local OPTIONS = {
  fast = "boolean", rows = "string", id = "string", row_id = "string", after = "number", page = "number",
  max_pages = "number",
}

local function bad(number, text, ...)
  return nil, ("bad argument #%d to 'list' (%s)"):format(number, text:format(...))
end

--- Walks the rows of a list method.
-- @function client:list
-- @tparam string method as in the reference, "tasks.task.list"
-- @tparam[opt] table params as in the reference: `filter`, `select`, `order` and others
-- @tparam[opt] table options
--
-- - `fast` (boolean, false) by the ids, ascending, without counting: 2,500 rows a request, whatever the size of the
-- list.   The order is then that of the ids, and `order` and `start` cannot be given
-- - `rows` (string) the field of the result that the rows are in; not needed for known methods, nor where only one can
-- be
-- - `id` (string, "ID") what the id is called in `filter` and `order`; known for the scrum methods, tasks.task.list,
--   socialnetwork.api.workgroup.list, sonet_group.get, crm.item.list and crm.*.list
-- - `row_id` (string) what it is called in a row (default: as `id`; where that is not given, "ID" or "id", what the
-- first row has)
-- - `after` (number, 0) fast: begin behind this id, for example an error's `last_id`
-- - `page` (number, 50) fast: rows a page; a page with fewer is the last one
-- - `max_pages` (number, 100000) more is an error
-- @return an iterator for a `for` loop: `count` (rows so far), `requests`, `last_id` (fast), `total` (what the portal
-- counts), `error`. In `bitrix` it raises an error object, in `bitrix.safe` it returns nil and the error object, which
-- stays in `error`. Besides those of a call the reasons `cursor_stalled` (pages repeat, rows without ids),
-- `count_mismatch`, `page_cap`; each error has `read`, the rows that came before it, and `last_id`
-- @raise a string when an argument is wrong
function _M.new(state, method, params, options)
  if type(method) ~= "string" then return bad(1, "a method's name expected, got %s", type(method)) end
  if params ~= nil and type(params) ~= "table" then return bad(2, "table expected, got %s", type(params)) end
  local problem = batch.check_options(options, OPTIONS)
  if problem then return bad(3, "%s", problem) end
  options = options or {}
  local known = what_is_known(method)
  local self = setmetatable({
    _state = state, _finish = state.finish, method = method, count = 0, arrived = 0, requests = 0, page_count = 0,
    pages = {}, position = 1, at = 1, fast = options.fast or false, rows = options.rows or known.rows,
    id = options.id or known.id or "ID", row_id = options.row_id or options.id or known.row_id, after = options.after,
    page = options.page or PAGE, max_pages = options.max_pages or MAX_PAGES,
  }, Rows)
  params = copy(params)
  if self.fast then
    for _, name in ipairs{ "order", "start" } do
      local key = spelling(params, name)
      if params[key] ~= nil then return bad(2, "field '%s': the fast way has its own", key) end
    end
    walk_by_id(self, params)
  else
    local start = params[spelling(params, "start")]
    if (tonumber(start) or start and -1 or 0) < 0 then
      return bad(2, "field '%s': a number from 0 expected, got %s", spelling(params, "start"), tostring(start))
    end
    walk_by_next(self, params)
  end
  -- Made here, so that a wrong argument is found where it was given.
  self.first, problem = state.session:call(method, params)
  if not self.first then return nil, (problem:gsub("to 'call'", "to 'list'")) end
  return self
end

return _M
