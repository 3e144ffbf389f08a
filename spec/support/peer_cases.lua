--- The cases from other clients' tests, the reference and recorded portals: spec/cases/peer_cases.json.
local bitrix = require "bitrix"
local json = require "dkjson"

local M = {}

--- All of them, JSON's null as dkjson's.
function M.read()
  local file = assert(io.open("spec/cases/peer_cases.json"))
  local text = file:read("*a")
  file:close()
  return assert(json.decode(text, 1, json.null))
end

--- A copy with bitrix.null in place of dkjson's null.
function M.with_our_null(value)
  if value == json.null then return bitrix.null end
  if type(value) ~= "table" then return value end
  local copy = {}
  for k, v in pairs(value) do copy[k] = M.with_our_null(v) end
  return copy
end

return M
