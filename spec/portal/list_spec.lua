-- bitrix/portal/list.lua: filter, order, select, pages.

local list = require "bitrix.portal.list"

local COLUMNS = list.columns({ id = "number", groupId = "number", name = "text", date = "date", length = "number" }, {
  length = function(row) return #row.name end,
})

local rows

local function view(row)
  return { id = row.id, groupId = row.groupId, name = row.name, date = row.date, length = #row.name }
end

before_each(function()
  rows = {
    { id = 1, groupId = 5, name = "Alpha", date = "2024-04-01T00:00:00+00:00" },
    { id = 2, groupId = 7, name = "beta", date = "2024-04-02T00:00:00+00:00" },
    { id = 3, groupId = 5, name = "50% off", date = "2024-04-03T00:00:00+00:00" },
    { id = 10, groupId = 7, name = "alphabet", date = "2024-04-03T00:00:00+00:00" },
  }
end)

local function ids(params, options)
  local result = {}
  for i, row in ipairs((assert(list.page(rows, params, COLUMNS, view, options)))) do
    result[i] = row.id
  end
  return result
end

describe("a filter", function()
  local cases = {
    { { ID = 2 }, { 2 } }, { { ID = "2" }, { 2 } }, { { ["=ID"] = 2 }, { 2 } }, { { ID = { 1, "10" } }, { 1, 10 } },
    { { ["@ID"] = { 1, 10 } }, { 1, 10 } }, { { ["!@ID"] = { 1, 10 } }, { 2, 3 } }, { { ["!ID"] = 2 }, { 1, 3, 10 } },
    { { ["!=ID"] = { 2, 3 } }, { 1, 10 } }, { { [">ID"] = 2 }, { 3, 10 } }, { { [">=ID"] = "3" }, { 3, 10 } },
    { { ["<ID"] = 3 }, { 1, 2 } }, { { ["<=ID"] = 3 }, { 1, 2, 3 } }, { { [">ID"] = 1, ["<ID"] = 10 }, { 2, 3 } },
    { { [">ID"] = "" }, {} }, { { ID = "x" }, {} },
    { { GROUP_ID = 5, [">ID"] = 1 }, { 3 } }, { { groupId = 7 }, { 2, 10 } },
    { { NAME = "ALPHA" }, { 1 } }, { { ["%NAME"] = "ALPHA" }, { 1, 10 } }, { { ["!%NAME"] = "alpha" }, { 2, 3 } },
    { { NAME = "%alpha%" }, { 1, 10 } }, { { ["=%NAME"] = "alpha%" }, { 1, 10 } }, { { ["%=NAME"] = "%a" }, { 1, 2 } },
    { { ["!=%NAME"] = "%a" }, { 3, 10 } }, { { ["!%=NAME"] = "b_ta" }, { 1, 3, 10 } }, { { ["%NAME"] = "0% o" }, { 3 } },
    { { ["%NAME"] = "." }, {} }, { { [">DATE"] = "2024-04-02" }, { 3, 10 } }, { { DATE = "2024-04-01T02:00:00+02:00" }, { 1 } },
    { { LENGTH = 4 }, { 2 } }, { {}, { 1, 2, 3, 10 } },
  }
  for i, case in ipairs(cases) do
    local key, value = next(case[1])
    it(("%s %s (%d)"):format(tostring(key), type(value) == "table" and "list" or tostring(value), i), function()
      assert.same(case[2], ids { filter = case[1] })
    end)
  end
  it("with a field that is not there is no list, unless such are ignored", function()
    assert.is_nil(list.page(rows, { filter = { [">=X"] = 1 } }, COLUMNS, view))
    assert.same({ 1, 2, 3, 10 }, ids({ filter = { [">=X"] = 1 } }, { ignore = true }))
  end)
end)

describe("an order", function()
  it("is by number, text or date, ids as numbers", function()
    assert.same({ 10, 3, 2, 1 }, ids { order = { ID = "DESC" } })
    assert.same({ 3, 1, 10, 2 }, ids { order = { NAME = "asc" } })
    assert.same({ 3, 10, 2, 1 }, ids { order = { DATE = "desc" } })
    assert.same({ 1, 2, 3, 10 }, ids {})
  end)
  it("goes by several fields as the request named them", function()
    assert.same({ 2, 10, 1, 3 }, ids {
      order = setmetatable({ GROUP_ID = "desc", ID = "asc" }, { __jsonorder = { "GROUP_ID", "ID" } }),
    })
    assert.same({ 10, 3, 2, 1 }, ids {
      order = setmetatable({ GROUP_ID = "desc", ID = "desc" }, { __jsonorder = { "ID", "GROUP_ID" } }),
    })
  end)
end)

describe("a selection", function()
  local function first(select, options)
    return (list.page(rows, { select = select }, COLUMNS, view, options))[1]
  end
  it("leaves fields out", function()
    assert.same({ id = 1, groupId = 5 }, first { "ID", "GROUP_ID" })
    assert.equal("Alpha", first({ "*" }).name)
    assert.equal("Alpha", first({}).name)
  end)
  it("can have a default", function()
    assert.same({ id = 1 }, first(nil, { default = { "ID" } }))
    assert.same({ name = "Alpha" }, first({ "NAME" }, { default = { "ID" } }))
  end)
end)

describe("pages", function()
  before_each(function()
    rows = {}
    for i = 1, 120 do
      rows[i] = { id = i, groupId = i % 2, name = "x", date = "2024-04-01" }
    end
  end)

  local function page(start, filter)
    local found, count = list.page(rows, { start = start, filter = filter }, COLUMNS, view)
    return { #found, found[1] and found[1].id, count.next or "no next", count.total or "no total" }
  end

  it("have 50 rows, next while there is more, and the total", function()
    assert.same({ 50, 1, 50, 120 }, page())
    assert.same({ 50, 51, 100, 120 }, page(50))
    assert.same({ 20, 101, "no next", 120 }, page("100"))
    assert.same({ 50, 71, "no next", 120 }, page(70))
    assert.same({ 0, nil, "no next", 120 }, { page(120)[1], nil, page(120)[3], page(120)[4] })
  end)
  it("count what the filter leaves", function()
    assert.same({ 50, 2, 50, 60 }, page(0, { GROUP_ID = 0 }))
  end)
  it("are not counted with start = -1", function()
    assert.same({ 50, 1, "no next", "no total" }, page(-1))
    assert.same({ 20, 101, "no next", "no total" }, page("-1", { [">ID"] = 100 }))
  end)
end)

describe("rows that are read one by one", function()
  local read

  -- As Domain:source, but counting.
  local function source(count)
    return {
      from = function(_, id)
        local i = math.max(math.ceil(id), 1) - 1
        return function()
          i = i + 1
          read = read + 1
          return i <= count and { id = i, groupId = i % 2, name = "x" } or nil
        end
      end,
    }
  end

  local function page(params, count)
    read = 0
    local found, more = list.page(source(count or 100000), params, COLUMNS, view)
    return { #found, found[1] and found[1].id, read, more.total or "no total" }
  end

  it("are read as far as the page goes when nobody counts", function()
    assert.same({ 50, 1, 50, "no total" }, page { start = -1 })
    assert.same({ 50, 50001, 51, "no total" }, page { start = -1, filter = { [">ID"] = "50000" }, order = { ID = "ASC" } })
    assert.same({ 50, 50000, 50, "no total" }, page { start = -1, filter = { [">=id"] = 50000 } })
    assert.same({ 50, 50002, 101, "no total" }, page { start = -1, filter = { [">ID"] = 50000, GROUP_ID = 0 } })
    assert.same({ 1, 700, 2, "no total" }, page { start = -1, filter = { ID = 700 } })
    assert.same({ 9, 701, 12, "no total" }, page { start = -1, filter = { [">ID"] = 700, ["<ID"] = 710 } })
    assert.same({ 5, 99996, 7, "no total" }, page { start = -1, filter = { [">ID"] = 99995 } })
  end)
  it("are all read otherwise", function()
    assert.same({ 50, 1, 1001, 1000 }, page({}, 1000))
    assert.same({ 50, 1000, 1001, "no total" }, page({ start = -1, order = { ID = "DESC" } }, 1000))
    assert.same({ 50, 2, 1001, "no total" }, page({ start = -1, order = { GROUP_ID = "ASC" } }, 1000))
    assert.same({ 1, 5, 2, 1 }, page({ filter = { ID = 5 } }, 1000))
  end)
  it("are not disturbed by an order", function()
    local kept = { { id = 1, name = "a" }, { id = 2, name = "b" } }
    local whole = { all = function() return kept end, from = function()
      local i = 0
      return function()
        i = i + 1
        return kept[i]
      end
    end }
    assert.equal(2, list.page(whole, { order = { ID = "DESC" } }, COLUMNS, view)[1].id)
    assert.equal(2, list.page(whole, { order = { NAME = "DESC" } }, COLUMNS, view)[1].id)
    assert.same({ 1, 2 }, { kept[1].id, kept[2].id })
    assert.equal(1, list.page(whole, {}, COLUMNS, view)[1].id)
  end)
end)
