-- Understands an incoming request: who calls which method with what. Takes plain strings, gives a plain table.
-- Knows no nginx and decides nothing: whether the secret is right is rest.lua's business.

local json = require "bitrix.portal.json"
local keys = require "bitrix.portal.keys"
local php = require "bitrix.portal.php"

local M = {}

--- What the token host's requests are called in the journal and in scripts.
M.TOKEN = "oauth/token"

--- Takes the path of a call apart.
-- @tparam string path `/rest/1/secret/method`, `/rest/1/secret/method.json`, `/rest/method`, the same with
--   `/rest/api/`, or `/oauth/token/`; percent-coded
-- @treturn ?table `{ user = integer or nil, secret = string or nil, method = string, version = 3 or nil }`, for the
--   token host `{ method = TOKEN }`; nil when it is neither
function M.parse_path(path)
  if path == "/oauth/token/" or path == "/oauth/token" then
    return { method = M.TOKEN }
  end
  local rest = path:match("^/rest/(.*)$")
  if not rest then
    return nil
  end
  local inner = rest:match("^api/(.*)$")
  rest = inner or rest
  local user, secret, method = rest:match("^(%d+)/([^/]+)/?(.*)$")
  method = php.unescape(method or rest):gsub("/$", ""):gsub("%.json$", "")
  return {
    user = tonumber(user), secret = secret and php.unescape(secret), method = method, version = inner and 3 or nil,
  }
end

-- The parameters whose keys have an order that matters: commands run in it, and lists are sorted by it.
local ORDERED = { cmd = true, order = true }

local function remember_order(document, text)
  local orders
  for name, value in pairs(document) do
    if type(name) == "string" and ORDERED[name:lower()] and type(value) == "table" then
      orders = orders or json.key_orders(text)
      keys.set_order(value, orders[name])
    end
  end
end

--- Reads the parameters of a call. Those of the body win over those of the query string. `cmd` and `order` know the
-- order of their keys, see keys.lua.
-- @tparam ?string query what follows the `?`
-- @tparam ?string content_type the header
-- @tparam ?string body the raw body
-- @treturn table the parameters; empty when the body cannot be read, as with PHP
function M.parse_params(query, content_type, body)
  local params = php.parse_query(query or "")
  if not body or body == "" then
    return params
  end
  if (content_type or ""):lower():find("^%s*application/[%w.+-]*json") then
    local document = json.decode(body)
    if type(document) == "table" then
      remember_order(document, body)
      for name, value in pairs(document) do
        params[name] = value
      end
    end
  else
    php.parse_query(body, params)
  end
  return params
end

return M
