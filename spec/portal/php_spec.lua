-- bitrix/portal/php.lua: numbers and parameter names as PHP has them.

local php = require "bitrix.portal.php"

describe("is_numeric", function()
  for _, value in ipairs { 0, 6, -1, 1.5, "6", " 6", "6 ", "+6", "-6", "6.5", ".5", "6.", "1e3", "1.5E-2" } do
    it(("takes %q for a number"):format(tostring(value)), function()
      assert.is_true(php.is_numeric(value))
    end)
  end
  for _, value in ipairs { "", " ", "abc", "6abc", "0x10", "1e", ".", "1 2", true, {} } do
    it(("does not take %q (%s) for a number"):format(type(value) == "table" and "{}" or tostring(value), type(value)), function()
      assert.is_false(php.is_numeric(value))
    end)
  end
  it("does not take nil for a number", function()
    assert.is_false(php.is_numeric(nil))
  end)
end)

describe("to_integer", function()
  local cases = {
    { 125, 125 }, { 125.9, 125 }, { -1.5, -1 }, { "125", 125 }, { "125.9", 125 }, { " 7", 7 }, { "+7", 7 }, { "1e2", 100 },
    { "12abc", 12 }, { "abc", 0 }, { "", 0 }, { true, 1 }, { false, 0 }, { {}, 0 }, { { 5 }, 1 }, { 1e300, 0 },
  }
  for i, case in ipairs(cases) do
    it(("makes %s out of case %d, a %s"):format(case[2], i, type(case[1])), function()
      assert.equal(case[2], php.to_integer(case[1]))
    end)
  end
  it("makes 0 out of nil", function()
    assert.equal(0, php.to_integer(nil))
  end)
  it("never makes -0", function()
    assert.matches("^0", tostring(php.to_integer(-0.5)))
  end)
end)

describe("parse_query", function()
  local function parses(text, expected)
    assert.same(expected, php.parse_query(text))
  end

  it("reads names and values", function()
    parses("a=1&b=2", { a = "1", b = "2" })
  end)
  it("reads nested names", function()
    parses("fields[groupId]=125&fields[createdBy]=6", { fields = { groupId = "125", createdBy = "6" } })
  end)
  it("reads names that are nested deeper", function()
    parses("a[b][c][d]=1&a[b][e]=2", { a = { b = { c = { d = "1" }, e = "2" } } })
  end)
  it("appends for []", function()
    parses("a[]=1&a[]=2", { a = { "1", "2" } })
  end)
  it("takes 0, 1, ... for positions of a list", function()
    parses("a[0]=x&a[1]=y", { a = { "x", "y" } })
    parses("a[1]=y&a[0]=x", { a = { "x", "y" } })
  end)
  it("undoes percent-coding and + in names and values", function()
    parses("fields%5BgroupId%5D=1&n+m=a+b%2Bc%26%3D%00%ff", { fields = { groupId = "1" }, ["n m"] = "a b+c&=\0\255" })
  end)
  it("keeps = in values, empty values and names without a value", function()
    parses("a=b=c&d=&e", { a = "b=c", d = "", e = "" })
  end)
  it("lets the last one win", function()
    parses("a=1&a=2", { a = "2" })
    parses("a=1&a[b]=2", { a = { b = "2" } })
  end)
  it("does without names and with brackets that do not close", function()
    parses("=1&&a[b=2", { a = "2" })
    parses("[x]=1", { ["[x]"] = "1" })
  end)
end)

describe("build_query", function()
  it("writes what http_build_query writes", function()
    assert.equal("a=1&b%5B0%5D=x&b%5B1%5D=y&c%5Bd%5D%5Be%5D=%C3%A9+%26%7E%2F-_.&f=1&g=0&h=1.5", php.build_query {
      a = 1, b = { "x", "y" }, c = { d = { e = "é &~/-_." } }, f = true, g = false, h = 1.5 })
  end)
  it("leaves out empty lists and what is no value", function()
    assert.equal("b=2", php.build_query { a = {}, b = 2.0, c = print })
  end)
  it("keeps an order where there is one", function()
    assert.equal("z=1&a=2", php.build_query(setmetatable({ a = 2, z = 1 }, { __jsonorder = { "z", "a" } })))
  end)
  it("is read back by parse_query", function()
    local value = { a = "1", b = { "x", "y z" }, c = { ["d[e"] = "=&%" } }
    assert.same(value, php.parse_query(php.build_query(value)))
  end)
end)
