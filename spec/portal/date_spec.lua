-- bitrix/portal/date.lua: points in time.

local date = require "bitrix.portal.date"

describe("parse", function()
  local cases = {
    { 0, 0 }, { 1712137817, 1712137817 }, { 1712137817.9, 1712137817 }, { "1712137817", 1712137817 },
    { "1970-01-01", 0 }, { "2024-02-29", 1709164800 }, { "2000-02-29T00:00", 951782400 }, { "1969-12-31T23:59:59Z", -1 },
    { "2024-04-03T12:50:17+02:00", 1712141417 }, { "2024-04-03T12:50:17.5+0200", 1712141417 },
    { "2024-04-03 12:50:17-03", 1712159417 }, { "2021-11-22T00:00:00+02:00", 1637532000 },
  }
  for _, case in ipairs(cases) do
    it("reads " .. tostring(case[1]), function()
      assert.equal(case[2], date.parse(case[1]))
    end)
  end
  it("finds nothing in what is no date", function()
    for _, value in ipairs { "", "x", "2023-02-29", "1900-02-29", "2024-13-01", "2024-04-31", "2024-04-03T24:00", "2024-04-03T",
      "2024-04-03T12:60", "2024-04-03T12:00:00+2", "2024-04-03T12:00:00x", "03.04.2024", true, {}, 0 / 0, 1e300 } do
      assert.is_nil(date.parse(value))
    end
    assert.is_nil(date.parse(nil))
  end)
end)

it("format writes what parse reads", function()
  for _, seconds in ipairs { 0, 951782399, 951782400, 1709164799, 1712137817, 4102444800 } do
    assert.equal(seconds, date.parse(date.format(seconds)))
  end
  assert.equal("2024-04-03T09:50:17+00:00", date.format(1712137817.75))
end)
