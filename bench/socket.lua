-- Contender: the same call with luasocket and cjson, as its manual shows it. socket.http has no kept connections: each
-- call opens its own.
-- Usage: lua socket.lua <webhook> <calls>
local cjson = require "cjson"
local http = require "socket.http"
local ltn12 = require "ltn12"

for _ = 1, tonumber(arg[2]) do
  local body = cjson.encode { fields = { groupId = 125, createdBy = 6 } }
  local chunks = {}
  local ok, status = http.request {
    url = arg[1] .. "tasks.api.scrum.backlog.add",
    method = "POST",
    headers = {
      ["content-type"] = "application/json",
      ["accept"] = "application/json",
      ["content-length"] = #body,
    },
    source = ltn12.source.string(body),
    sink = ltn12.sink.table(chunks),
  }
  assert(ok and status == 200, status)
  local answer = cjson.decode(table.concat(chunks))
  assert(answer.result.groupId == 125)
end
