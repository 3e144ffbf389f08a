--- The Bitrix24 client for Lua: the face that returns `nil, error object` and never raises one.
-- The same functions as `bitrix`, and clients made by its `new` return likewise. A wrong argument still raises a
-- string: it is a mistake in the program, not an event.
-- @module bitrix.safe
local client = require "bitrix.client"

return client.face(function(result, more)
  return result, more
end)
