-- All methods of the emulated portal: a list of tables, each name → row.
--
-- A row is { params = { { name =, type = "int" or "array", optional = boolean }, ... },
-- run = function(domain, user_id, params, now) }. Before `run`, rest.lua has checked that the params are there and of
-- their type. `run` returns the result and, for a list, { total =, next = }; or nil, the error's text, its code (0).

local modules = { "general", "group", "tasks", "backlog", "epic", "sprint", "kanban", "task" }

local methods = {}
for i, name in ipairs(modules) do
  methods[i] = require("bitrix.portal." .. name)
end

return methods
