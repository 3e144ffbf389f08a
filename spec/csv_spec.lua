-- bitrix.csv: RFC 4180 and what spreadsheets make of it. bitrix.progress: what is shown.
local csv = require "bitrix.csv"
local progress = require "bitrix.progress"

describe("a table in CSV", function()
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  local function open(text)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
    return csv.open(path)
  end

  local function rows(text)
    local reader = assert(open(text))
    local list = {}
    local row, line = reader:row()
    while row do
      row.line = line
      list[#list + 1] = row
      row, line = reader:row()
    end
    reader:close()
    return list, reader.names
  end

  it("is read a row at a time, with its lines", function()
    local list, names = rows("groupId,createdBy\n125,6\n126,7")
    assert.same({ "groupId", "createdBy" }, names)
    assert.same({ { groupId = "125", createdBy = "6", line = 2 }, { groupId = "126", createdBy = "7", line = 3 } }, list)
  end)

  it("has quotes, commas and line ends in its fields", function()
    local list = rows('a,b,c\n"x, ""y""","1\n2",""\n"","",z\r\n"a"\r\n')
    assert.same({ { a = 'x, "y"', b = "1\n2", line = 2 }, { c = "z", line = 4 }, { a = "a", line = 5 } }, list)
    assert.same({ { a = "1\r\n2", line = 2 } }, rows('a\r\n"1\r\n2"\r\n'))
  end)

  it("comes from spreadsheets", function()
    assert.same({ { a = "1", b = "2,5", line = 2 } }, rows("\239\187\191a;b\r\n1;2,5\r\n\r\n"))
    assert.same({ { a = "1;2", line = 2 } }, rows(" a , b \n1;2,\n"))
  end)

  it("says where it is wrong", function()
    for text, problem in pairs{
      ['a,b\n"1,2\n'] = ":2: a quote that is not closed", ['a,b\n1,2\n"1"x,2\n'] = ":3: text behind a closing quote",
      ["a,b\n1,2,3\n"] = ":2: 3 fields, and 2 names",
    } do
      local reader = open(text)
      local ok, err = pcall(function()
        while reader:row() do end -- luacheck: ignore
      end)
      reader:close()
      assert.is_false(ok)
      assert.equal(path .. problem, err)
    end
    local reader, problem = open("")
    assert.is_nil(reader)
    assert.equal(path .. ": no names in the first line", problem)
    assert.is_nil(csv.open("/nonexistent/x.csv"))
  end)

  it("may be long", function()
    local reader = assert(open("a,b\n" .. ("1,2\n"):rep(20000)))
    local count = 0
    while reader:row() do count = count + 1 end
    reader:close()
    assert.equal(20000, count)
  end)
end)

describe("progress", function()
  local function shown(terminal, ...)
    local text = {}
    local bar = progress.new({ write = function(_, ...) text[#text + 1] = table.concat{ ... } end, flush = function() end }, terminal)
    bar.told = bar.told - 3600
    bar:update(...)
    bar:finish()
    return table.concat(text)
  end

  it("is a line now and then where there is no terminal", function()
    assert.matches("^50/200  [%d.]+/s  %d+:%d%d left  3 failed\n50/200.-\n$", shown(false, 50, 200, 3))
    assert.matches("^50  [%d.]+/s\n", shown(false, 50, nil, 0))
    assert.matches("^50/50  [%d.]+/s\n", shown(false, 50, 50, 0))
    -- What an earlier run did says nothing about the rate.
    assert.matches("^50/200\n", shown(false, 50, 200, 0, 50))
  end)

  it("is a bar, drawn over itself, on a terminal", function()
    local text = shown(true, 50, 200, 1)
    assert.matches("^\r%[######%.%.%.%.%.%.%.%.%.%.%.%.%.%.%.%.%.%.%]  25%%  50/200  .-1 failed\27%[K\r", text)
    assert.matches("\n$", text)
  end)

  it("knows a terminal", function()
    local pipe = io.popen("[ -t 1 ] && echo yes || echo no")
    assert.equal("no", pipe:read("*l"))
    pipe:close()
    assert.is_boolean(progress.is_terminal(2))
  end)
end)
