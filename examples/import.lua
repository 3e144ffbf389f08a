-- Creates the backlogs that a table lists: a CSV file with the columns groupId,createdBy. Shows how far it is, and at
-- the end what failed and why. Interrupted, killed or cut off, the same command goes on where it stopped.
--
--   lua5.4 examples/import.lua [FILE.csv]        (twenty groups of an emulated portal if not given)
--
-- With BITRIX24_WEBHOOK_URL in the environment it talks to that portal, otherwise to an emulated one that it starts for
-- itself and stops at its end.
local bitrix = require "bitrix"
local csv = require "bitrix.csv"
local progress = require "bitrix.progress"

local path = arg[1]

-- Something to import, and somewhere to import it: two of the groups are not there, and one has a backlog already.
local function make_example()
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write("groupId,createdBy\n")
  for id = 201, 222 do file:write(id, ",6\n") end
  file:close()
  return name
end

local portal
if not os.getenv("BITRIX24_WEBHOOK_URL") then
  local groups = {}
  for id = 201, 220 do groups[#groups + 1] = { id = id } end
  groups[5].backlog = { createdBy = 1 }
  portal = require("bitrix.portal").start{ groups = groups }
  bitrix.configure{ webhook = portal.webhook }
  print("No BITRIX24_WEBHOOK_URL: using an emulated portal at " .. portal.url)
elseif not path then
  print("Which table? lua5.4 examples/import.lua FILE.csv")
  os.exit(2)
end
local example = not path and make_example()
path = path or example

-- All rows once before anything is sent: a mistake in the last line is better known now, and how many there are.
local function count_rows()
  local reader, problem = csv.open(path)
  if not reader then error(problem, 0) end
  local count = 0
  while reader:row() do count = count + 1 end
  reader:close()
  return count
end

local failures = {}

local function import()
  local total, reader = count_rows(), csv.open(path)
  local bar = progress.new(io.stderr, progress.is_terminal(2))
  local summary = bitrix.bulk(function()
    local row, line = reader:row()
    return row and { row = row, line = line }
  end, function(batch, item)
    return batch.scrum.backlog_add(item.row)
  end, {
    journal = path .. ".journal",
    total = total,
    on_result = function(item, _, err)
      if err then failures[#failures + 1] = { line = item.line, groupId = item.row.groupId, why = tostring(err) } end
    end,
    on_progress = function(...) bar:update(...) end,
  })
  bar:finish()
  reader:close()
  return summary
end

local ok, outcome = pcall(import)
if ok then
  print(("%d rows: %d backlogs created, %d failed, %d unknown; %d requests in %.1f s"):format(outcome.done, outcome.ok,
    outcome.failed, outcome.unknown, outcome.requests, outcome.seconds))
  table.sort(failures, function(a, b) return a.line < b.line end)
  for _, failure in ipairs(failures) do
    print(("  line %d, group %s: %s"):format(failure.line, failure.groupId or "?", failure.why))
  end
else
  -- A string is a mistake: a table that cannot be read, a journal of another import. An error object may pass.
  io.stderr:write(tostring(outcome), "\n",
    type(outcome) == "table" and "The same command goes on where this stopped.\n" or "")
end

if example then
  os.remove(example)
  os.remove(example .. ".journal")
end
if portal then portal:stop() end
os.exit(ok and 0 or 1, true)
