-- Contender: the same call with a general binding of libcurl (Debian's lua-curl, for Lua 5.1 and 5.2) and cjson, with
-- the handle and its connection kept.
-- Usage: lua binding.lua <webhook> <calls>
local cjson = require "cjson"
local curl = require "curl"

local chunks
local easy = curl.easy_init()
easy:setopt(curl.OPT_HTTPHEADER, { "Content-Type: application/json", "Accept: application/json", "Expect:" })
easy:setopt(curl.OPT_ACCEPT_ENCODING, "gzip")
easy:setopt(curl.OPT_NOSIGNAL, 1)
easy:setopt(curl.OPT_WRITEFUNCTION, function(bytes)
  chunks[#chunks + 1] = bytes
  return #bytes
end)

for _ = 1, tonumber(arg[2]) do
  local body = cjson.encode { fields = { groupId = 125, createdBy = 6 } }
  chunks = {}
  easy:setopt(curl.OPT_URL, arg[1] .. "tasks.api.scrum.backlog.add")
  easy:setopt(curl.OPT_POSTFIELDS, body)
  easy:setopt(curl.OPT_POSTFIELDSIZE, #body)
  assert(easy:perform())
  -- This binding has no getinfo: the HTTP status stays unknown.
  local answer = cjson.decode(table.concat(chunks))
  assert(answer.result.groupId == 125)
end
