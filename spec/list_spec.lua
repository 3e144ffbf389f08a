-- client:list: every row once, or an error; both ways of walking, and portals that do not keep their word.
local bitrix = require "bitrix"
local json = require "dkjson"
local safe = require "bitrix.safe"

local EPICS, TASKS = "tasks.api.scrum.epic.list", "tasks.task.list"

describe("a list", function()
  local portal, client, careful

  setup(function()
    portal = require("bitrix.portal").start()
    client = bitrix.new{ webhook = portal.webhook, limit = false, retry = false }
    careful = safe.new{ webhook = portal.webhook, limit = false, retry = false }
    local batch = client:batch()
    for i = 1, 175 do batch.scrum.epic_add{ groupId = i <= 100 and 125 or 126, name = "Epic " .. i } end
    assert(batch:run())
  end)
  teardown(function() portal:stop() end)
  before_each(function() portal:clear() end)

  local function walk(rows)
    local list = {}
    for row in rows do list[#list + 1] = row end
    return list
  end

  local function requests()
    local list = {}
    for i, row in ipairs(portal:journal()) do list[i] = { method = row.method, params = row.params } end
    return list
  end

  local function count(t)
    local n = 0
    for _ in pairs(t) do n = n + 1 end
    return n
  end

  -- A page of rows with these ids, as the portal may answer it.
  local function page(first, last, more)
    local rows = setmetatable({}, { __jsontype = "array" })
    for id = first, last do rows[#rows + 1] = { id = tostring(id) } end
    local answer = { result = more and more.rows and { [more.rows] = rows } or rows }
    for key, value in pairs(more or {}) do
      if key ~= "rows" then answer[key] = value end
    end
    return { status = 200, body = json.encode(answer) }
  end

  local function failure(rows)
    local read = 0
    for _ in rows do read = read + 1 end
    assert.is_true(bitrix.is_error(rows.error), "it ended silently after " .. read)
    assert.equal(read, rows.error.read)
    assert.equal(read, rows.count)
    return rows.error, read
  end

  local function check_ids(list, expected)
    assert.equal(expected, #list)
    for i = 2, #list do assert.is_true(tonumber(list[i].id) > tonumber(list[i - 1].id)) end
  end

  it("is walked by `next`", function()
    local rows = client:list(EPICS, { filter = { GROUP_ID = 125 }, order = { ID = "asc" } })
    check_ids(walk(rows), 100)
    assert.equal(100, rows.count)
    assert.equal(100, rows.total)
    assert.equal(2, rows.requests)
    local sent = requests()
    assert.equal(0, sent[1].params.start)
    assert.equal(50, sent[2].params.start)
    assert.same({ GROUP_ID = 125 }, sent[2].params.filter)
    assert.is_nil(rows())
  end)

  it("is walked by `next` from the middle", function()
    check_ids(walk(client:list(EPICS, { start = 120, order = { ID = "asc" } })), 55)
  end)

  it("is walked fast, by the ids", function()
    local rows = client:list(EPICS, {}, { fast = true })
    check_ids(walk(rows), 175)
    assert.equal(2, rows.requests)
    local sent = requests()
    assert.same({ order = { ID = "ASC" }, filter = { [">ID"] = 0 }, start = -1 }, sent[1].params)
    assert.equal("batch", sent[2].method)
    assert.equal(1, sent[2].params.halt)
    assert.equal(50, count(sent[2].params.cmd))
    assert.equal(EPICS .. "?filter%5B%3EID%5D=50&order%5BID%5D=ASC&start=-1", sent[2].params.cmd.p1)
    assert.equal(EPICS .. "?filter%5B%3EID%5D=%24result%5Bp1%5D%5B49%5D%5Bid%5D&order%5BID%5D=ASC&start=-1", sent[2].params.cmd.p2)
    assert.equal(175, rows.last_id)
  end)

  it("is walked fast with a filter, a selection, and from an id on", function()
    check_ids(walk(client:list(EPICS, { filter = { GROUP_ID = 126 }, select = { "NAME" } }, { fast = true })), 75)
    assert.same({ "NAME", "ID" }, requests()[1].params.select)
    check_ids(walk(client:list(EPICS, { filter = { GROUP_ID = 126, [">ID"] = 170 } }, { fast = true })), 5)
    portal:clear()
    portal:script{ page(1, 3) }
    walk(client:list(EPICS, { FILTER = { GROUP_ID = 126 } }, { fast = true }))
    assert.same({ FILTER = { GROUP_ID = 126, [">ID"] = 0 }, order = { ID = "ASC" }, start = -1 }, requests()[1].params)
    local list = walk(client:list(EPICS, nil, { fast = true, after = 60 }))
    check_ids(list, 115)
    assert.equal(61, tonumber(list[1].id))
  end)

  it("is one request when it fits on a page", function()
    for _, fast in ipairs{ false, true } do
      portal:clear()
      assert.same({}, walk(client:list(EPICS, { filter = { GROUP_ID = 127 } }, { fast = fast })))
      check_ids(walk(client:list(EPICS, { filter = { [">=ID"] = 150 } }, { fast = fast })), 26)
      assert.equal(2, #requests())
    end
  end)

  it("that ends with a full page has all its rows", function()
    for _, fast in ipairs{ false, true } do
      check_ids(walk(client:list(EPICS, { filter = { GROUP_ID = 125 } }, { fast = fast })), 100)
      check_ids(walk(client:list(EPICS, { filter = { ["<=ID"] = 50 } }, { fast = fast })), 50)
    end
  end)

  it("has its rows where they are known to be, or said to be, or can only be", function()
    portal:script{ page(1, 50, { rows = "tasks" }), page(51, 60, { rows = "tasks" }) }
    portal:script{ { status = 200, body = "{}" } }
    local one = client:list(TASKS, nil, { fast = true })
    for _ = 1, 50 do assert.is_table(one()) end
    for _, case in ipairs{
      { TASKS }, { "x.list" }, { "x.list", nil, { rows = "things" } }, { "crm.item.list" }, { "crm.deal.list" },
    } do
      local name = case[3] and "things" or case[1] == TASKS and "tasks" or case[1] == "crm.item.list" and "items" or
        case[1] == "x.list" and "elements" or nil
      portal:clear()
      portal:script{ page(1, 50, { rows = name, next = 50, total = 53 }), page(51, 53, { rows = name, total = 53 }) }
      assert.equal(53, #walk(client:list(case[1], case[2], case[3])))
    end
    portal:clear()
    portal:script{ { status = 200, body = '{"result":{"a":[{"id":1}],"b":[]}}' } }
    assert.equal("bad_shape", failure(careful:list("x.list")).reason)
    for _, body in ipairs{ '{"result":{"a":1}}', '{"result":true}', '{"result":null}', '{"result":{"a":{"b":1}}}' } do
      portal:script{ { status = 200, body = body } }
      assert.equal("bad_shape", failure(careful:list("x.list")).reason)
    end
    portal:script{ { status = 200, body = '{"result":[]}' } }
    assert.same({}, walk(client:list("x.list", nil, { rows = "things" })))
  end)

  it("finds out how a row calls its id", function()
    for _, name in ipairs{ "id", "ID" } do
      portal:clear()
      local rows = setmetatable({}, { __jsontype = "array" })
      for i = 1, 50 do rows[i] = { [name] = i } end
      portal:script{ { status = 200, body = json.encode{ result = rows } } }
      local walking = careful:list("x.list", nil, { fast = true })
      for _ = 1, 50 do walking() end
      walking()
      assert.matches("%%5B49%%5D%%5B" .. name .. "%%5D", requests()[2].params.cmd.p2)
    end
  end)

  it("whose cursor stands still is an error with what was read", function()
    -- The same page again and again.
    portal:script{ page(1, 50, { next = 50, total = 120 }), page(1, 50, { next = 50, total = 120 }) }
    local err, read = failure(careful:list("x.list"))
    assert.equal("cursor_stalled", err.reason)
    assert.equal("protocol", err.kind)
    assert.equal("x.list", err.method)
    assert.equal(100, read)
    portal:script{ page(1, 0, { next = 50, total = 120 }) }
    assert.equal("cursor_stalled", failure(careful:list("x.list")).reason)
    -- Fast: the portal ignores the filter.
    portal:clear()
    local again = {}
    for i = 1, 50 do again["p" .. i] = json.decode(page(1, 50).body).result end
    portal:script{ page(1, 50), { status = 200, body = json.encode{ result = { result = again } } } }
    err, read = failure(careful:list("x.list", nil, { fast = true }))
    assert.equal("cursor_stalled", err.reason)
    assert.equal(50, read)
    assert.equal(50, err.last_id)
    assert.equal(2, #requests())
    -- In the middle of a chain.
    portal:clear()
    again.p1 = json.decode(page(51, 100).body).result
    portal:script{ page(1, 50), { status = 200, body = json.encode{ result = { result = again } } } }
    err, read = failure(careful:list("x.list", nil, { fast = true }))
    assert.equal("cursor_stalled", err.reason)
    assert.equal(100, read)
  end)

  it("without ids, or in another order, is an error when it is walked fast", function()
    for _, body in ipairs{
      '{"result":[{"id":"a"}]}', '{"result":[{"x":1}]}', '{"result":[{"id":2},{"id":1}]}', '{"result":[{"id":2},{"id":2}]}',
      '{"result":[1,2]}', '{"result":[{"id":{}}]}', '{"result":[{"id":0}]}',
    } do
      portal:script{ { status = 200, body = body } }
      assert.equal("cursor_stalled", failure(careful:list("x.list", nil, { fast = true })).reason)
    end
    -- The id is said to be called otherwise than it is.
    assert.equal("cursor_stalled", failure(careful:list(EPICS, nil, { fast = true, id = "ID", row_id = "ID" })).reason)
  end)

  it("whose count does not fit is an error", function()
    portal:script{ page(1, 50, { next = 50, total = 2490 }), page(1, 0, { total = 0 }) }
    local err, read = failure(careful:list("x.list"))
    assert.equal("count_mismatch", err.reason)
    assert.equal(50, read)
    portal:script{ page(1, 50, { total = 51 }) }
    assert.equal("count_mismatch", failure(careful:list("x.list")).reason)
    -- Rows that came or went meanwhile: the last count is what counts. No count at all is fine, too.
    portal:script{ page(1, 50, { next = 50, total = 60 }), page(51, 61, { total = 61 }) }
    assert.equal(61, #walk(client:list("x.list")))
    portal:script{ page(1, 50, { next = 50 }), page(51, 61) }
    assert.equal(61, #walk(client:list("x.list")))
    portal:script{ page(1, 20, { total = 0 }) }
    assert.equal(20, #walk(client:list("x.list")))
  end)

  it("that has more pages than allowed is an error", function()
    local err, read = failure(careful:list(EPICS, nil, { max_pages = 2 }))
    assert.equal("page_cap", err.reason)
    assert.equal(100, read)
    err, read = failure(careful:list(EPICS, nil, { max_pages = 1, fast = true }))
    assert.equal("page_cap", err.reason)
    assert.equal(50, read)
    assert.equal(50, err.last_id)
  end)

  it("gives the rows before a failure, and then the failure", function()
    portal:script{ { pass = true }, { status = 400, body = '{"error":0,"error_description":"Could not load list"}' } }
    local err, read = failure(careful:list(EPICS))
    assert.equal("could_not_load_list", err.reason)
    assert.equal(50, read)
    -- In a chain, with what a batch says of a command.
    local sections = {
      result = { p1 = json.decode(page(51, 100).body).result }, result_error = { p2 = { error = "X", error_description = "y" } },
    }
    portal:script{ page(1, 50), { status = 200, body = json.encode{ result = sections } } }
    err, read = failure(careful:list("x.list", nil, { fast = true }))
    assert.equal("X", err.code)
    assert.equal("x.list", err.method)
    assert.equal(100, read)
    assert.equal(100, err.last_id)
    -- The request of a chain fails as a whole.
    portal:script{ page(1, 50), { status = 502, body = "<html>" } }
    err, read = failure(careful:list("x.list", nil, { fast = true }))
    assert.equal("not_json", err.reason)
    assert.equal(50, read)
    assert.equal(1, #err.attempts)
    -- And can be gone on with.
    check_ids(walk(client:list(EPICS, nil, { fast = true, after = err.last_id })), 125)
  end)

  it("raises its errors where errors are raised", function()
    portal:script{ { pass = true }, { status = 400, body = '{"error":0,"error_description":"Could not load list"}' } }
    local read, rows = 0, client:list(EPICS)
    local ok, err = pcall(function()
      for _ in rows do read = read + 1 end
    end)
    assert.is_false(ok)
    assert.is_true(bitrix.is_error(err, "could_not_load_list"))
    assert.equal(50, read)
    assert.has_error(function() rows() end)
  end)

  it("says what is wrong with an argument where it was given", function()
    for _, case in ipairs{
      { "bad argument #1 to 'list' (a method's name expected, got nil)" }, { "bad argument #1 to 'list' (a method's name", "a b" },
      { "bad argument #2 to 'list' (table expected, got number)", "x.list", 5 },
      { "bad argument #2 to 'list' (field 'filter.a': function cannot be sent)", "x.list", { filter = { a = print } } },
      { "bad argument #2 to 'list' (field 'order': the fast way has its own)", "x.list", { order = {} }, { fast = true } },
      { "bad argument #2 to 'list' (field 'START': the fast way has its own)", "x.list", { START = 0 }, { fast = true } },
      { "bad argument #2 to 'list' (field 'start': a number from 0 expected, got -1)", "x.list", { start = -1 } },
      { "bad argument #3 to 'list' (unknown option 'quick')", "x.list", {}, { quick = true } },
      { "bad argument #3 to 'list' (option 'fast': boolean expected, got number)", "x.list", {}, { fast = 1 } },
      { "bad argument #3 to 'list' (table expected, got string)", "x.list", {}, "fast" },
    } do
      local ok, problem = pcall(function() client:list(case[2], case[3], case[4]) end)
      assert.is_false(ok)
      assert.truthy(problem:find(case[1], 1, true), problem)
      assert.truthy(problem:find("list_spec.lua", 1, true), problem)
    end
    assert.equal(0, #requests())
  end)

  it("leaves the caller's tables alone", function()
    local params = { filter = { GROUP_ID = 125 }, select = { "NAME" } }
    walk(client:list(EPICS, params, { fast = true }))
    walk(client:list(EPICS, params))
    assert.same({ filter = { GROUP_ID = 125 }, select = { "NAME" } }, params)
  end)

  it("of the default client is walked likewise", function()
    bitrix.configure{ webhook = portal.webhook, limit = false }
    check_ids(walk(bitrix.list(EPICS, nil, { fast = true })), 175)
    local rows = safe.list(EPICS, nil, { max_pages = 1 })
    assert.equal("page_cap", failure(rows).reason)
    assert.equal("bitrix.rows (" .. EPICS .. ", 50 read)", tostring(rows))
  end)

  describe("of a million rows", function()
    local calls, perform = require "bitrix.call", require("bitrix.call").perform
    local LAST = 1000000
    -- Answers in place of a portal: rows by id, a page or a batch at a time.
    local function answer(_, exchange)
      local body = json.decode(exchange:body())
      local function rows_after(id)
        local rows = {}
        for i = id + 1, math.min(id + 50, LAST) do rows[#rows + 1] = { id = i, title = "task " .. i } end
        return rows
      end
      local info = { status = 200, attempts = {}, timings = {} }
      exchange:close()
      if not body.cmd then return { tasks = rows_after(body.filter[">ID"]) }, info end
      local id = tonumber(body.cmd.p1:match("%%3EID%%5D=(%d+)"))
      local results = {}
      for i = 1, 50 do results["p" .. i] = { tasks = rows_after(id + (i - 1) * 50) } end
      return { result = results }, info
    end

    it("has each row once, in flat memory #slow", function()
      calls.perform = answer
      finally(function() calls.perform = perform end)
      local rows = client:list(TASKS, nil, { fast = true })
      local highest, seen, previous, low = 0, 0, 0, nil
      for row in rows do
        seen = seen + 1
        assert(row.id == previous + 1)
        previous = row.id
        if seen % 50000 == 0 then
          collectgarbage()
          collectgarbage()
          local used = collectgarbage("count")
          low = low or used
          highest = math.max(highest, used)
        end
      end
      assert.equal(LAST, seen)
      assert.equal(401, rows.requests)
      -- KiB: a request's rows, at different points of their way; a million rows would be above 100,000.
      assert.is_true(highest - low < 3000, highest - low)
    end)
  end)
end)
