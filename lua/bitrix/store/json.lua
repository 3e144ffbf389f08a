--- Tables as texts, for stores that keep texts. A private instance of lua-cjson.
local cjson = require("cjson").new()

local _M = {}

function _M.encode(value) return cjson.encode(value) end

--- @return the table; or nil and a message
function _M.decode(text)
  local ok, value = pcall(cjson.decode, text)
  if ok and type(value) == "table" then return value end
  return nil, "what is stored is not a JSON object"
end

return _M
