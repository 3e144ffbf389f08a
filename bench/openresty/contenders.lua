-- The three ways to make one backlog_add in a handler; this file runs in nginx. Each answers with the backlog as JSON.
local cjson = require "cjson.safe"

local M = {}

local webhook
local clients = {}

--- Called before the fork, as users are told to.
function M.init(address)
  webhook = address
  require "bitrix.safe"
end

-- The limit and the retries are off where the client knows these options: the other contenders have none.
local function options(ms)
  local o = { webhook = webhook .. ms .. "/", retry = false, limit = false }
  local ok = pcall(require("bitrix.safe").new, o)
  if not ok then o.limit = nil end
  return o
end

local function finish(backlog, problem)
  if not backlog or backlog.groupId ~= 125 then
    ngx.log(ngx.ERR, tostring(problem))
    return ngx.exit(500)
  end
  ngx.print(cjson.encode(backlog))
end

local function call(client)
  finish(client.scrum.backlog_add { groupId = 125, createdBy = 6 })
end

--- This client as it is.
function M.ours(ms)
  local client = clients[ms]
  if not client then
    client = require("bitrix.safe").new(options(ms))
    clients[ms] = client
  end
  call(client)
end

-- The client's modules once more, with the runtime of plain Lua in the place of the one that nginx asks for.
local function load_blocking()
  local kept = {}
  for name, module in pairs(package.loaded) do
    if name:find "^bitrix" and name ~= "bitrix.core" then kept[name] = module end
  end
  for name in pairs(kept) do package.loaded[name] = nil end
  local blocking = require "bitrix.runtime.blocking"
  package.loaded["bitrix.runtime"] = { current = function() return blocking end }
  local face = require "bitrix.safe"
  for name, module in pairs(kept) do package.loaded[name] = module end
  return face
end

--- (a) The same client, blocking the worker: what any binding of libcurl does.
function M.blocking(ms)
  local client = clients[ms]
  if not client then
    client = load_blocking().new(options(ms))
    clients[ms] = client
  end
  call(client)
end

-- ---- (b) a client written by hand for this one purpose: no limits, no TLS, no proxies, no error objects ----

local function receive(socket)
  local line, problem = socket:receive "*l"
  if not line then return nil, problem end
  local status = tonumber(line:match "^HTTP/1%.1 (%d%d%d)")
  local length, keep = nil, true
  while true do
    line, problem = socket:receive "*l"
    if not line then return nil, problem end
    if line == "" then break end
    local name, value = line:match "^([^:]+):%s*(.*)$"
    name = name:lower()
    if name == "content-length" then
      length = tonumber(value)
    elseif name == "connection" then
      keep = value:lower() ~= "close"
    end
  end
  local body
  body, problem = socket:receive(length)
  return body, problem, status, keep
end

local function post(host, port, path, body)
  local socket = ngx.socket.tcp()
  socket:settimeouts(5000, 70000, 70000)
  local ok, problem = socket:connect(host, port)
  if not ok then return nil, problem end
  ok, problem = socket:send {
    "POST ", path, " HTTP/1.1\r\nHost: ", host, ":", port, "\r\nUser-Agent: bench\r\nAccept: application/json\r\n",
    "Content-Type: application/json\r\nContent-Length: ", #body, "\r\n\r\n", body,
  }
  if not ok then return nil, problem end
  local answer, status, keep
  answer, problem, status, keep = receive(socket)
  if not answer then return nil, problem end
  if keep then socket:setkeepalive(10000, 256) else socket:close() end
  if status ~= 200 then return nil, status end
  return answer
end

function M.cosocket(ms)
  local host, port, path = webhook:match "^http://([^:/]+):(%d+)(.*)$"
  local body = cjson.encode { fields = { groupId = 125, createdBy = 6 } }
  local answer, problem = post(host, tonumber(port), path .. ms .. "/tasks.api.scrum.backlog.add", body)
  if not answer then return finish(nil, problem) end
  local decoded
  decoded, problem = cjson.decode(answer)
  finish(decoded and decoded.result, problem)
end

return M
