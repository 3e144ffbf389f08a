--- What a long run has done, written down so that it can go on after it was killed. A line each, appended and on the
-- disk before anybody is told:
--
--    head  place
--    sent  ordinal:fingerprint ...      is about to be sent
--    back  ordinal ...                  was certainly not executed
--    ok    ordinal fingerprint result   \  what it came to, as JSON
--    bad   ordinal fingerprint error    /
--
-- Each with a checksum behind it: a line that the end of the process or of the disk cut off counts as not written.
-- Knows nothing of what the items are.
local core = require "bitrix.core"

local _M = {}

local VERSION = "bitrix journal 1"

local Journal = {}
Journal.__index = Journal

local function sealed(...)
  local text = table.concat({ ... }, "\t")
  return text .. "\t" .. core.fingerprint(text)
end

-- The fields of a line; nothing for one that is not whole.
local function fields_of(line)
  local text, checksum = line:match("^(.*)\t(%x+)$")
  if not text or core.fingerprint(text) ~= checksum then return nil end
  return text:match("^([^\t]*)\t?([^\t]*)\t?([^\t]*)\t?([^\t]*)")
end

local take = {}

function take.head(self, _, place)
  if place ~= self.place then return ("it is of another portal, %s"):format(place) end
end

function take.sent(self, _, list)
  for ordinal, fingerprint in list:gmatch("(%d+):(%x+)") do
    self.sent[tonumber(ordinal)] = fingerprint
  end
end

function take.back(self, _, list)
  for ordinal in list:gmatch("%d+") do self.sent[tonumber(ordinal)] = nil end
end

function take.ok(self, offset, ordinal)
  self.outcomes[tonumber(ordinal)] = offset
  self.sent[tonumber(ordinal)] = nil
end

take.bad = take.ok

-- Reads what is there; nil, or what is wrong with it.
local function load(self)
  local offset, count, problem = 0, 0, nil
  for line in self.file:lines() do
    local kind, first, second = fields_of(line)
    if count == 0 and #line > 0 and kind ~= "head" and not line:find("^head\t") then return "it is no journal" end
    if kind == "head" then
      if first ~= VERSION then return "it is of another version" end
      problem = take.head(self, offset, second)
    elseif kind and take[kind] then
      problem = take[kind](self, offset, first)
    end
    if problem then return problem end
    offset, count = offset + #line + 1, count + 1
    self.headed = self.headed or kind == "head"
  end
  -- A line that was cut off must not swallow the next.
  self.torn = offset > 0 and self.file:seek("end") < offset
end

--- Opens a journal, and makes it if it is not there. While it is open no other program can open it.
-- @tparam string path
-- @tparam string place of the portal; a journal of another one is refused
-- @treturn[1] table the journal
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function _M.open(path, place)
  local log, problem = core.append(path)
  if not log then return nil, problem end
  local file
  file, problem = io.open(path, "rb")
  if not file then
    log:close()
    return nil, problem
  end
  local self = setmetatable({ path = path, place = place, log = log, file = file, sent = {}, outcomes = {} }, Journal)
  problem = load(self)
  if not problem and self.torn then
    local _, why = log:write("")
    problem = why
  end
  if not problem and not self.headed then
    local _, why = self:write{ sealed("head", VERSION, place) }
    problem = why
  end
  if problem then
    self:close()
    return nil, path .. ": " .. problem
  end
  return self
end

--- Appends lines and waits until they are on the disk.
-- @return true; or nil, message
function Journal:write(lines)
  local ok, problem = self.log:write(table.concat(lines, "\n"))
  if ok then ok, problem = self.log:sync() end
  return ok, problem
end

--- What is known of an item.
-- @tparam integer ordinal its place among the items, from 1
-- @treturn[1] nil it was never sent, or certainly not executed
-- @treturn[2] string "sent": and nobody knows what came of it; "done"
-- @treturn[2] string the fingerprint it had
function Journal:state(ordinal)
  if self.outcomes[ordinal] then
    local _, fingerprint = self:outcome(ordinal)
    return "done", fingerprint
  end
  if self.sent[ordinal] then return "sent", self.sent[ordinal] end
end

--- What an item came to that is "done".
-- @treturn boolean whether it went well
-- @treturn string the fingerprint it had
-- @return its result; or a table of what is to be said of the failure
function Journal:outcome(ordinal)
  self.file:seek("set", self.outcomes[ordinal])
  local kind, _, fingerprint, text = fields_of(self.file:read("*l"))
  local value = core.decode(text)
  return kind == "ok", fingerprint, value[1]
end

--- Writes that items are about to be sent.
-- @tparam table items list of { ordinal =, fingerprint = }
-- @return true; or nil, message
function Journal:write_sent(items)
  local list = {}
  for i, item in ipairs(items) do list[i] = ("%d:%s"):format(item.ordinal, item.fingerprint) end
  return #list == 0 or self:write{ sealed("sent", table.concat(list, " ")) }
end

--- Writes that items were not executed.
-- @return true; or nil, message
function Journal:write_back(items)
  local list = {}
  for i, item in ipairs(items) do list[i] = ("%d"):format(item.ordinal) end
  return #list == 0 or self:write{ sealed("back", table.concat(list, " ")) }
end

--- Writes outcomes.
-- @tparam table outcomes list of { ordinal =, fingerprint =, ok =, value = }
-- @return true; or nil, message
function Journal:write_outcomes(outcomes)
  local lines = {}
  for i, outcome in ipairs(outcomes) do
    -- In a list: a bare null or text would not be read back.
    local text, problem = core.encode{ outcome.value }
    if not text then return nil, problem end
    lines[i] = sealed(outcome.ok and "ok" or "bad", ("%d"):format(outcome.ordinal), outcome.fingerprint, text)
  end
  return #lines == 0 or self:write(lines)
end

--- Closes it, so that another program can open it. May be called again.
function Journal:close()
  if self.log then
    self.log:close()
    self.file:close()
    self.log = nil
  end
end

return _M
