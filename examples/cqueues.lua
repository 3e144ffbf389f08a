-- Calls beside other work in a program that cqueues drives: lua5.4 examples/cqueues.lua
-- Needs lua-cqueues. The portal is an emulated one, or the one that BITRIX24_WEBHOOK_URL names.
local bitrix = require "bitrix"
local cqueues = require "cqueues"

local portal = not os.getenv "BITRIX24_WEBHOOK_URL" and require("bitrix.portal").start() or nil
local b24 = bitrix.new{ webhook = portal and portal.webhook }
local loop = cqueues.new()

-- The bridge: whenever the client's descriptor is readable, or its next timer is due, its tasks go on.
local function drive(client)
  local ready = { pollfd = client:fd(), events = "r" }
  local left, after = client:pump()
  while left > 0 do
    cqueues.poll(ready, after)
    left, after = client:pump()
  end
end

local names = {}
for _, method in ipairs{ "user.current", "server.time", "tasks.api.scrum.backlog.getFields" } do
  bitrix.spawn(function()
    local result = b24:call(method)
    names[#names + 1] = method
    print("answered", method, type(result))
  end)
end

loop:wrap(function() drive(b24) end)
loop:wrap(function()
  for i = 1, 3 do
    print("meanwhile", i)
    cqueues.sleep(0.01)
  end
end)
assert(loop:loop())
print(#names .. " calls were answered")

b24:close()
if portal then portal:stop() end
