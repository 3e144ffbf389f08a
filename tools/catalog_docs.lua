--- Writes the parts of the documentation that the catalog decides: method tables, annotations, LDoc, error reasons.
--
--   lua5.4 tools/catalog_docs.lua          brings the files up to date (`make docs`)
--
-- spec/docs_spec.lua requires this file and fails when one of them is not. Needs the built module on LUA_CPATH.
local core = require "bitrix.core"

local _M = {}

-- What the catalog does not know: what a method does, what comes back ({ Lua type, in words }), and the reasons of its
-- refusals in the order in which the portal checks.
local BACKLOG = { "bitrix.Backlog", "the backlog" }
local EPIC = { "bitrix.Epic", "the epic" }
local SPRINT = { "bitrix.Sprint", "the sprint" }
local FIELDS = { "bitrix.Fields", "`{ fields = { name = { type = ... } } }`" }
local NOTHING = { "table", "`{}`" }
local TRUE = { "true", "`true`" }
local METHODS = {
  backlog_add = { "Creates the backlog of a scrum group.", BACKLOG,
    "group_id_not_found access_denied backlog_already_added created_by_not_found modified_by_not_found "
      .. "unable_to_add_backlog" },
  backlog_get = { "Reads the backlog of a group.", BACKLOG,
    "group_id_not_found backlog_not_found access_denied" },
  backlog_update = { "Changes a backlog.", BACKLOG,
    "backlog_id_not_found backlog_not_found access_denied backlog_move_forbidden target_group_has_backlog "
      .. "created_by_not_found modified_by_not_found unable_to_update_backlog" },
  backlog_delete = { "Deletes a backlog without items.", NOTHING,
    "backlog_id_not_found backlog_not_found access_denied backlog_remove_forbidden backlog_not_deleted" },
  backlog_get_fields = { "Describes the fields of a backlog.", FIELDS },
  epic_add = { "Creates an epic.", EPIC,
    "created_by_not_found group_id_not_found name_not_found access_denied epic_not_created "
      .. "epic_files_not_attached" },
  epic_get = { "Reads an epic.", EPIC,
    "epic_not_found access_denied" },
  epic_update = { "Changes an epic.", EPIC,
    "epic_not_found access_denied created_by_not_found modified_by_not_found epic_not_updated" },
  epic_delete = { "Deletes an epic.", NOTHING,
    "epic_not_found access_denied epic_not_deleted" },
  epic_list = { "Lists epics, 50 a page.", { "bitrix.Epic[]", "a list of epics" },
    "could_not_load_list" },
  epic_get_fields = { "Describes the fields of an epic.", FIELDS },
  sprint_add = { "Creates a sprint.", SPRINT,
    "group_id_not_found access_denied created_by_not_found modified_by_not_found incorrect_date_start "
      .. "incorrect_date_end incorrect_sprint_status two_active_sprints unable_to_add_sprint" },
  sprint_get = { "Reads a sprint.", SPRINT,
    "sprint_id_not_found sprint_not_found access_denied" },
  sprint_update = { "Changes a sprint.", SPRINT,
    "sprint_id_not_found sprint_not_found access_denied sprint_move_forbidden created_by_not_found "
      .. "modified_by_not_found incorrect_date_start incorrect_date_end incorrect_sprint_status "
      .. "two_active_sprints sprint_not_updated" },
  sprint_delete = { "Deletes a sprint; its tasks move to the backlog.", NOTHING,
    "sprint_not_found access_denied sprint_remove_forbidden" },
  sprint_start = { "Starts a planned sprint.", SPRINT,
    "sprint_id_not_found sprint_not_found sprint_must_be_planned access_denied unable_to_start_sprint" },
  sprint_complete = { "Completes a group's active sprint; unfinished tasks move to the backlog.", SPRINT,
    "group_id_not_found sprint_not_found access_denied" },
  sprint_list = { "Lists sprints, 50 a page.", { "bitrix.Sprint[]", "a list of sprints" },
    "could_not_load_list" },
  sprint_get_fields = { "Describes the fields of a sprint.", FIELDS },
  kanban_add_stage = { "Adds a stage to a sprint's kanban.", { "integer", "the stage's id" },
    "sprint_id_not_found sprint_not_found access_denied incorrect_name_format" },
  kanban_get_stages = { "Lists the stages of a sprint's kanban.", { "bitrix.Stage[]", "a list of stages" },
    "sprint_id_not_found sprint_not_found access_denied" },
  kanban_update_stage = { "Changes a stage.", TRUE,
    "stage_id_not_found stage_not_found access_denied incorrect_sprint_id" },
  kanban_delete_stage = { "Deletes a stage without tasks.", TRUE,
    "stage_id_not_found stage_not_found access_denied stage_has_tasks" },
  kanban_add_task = { "Puts a task on a stage.", TRUE,
    "sprint_id_not_found task_id_not_found stage_id_not_found sprint_not_found access_denied "
      .. "stage_not_found task_not_in_group" },
  kanban_delete_task = { "Takes a task off the kanban.", TRUE,
    "sprint_id_not_found task_id_not_found sprint_not_found access_denied task_not_in_group" },
  kanban_get_fields = { "Describes the fields of a stage.", FIELDS },
  task_get = { "Reads a task's scrum fields.", { "bitrix.ScrumTask", "the fields" },
    "task_id_not_found task_not_found access_denied" },
  task_update = { "Changes a task's scrum fields.", TRUE,
    "task_id_not_found access_denied entity_id_not_found item_not_created epic_not_found "
      .. "created_by_not_found modified_by_not_found unable_to_update_task" },
  task_get_fields = { "Describes a task's scrum fields.", FIELDS },
}

local TYPES = { integer = "bitrix.Id", string = "string|number", date = "bitrix.Date", table = "table" }

local function described(row)
  return METHODS[row.name] or error("tools/catalog_docs.lua does not describe " .. row.name)
end

local function choices(param, quote, separator)
  local list = {}
  for i, choice in ipairs(param.choices) do list[i] = quote .. choice .. quote end
  return table.concat(list, separator)
end

--- library/bitrix.lua: a class for each method's parameters, and the method.
function _M.annotations()
  local out = {}
  local function line(...) out[#out + 1] = string.format(...) end
  for _, row in ipairs(core.methods()) do
    local about, class = described(row), ("bitrix.%s.%s.params"):format(row.space, row.name)
    if #row.params > 0 then
      line("---@class %s", class)
      for _, param in ipairs(row.params) do
        local type = param.choices and choices(param, '"', "|") or TYPES[param.type]
        line("---@field %s%s %s", param.name, param.required and "" or "?", type)
      end
      line("")
    end
    line("---%s", about[1])
    line("---Reference: %s", row.method)
    local optional = true
    for _, param in ipairs(row.params) do optional = optional and not param.required end
    if #row.params > 0 then line("---@param params%s %s", optional and "?" or "", class) end
    line("---@return %s result", about[2][1])
    line("---@return bitrix.Info info")
    line("function %s.%s(%s) end", row.space, row.name, #row.params > 0 and "params" or "")
    line("")
  end
  return table.concat(out, "\n")
end

--- lua/bitrix/init.lua: LDoc for each method.
function _M.ldoc()
  local out = {}
  local function line(...) out[#out + 1] = "-- " .. string.format(...) end
  local words = { integer = { "integer", "or a string of digits" }, string = { "string", "or a number, sent as a string" },
    date = { "string", "ISO 8601, or a number: seconds since 1970" }, table = { "table", "as in the reference" } }
  for _, row in ipairs(core.methods()) do
    local about = described(row)
    out[#out + 1] = "--- " .. about[1]
    line("Reference: %s", row.method)
    line("@function %s.%s", row.space, row.name)
    if #row.params > 0 then line("@tparam table params") end
    for _, param in ipairs(row.params) do
      local word = param.choices and { "string", choices(param, '"', ", ") } or words[param.type]
      line("@tparam%s %s params.%s %s", param.required and "" or "[opt]", word[1], param.name, word[2])
    end
    line("@treturn %s %s", about[2][1]:find("^bitrix") and "table" or about[2][1], about[2][2])
    line("@treturn table info, as for `call`")
    if about[3] then
      local text = "@raise an error object, as for `call`; reasons of its own:"
      for reason in about[3]:gmatch("%S+") do
        local separator = text:find(":$") and " " or ", "
        if #text + #separator + #reason > 112 then
          line("%s,", text)
          text, separator = "  ", ""
        end
        text = text .. separator .. reason
      end
      line("%s", text)
    else
      line("@raise an error object, as for `call`")
    end
    out[#out + 1] = ""
  end
  return table.concat(out, "\n")
end

--- Every reason that is said to belong to a method: { method = list }.
function _M.reasons_of_methods()
  local all = {}
  for name, about in pairs(METHODS) do
    all[name] = {}
    for reason in (about[3] or ""):gmatch("%S+") do table.insert(all[name], reason) end
  end
  return all
end

--- doc/scrum.md: one table of the methods.
function _M.methods()
  local out = { "| method | parameters (`*` required) | returns | |", "|---|---|---|---|" }
  for _, row in ipairs(core.methods()) do
    local about, params = described(row), {}
    for i, param in ipairs(row.params) do
      local text = ("`%s`%s"):format(param.name, param.required and "*" or "")
      if param.choices then
        text = text .. " " .. choices(param, "`", "/")
      elseif param.type ~= "integer" then
        text = text .. " " .. param.type
      end
      params[i] = text
    end
    out[#out + 1] = ("| `%s` | %s | %s | %s |"):format(row.name, table.concat(params, ", "), about[2][2], about[1])
  end
  return table.concat(out, "\n") .. "\n"
end

--- doc/errors.md: what of the portal's codes and texts becomes which reason.
function _M.reasons()
  local out = { "| kind | reason | the portal's code or text | executed |", "|---|---|---|---|" }
  local order, keys = {}, {}
  for _, row in ipairs(core.reasons()) do
    local id = row.kind .. "\0" .. row.reason .. "\0" .. row.executed
    if not keys[id] then
      keys[id] = {}
      order[#order + 1] = { id = id, row = row }
    end
    table.insert(keys[id], "`" .. row.key .. "`")
  end
  for _, entry in ipairs(order) do
    local row = entry.row
    out[#out + 1] = ("| `%s` | `%s` | %s | `%s` |"):format(row.kind, row.reason, table.concat(keys[entry.id], ", "), row.executed)
  end
  return table.concat(out, "\n") .. "\n"
end

--- Which part of which file is whose.
_M.parts = {
  { file = "library/bitrix.lua", comment = { "-- ", "" }, write = _M.annotations },
  { file = "lua/bitrix/init.lua", comment = { "-- ", "" }, write = _M.ldoc },
  { file = "doc/scrum.md", comment = { "<!-- ", " -->" }, write = _M.methods },
  { file = "doc/errors.md", comment = { "<!-- ", " -->" }, write = _M.reasons },
}

--- The text of a file with its part written anew.
-- @tparam string text the file
-- @tparam table part one of `parts`
function _M.renew(text, part)
  local first = part.comment[1] .. "begin: written by tools/catalog_docs.lua" .. part.comment[2] .. "\n"
  local last = part.comment[1] .. "end" .. part.comment[2] .. "\n"
  local _, from = text:find(first, 1, true)
  local to = from and text:find(last, from, true)
  if not to then error(part.file .. " has no part for tools/catalog_docs.lua") end
  return text:sub(1, from) .. part.write() .. text:sub(to)
end

local function main()
  for _, part in ipairs(_M.parts) do
    local file = assert(io.open(part.file))
    local old = file:read("*a")
    file:close()
    local new = _M.renew(old, part)
    if new ~= old then
      file = assert(io.open(part.file, "w"))
      file:write(new)
      file:close()
      print("written: " .. part.file)
    end
  end
end

if ... == nil then main() end

return _M
