--- Reads tables in CSV (RFC 4180), a record at a time: quoted fields with commas, quotes and line ends in them; LF or
-- CRLF; a byte order mark; semicolons where the first line has no comma. Knows nothing of what is in the tables.
local _M = {}

local Reader = {}
Reader.__index = Reader

local function fail(self, line, text) error(("%s:%d: %s"):format(self.path, line, text), 0) end

-- The next line without its end, and its end; nil after the last.
local function next_line(self)
  local line = self.file:read("*l")
  if not line then return nil end
  self.line = self.line + 1
  if line:sub(-1) == "\r" then return line:sub(1, -2), "\r\n" end
  return line, "\n"
end

-- A quoted field that begins at a position: its value, and the position behind it, in what may be a later line.
local function quoted(self, line, ending, position)
  local from, parts = self.line, {}
  position = position + 1
  while true do
    local quote = line:find('"', position, true)
    if not quote then
      parts[#parts + 1] = line:sub(position) .. ending
      line, ending = next_line(self)
      if not line then fail(self, from, "a quote that is not closed") end
      position = 1
    elseif line:sub(quote + 1, quote + 1) == '"' then
      parts[#parts + 1] = line:sub(position, quote)
      position = quote + 2
    else
      parts[#parts + 1] = line:sub(position, quote - 1)
      return table.concat(parts), line, ending, quote + 1
    end
  end
end

--- The next record. Empty lines are none.
-- @treturn ?{string,...} its fields; nil after the last
-- @treturn integer the line that it begins in
-- @raise a string "path:line: what is wrong"
function Reader:read()
  local line, ending
  repeat
    line, ending = next_line(self)
  until not line or line ~= ""
  if not line then return nil end
  local from, fields, position = self.line, {}, 1
  if from == 1 then line = line:gsub("^\239\187\191", "") end
  self.separator = self.separator or (not line:find(",", 1, true) and line:find(";", 1, true) and ";" or ",")
  while true do
    if line:sub(position, position) == '"' then
      fields[#fields + 1], line, ending, position = quoted(self, line, ending, position)
      local following = line:sub(position, position)
      if following ~= "" and following ~= self.separator then fail(self, self.line, "text behind a closing quote") end
    else
      local stop = line:find(self.separator, position, true) or #line + 1
      fields[#fields + 1] = line:sub(position, stop - 1)
      position = stop
    end
    if position > #line then return fields, from end
    position = position + 1
  end
end

--- Reads on, record by record, with the names of the first one.
-- @treturn ?table name → text; empty fields are absent. nil after the last
-- @treturn integer the line
function Reader:row()
  local fields, line = self:read()
  if not fields then return nil end
  if #fields > #self.names then fail(self, line, ("%d fields, and %d names"):format(#fields, #self.names)) end
  local row = {}
  for i, name in ipairs(self.names) do
    if fields[i] ~= nil and fields[i] ~= "" then row[name] = fields[i] end
  end
  return row, line
end

function Reader:close() self.file:close() end

--- Opens a table whose first record has the names of its columns.
-- @tparam string path
-- @treturn[1] table a reader: `names`, `read`, `row`, `close`
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function _M.open(path)
  local file, problem = io.open(path, "rb")
  if not file then return nil, problem end
  local self = setmetatable({ path = path, file = file, line = 0 }, Reader)
  local ok, names = pcall(self.read, self)
  if ok and names then
    for i, name in ipairs(names) do names[i] = name:match("^%s*(.-)%s*$") end
    self.names = names
    return self
  end
  file:close()
  return nil, ok and path .. ": no names in the first line" or names
end

return _M
