--- Tells the operator of a program about something that the program itself cannot act on: nginx's error log, or
-- standard error. Each topic once a minute at most. What it is told must hold no secret.
local core = require "bitrix.core"

local EVERY = 60 -- seconds
local said = {}

return function(topic, text)
  local now = core.now()
  if said[topic] and now - said[topic] < EVERY then return end
  said[topic] = now
  if ngx and ngx.log then
    ngx.log(ngx.WARN, "bitrix: ", text)
  else
    io.stderr:write("bitrix: ", text, "\n")
  end
end
