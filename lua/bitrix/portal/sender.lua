-- Carries out a plan of fault.lua for the request that nginx is at: sends the answer, all or in part, or breaks the
-- connection. Decides nothing.

local system = require "bitrix.portal.system"

local ngx = ngx
local CHUNK = 65536
-- Flushing waits until the client has taken the bytes; without it a huge body would pile up in nginx's memory.
local FLUSH_EVERY = 16
local LOOK_AGAIN, MOST_LOOKS = 0.005, 2000

local M = {}

local function print_body(body, send)
  local left = send or math.huge
  local function put(text)
    text = #text > left and text:sub(1, left) or text
    left = left - #text
    return text == "" or ngx.print(text)
  end
  put(body.head)
  local filler = body.filler
  local chunk = ("a"):rep(math.min(filler, CHUNK))
  local count = 0
  while filler > 0 and left > 0 do
    if not put(filler < #chunk and chunk:sub(1, filler) or chunk) then
      return
    end
    filler = filler - #chunk
    count = count + 1
    if count % FLUSH_EVERY == 0 and not ngx.flush(true) then
      return
    end
  end
  put(body.tail)
end

local function ports()
  return tonumber(ngx.var.server_port), tonumber(ngx.var.remote_port)
end

-- Waits until the client has so many bytes more than at `start`, but not for ever: it may have stopped reading.
local function wait_until_received(bytes, start)
  ngx.flush(true)
  if ngx.req.http_version() < 2 then
    return
  end
  -- ngx.flush does not wait for HTTP/2's windows, so TCP is asked. It counts what frames and TLS add, too: the count
  -- must be large enough and at rest.
  local before
  for _ = 1, MOST_LOOKS do
    local count = system.acknowledged(ports()) or math.huge
    if count - start >= bytes and count == before then
      return
    end
    before = count
    ngx.sleep(LOOK_AGAIN)
  end
end

--- Ends the connection without an answer.
-- @tparam string how "reset" or "close"
function M.drop(how)
  if how == "reset" then
    system.reset(ports())
  else
    system.finish(ports())
  end
  ngx.exit(444)
end

--- Sends an answer.
-- @tparam table plan see fault.plan
function M.send(plan)
  ngx.status = plan.status
  for _, header in ipairs(plan.headers) do
    ngx.header[header[1]] = header[2]
  end
  if not plan.chunked and not plan.gzip then
    ngx.header["Content-Length"] = plan.length
  end
  local cut = plan.send and plan.send < plan.length
  local start = cut and system.acknowledged(ports()) or 0
  ngx.send_headers()
  print_body(plan.body, plan.send)
  if cut then
    wait_until_received(plan.send, start)
    M.drop("close")
  end
end

return M
