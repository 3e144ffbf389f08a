-- What cjson alone takes for the two bodies of one backlog_add: the part of a call that no client can leave out.
-- Usage: lua cjson.lua encode|decode <times>
local cjson = require "cjson"

local ANSWER = os.getenv "BENCH_ANSWER"

if arg[1] == "encode" then
  for _ = 1, tonumber(arg[2]) do
    assert(cjson.encode { fields = { groupId = 125, createdBy = 6 } })
  end
else
  for _ = 1, tonumber(arg[2]) do
    assert(cjson.decode(ANSWER).result.groupId == 125)
  end
end
