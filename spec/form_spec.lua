-- A batch's commands are written as PHP's http_build_query writes them: compared with PHP itself, value by value.
local bitrix = require "bitrix"
local core = require "bitrix.core"

local session = assert(core.session{ webhook = "http://127.0.0.1:9/rest/1/code/" })

local function query_of(params)
  local text = assert(session:command_call("m", params))
  return text:match("^m%??(.*)$")
end

-- PHP reads a JSON document a line and writes a query a line. precision = -1: as many digits as the number needs, where PHP's
-- default would send another number.
local PHP = [[
while (($line = fgets(STDIN)) !== false)
  echo http_build_query(json_decode($line, true, 512, JSON_THROW_ON_ERROR), '', '&', PHP_QUERY_RFC1738), "\n";
]]

local function run_php(documents)
  local input = os.tmpname()
  local file = assert(io.open(input, "wb"))
  file:write(table.concat(documents, "\n"), "\n")
  file:close()
  local pipe = assert(io.popen(("env -u LD_PRELOAD php -n -d precision=-1 -r '%s' <%s"):format(PHP:gsub("'", [['\'']]), input)))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  os.remove(input)
  return lines
end

local function is_list(value)
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  return count == #value
end

local function json_string(text)
  return '"' .. text:gsub('[%c"\\\127]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

-- JSON with its keys in the order in which ours are sent, and each number as what it is.
local function json_of(value)
  if value == bitrix.null then return "null" end
  if type(value) == "string" then return json_string(value) end
  if type(value) == "boolean" then return tostring(value) end
  if type(value) == "number" then
    if math.type and math.type(value) == "integer" then return ("%d"):format(value) end
    if value == math.floor(value) and math.abs(value) < 1e15 then
      return (1 / value < 0 and value == 0 and "-0.0") or ("%.1f"):format(value)
    end
    local text = ("%.17g"):format(value)
    return text:find("[.e]") and text or text .. ".0"
  end
  local parts, keys = {}, {}
  if is_list(value) then
    for i, inner in ipairs(value) do parts[i] = json_of(inner) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  for i, key in ipairs(keys) do
    parts[i] = json_string(type(key) == "number" and ("%d"):format(key) or key) .. ":" .. json_of(value[key])
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function compare(list)
  local documents = {}
  for i, value in ipairs(list) do documents[i] = json_of(value) end
  local expected = run_php(documents)
  assert.equal(#list, #expected)
  for i, value in ipairs(list) do
    if query_of(value) ~= expected[i] then
      assert.equal(expected[i], query_of(value), documents[i])
    end
  end
end

-- UTF-8 of a code point.
local function utf8_of(n)
  if n < 0x80 then return string.char(n) end
  local tail = ""
  local limit = 0x20
  repeat
    tail = string.char(0x80 + n % 64) .. tail
    n = math.floor(n / 64)
    local fits = n < limit
    limit = limit / 2
  until fits
  return string.char(256 - limit * 4 + n) .. tail
end

local function pick(list) return list[math.random(#list)] end

local function random_text()
  local parts = {}
  for i = 1, math.random(0, 12) do
    local n = pick{ math.random(0, 127), math.random(0x80, 0x7ff), math.random(0x800, 0xd7ff), math.random(0xe000, 0xffff),
      math.random(0x10000, 0x10ffff) }
    parts[i] = utf8_of(n)
  end
  return table.concat(parts)
end

local function random_number()
  local sign = pick{ 1, -1 }
  return pick{
    math.random(0, 1000), sign * math.random(0, 2 ^ 31 - 1), sign * math.random(), sign * math.random() * 10 ^ math.random(-20, 20),
    sign * (0.5 + math.random()) * 2 ^ math.random(-1000, 1000), sign * 2 ^ math.random(-1000, 1000), sign * math.random(1, 999) / 100,
    0.5 * math.random(0, 9), 2 ^ math.random(40, 60) + math.random(0, 3),
  }
end

local function random_value(depth)
  local kind = math.random(depth > 3 and 5 or 8)
  if kind == 1 then return random_number() end
  if kind == 2 then return math.random() < 0.5 end
  if kind == 3 then return bitrix.null end
  if kind <= 5 then return random_text() end
  local value = {}
  for i = 1, math.random(0, 4) do
    -- A key that is a number stands in a table of its own kind: PHP has no 1 beside "1".
    value[kind == 6 and i or kind == 7 and random_text() or "k" .. random_text()] = random_value(depth + 1)
  end
  return value
end

describe("the query of a command", function()
  it("has every byte as PHP has it", function()
    local list = {}
    for n = 0, 0x7ff do
      list[#list + 1] = { x = utf8_of(n), [utf8_of(n)] = "key", a = { [utf8_of(n)] = { utf8_of(n) } } }
    end
    for _, n in ipairs{ 0x800, 0xd7ff, 0xe000, 0xfeff, 0xffff, 0x10000, 0x1f600, 0x10ffff } do list[#list + 1] = { x = utf8_of(n) } end
    compare(list)
  end)

  it("has nested tables, booleans, nulls, empty lists and numbers as PHP has them", function()
    local null = bitrix.null
    local list = {
      {}, { a = {} }, { a = { {} }, b = 1 }, { a = null }, { a = { null, 1, null } }, { a = true, b = false }, { true, false },
      { a = { { { "x" } } } }, { a = { [""] = 1 }, [""] = { [""] = { b = 2 } } }, { 1, { 2, { 3 } } }, { fields = { groupId = 125 } },
      { a = { [2] = "x" } }, { a = { [0] = "x", [1] = "y" } }, { filter = { [">=ID"] = 5, ["!%NAME"] = "a&b=c" } },
      { a = 5.0, b = -0.0 * 1, c = 0.1 + 0.2, d = 1e15, e = 1e16, f = 1e17, g = 1e25, h = 1e-5, i = 1e-4, j = 123456789.125, k = -1.5e300 },
      { a = 5e-324, b = 2.2250738585072014e-308, c = 1.7976931348623157e308, d = 2 ^ -44, e = 1 / 3, f = 9007199254740993.0, g = 2 ^ 63 },
    }
    if math.type then
      list[#list + 1] = { a = math.maxinteger, b = math.mininteger, c = { [math.maxinteger] = 1, [9007199254740993] = 2 } }
    end
    compare(list)
  end)

  it("is PHP's for random values", function()
    math.randomseed(20240403)
    local list = {}
    for i = 1, 4000 do
      list[i] = {}
      for _ = 1, math.random(0, 4) do list[i]["p" .. random_text()] = random_value(1) end
    end
    compare(list)
  end)

  it("is PHP's for random numbers", function()
    math.randomseed(7)
    local list = {}
    for i = 1, 4000 do list[i] = { random_number(), { random_number() } } end
    for i = -1074, 1023 do list[#list + 1] = { 2 ^ i, -3 * 2 ^ math.min(i, 1000) } end
    compare(list)
  end)

  it("is the same bytes each time", function()
    local params = {}
    for i = 1, 50 do params["k" .. i] = i end
    local copy = {}
    for i = 50, 1, -1 do copy["k" .. i] = i end
    assert.equal(query_of(params), query_of(copy))
    assert.matches("^k1=1&k10=10&k11=11", query_of(params))
  end)

  it("is written in any locale", function()
    local before = os.setlocale(nil, "numeric")
    if not os.setlocale("de_DE.UTF-8", "numeric") then return pending("no locale with a decimal comma here") end
    local query = query_of{ a = 0.5, b = 1.25e-7, c = 1234567.75 }
    os.setlocale(before, "numeric")
    assert.equal("a=0.5&b=1.25E-7&c=1234567.75", query)
  end)

  it("is short again after a long one", function()
    assert.equal(3 * 2 ^ 20 + 2, #query_of{ x = ("&"):rep(2 ^ 20) })
    assert.equal("x=1", query_of{ x = 1 })
  end)
end)
