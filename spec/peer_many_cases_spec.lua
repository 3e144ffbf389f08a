-- The cases of spec/cases/peer_cases.json about batches, lists and PHP's query coding. Each runs here or is named with a reason.
local bitrix = require "bitrix"
local calls = require "bitrix.call"
local core = require "bitrix.core"
local json = require "dkjson"
local peer_cases = require "support.peer_cases"
local php = require "bitrix.portal.php"
local safe = require "bitrix.safe"

local NOT_RUN = {
  C153 = "there is no option auth_connector; it is a parameter like any other",
  C156 = "there is no helper that deletes; an id may be a string of digits everywhere here",
  C158 = "REST v3's batch is another one, a list of methods; not there",
  C165 = "REST v3's pages (limit, offset)", C166 = "REST v3's pages", C167 = "REST v3's pages", C168 = "REST v3's pages",
  C186 = "a null is left out, as PHP does; that client sends an empty text, which means something else",
}

local CATEGORIES = { batch = true, list = true, encoding = true }

local with_our_null = peer_cases.with_our_null

describe("peer case", function()
  local portal, client

  setup(function()
    portal = require("bitrix.portal").start()
    client = safe.new{ webhook = portal.webhook, limit = false, retry = false }
  end)
  teardown(function() portal:stop() end)
  before_each(function() portal:clear() end)

  -- ---- batches ----

  -- The commands as { { name, method, params }, ... } in order.
  local function commands_of(given)
    local list = {}
    if given.batch_n then
      for i = 1, given.batch_n do list[i] = { tostring(i - 1), given.command[1], given.command[2] } end
    elseif given.cmd then
      for name, text in pairs(given.cmd) do
        local method, query = text:match("^([^?]*)%??(.*)$")
        list[#list + 1] = { name, method, php.parse_query(query) }
      end
      table.sort(list, function(a, b) return (tonumber(a[1]) or a[1]) < (tonumber(b[1]) or b[1]) end)
    elseif given.batch[1] then
      for i, row in ipairs(given.batch) do list[i] = { tostring(i - 1), row[1], row[2] } end
    else
      for name, row in pairs(given.batch) do list[#list + 1] = { name, row[1], row[2] } end
    end
    return list
  end

  -- The recorded sections with this client's own keys. A list there has the keys 0, 1, 2: so PHP wrote it.
  local function with_our_keys(body, commands)
    if type(body.result) ~= "table" then return body end
    local result = {}
    for section, values in pairs(body.result) do
      result[section] = {}
      for i, command in ipairs(commands) do
        local value = values[command[1]]
        if value == nil and tonumber(command[1]) then value = values[tonumber(command[1]) + 1] end
        result[section]["c" .. i] = value
      end
    end
    return { result = result, time = body.time }
  end

  local function script(case, commands)
    local rules = {}
    for i, response in ipairs(case.given.responses or {}) do
      rules[i] = { status = response.http_status, body = json.encode(with_our_keys(response.body, commands)) }
    end
    if case.given.batch_n then
      -- Answers that say which command they are for.
      for first = 1, case.given.batch_n, 50 do
        local results = {}
        for i = first, math.min(first + 49, case.given.batch_n) do results["c" .. i] = i end
        rules[#rules + 1] = { status = 200, body = json.encode{ result = { result = results } } }
      end
    end
    portal:script(rules)
  end

  local function check_item(expected, command)
    if expected.ok then
      assert.equal("ok", command.status)
      if expected.result ~= nil then assert.same(with_our_null(expected.result), command.result) end
    elseif expected.not_executed then
      assert.equal("not_executed", command.status)
      assert.equal("no", command.error.executed)
    else
      assert.equal("failed", command.status)
      assert.is_true(bitrix.is_error(command.error))
      local err = expected.error or {}
      if err.code then assert.equal(err.code, command.error.code) end
      if err.description then assert.equal(err.description, command.error.message) end
    end
  end

  local run = {}

  function run.batch(case)
    local expect, commands, list = case.expect, commands_of(case.given), {}
    script(case, commands)
    local batch = client:batch{ halt = case.given.halt or false }
    for i, command in ipairs(commands) do list[i] = batch:call(command[2], with_our_null(command[3])) end
    local ok, failed = batch:run()
    local journal = portal:journal()
    if expect.http_requests then assert.equal(expect.http_requests, #journal) end
    if expect.batch_retried == false then assert.equal(1, #journal) end
    if expect.ok == true then assert.is_true(ok) end
    if expect.ok == false then
      assert.equal(#list, #failed)
      for _, command in ipairs(list) do check_item({ error = expect.error }, command) end
    end
    for i, command in ipairs(commands) do
      local item = expect.items and (expect.items[command[1]] or expect.items[i])
      if item then check_item(item, list[i]) end
      if expect.items_ok then assert.equal(expect.items_ok[i], list[i].status == "ok") end
      if expect.items_results then assert.equal(expect.items_results[i], list[i].result) end
      if expect.results then assert.equal(expect.results[command[1]], list[i].result) end
      if expect.order_preserved or expect.results_in_input_order then assert.equal(i, list[i].result) end
    end
    if expect.failed then
      assert.equal(#expect.failed, #failed)
      for i, name in ipairs(expect.failed) do assert.equal(list[tonumber(name) + 1], failed[i]) end
    end
    for i, size in ipairs(expect.chunk_sizes or {}) do
      local count = 0
      for _ in pairs(journal[i].params.cmd) do count = count + 1 end
      assert.equal(size, count)
    end
    if expect.server_sees then
      local query = journal[1].params.cmd.c1:match("%?(.*)$")
      assert.same(expect.server_sees, php.parse_query(query))
    end
  end

  -- ---- lists ----

  -- Answers as the case's emulator does, in place of a portal; and what it was asked, in order.
  local function pretend(emulator, spec)
    local asked = {}
    local id_name = emulator.response_id_field or spec.id_field or "ID"
    local size = emulator.page or 50
    local function rows_after(id, last)
      local rows = {}
      for i = id + 1, math.min(id + size, last) do
        rows[#rows + 1] = { [id_name] = emulator.id_values == "non-numeric" and ("x%05d"):format(i) or i }
      end
      return rows
    end
    local function page(params)
      local key = next(params.filter or {})
      local id = tonumber(params.filter[key]) or 0
      if emulator.returns_same_page_forever or emulator.ignores_filter then id = 0 end
      local rows = rows_after(id, emulator.rows or math.huge)
      return spec.rows_key and { [spec.rows_key] = rows } or rows, rows
    end
    return asked, function(_, exchange)
      local body = json.decode(exchange:body())
      exchange:close()
      asked[#asked + 1] = body
      local info = { status = 200, attempts = {}, timings = {}, total = emulator.total_when_start_minus_1 }
      if emulator.first_page then
        info.total, info.next = emulator.first_page.total, #asked == 1 and emulator.first_page.next or nil
        return #asked == 1 and rows_after(0, emulator.first_page.rows) or {}, info
      end
      if not body.cmd then return page(body), info end
      local results, last = {}, nil
      for i = 1, 50 do
        local params = php.parse_query(body.cmd["p" .. i]:match("%?(.*)$"))
        local key = next(params.filter)
        if params.filter[key]:find("$result", 1, true) then params.filter[key] = last and last[50] and last[50][id_name] or "" end
        local result, rows = page(params)
        results["p" .. i], last = result, rows
      end
      return { result = results }, info
    end
  end

  function run.list(case)
    local given, expect = case.given, case.expect
    local spec = given.list or given.list_fast
    local asked, answer = pretend(given.emulator, spec)
    local perform = calls.perform
    calls.perform = answer
    finally(function() calls.perform = perform end)
    local by_next = given.emulator.first_page ~= nil
    local rows = client:list(spec.method, nil, {
      fast = not by_next, id = spec.id_field, row_id = spec.id_field, rows = spec.rows_key,
    })
    local count = 0
    for _ in rows do count = count + 1 end
    if expect.ok == false or expect.suggested or expect.terminates then
      assert.is_true(bitrix.is_error(rows.error), "it ended silently")
      assert.equal(count, rows.error.read)
      assert.equal(by_next and "count_mismatch" or "cursor_stalled", rows.error.reason)
    else
      assert.is_nil(rows.error)
      assert.equal(expect.rows, count)
    end
    if expect.http_requests then assert.equal(expect.http_requests, #asked) end
    if expect.http_requests_max then assert.is_true(#asked <= expect.http_requests_max) end
    if expect.order then assert.same(expect.order, asked[1].order) end
    if expect.first_request_params then assert.same(expect.first_request_params, asked[1]) end
    if expect.second_filter then
      assert.equal(tostring(expect.second_filter[">id"]), php.parse_query(asked[2].cmd.p1:match("%?(.*)$")).filter[">id"])
    end
  end

  function run.call(case)
    local body = case.given.responses[1].body
    portal:script{ { status = 200, body = (json.encode(body):gsub('"result":{}', '"result":[]')) } }
    local result = client:call(case.given.method, case.given.params)
    assert.same({}, result)
  end

  -- ---- PHP's query coding ----

  function run.encode(case)
    local session = assert(core.session{ webhook = portal.webhook })
    local text = assert(session:command_call("m", with_our_null(case.given.encode))):match("^m%?(.*)$")
    -- Brackets are written as %5B and %5D by PHP, and as they are in the cases.
    text = text:gsub("%%5B", "["):gsub("%%5D", "]")
    if case.expect.query_pairs then
      assert.equal(table.concat(case.expect.query_pairs, "&"), text)
    else
      assert.equal(case.expect.query, text)
    end
  end

  local function runner_of(given)
    return given.encode and run.encode or (given.batch or given.cmd or given.batch_n) and run.batch
      or (given.list or given.list_fast) and run.list or given.responses and run.call
  end

  local known, ran = {}, 0
  for _, case in ipairs(peer_cases.read()) do
    if CATEGORIES[case.category] then
      known[case.id] = true
      if not NOT_RUN[case.id] then
        ran = ran + 1
        it(("%s (%s): %s"):format(case.id, case.category, case.name), function()
          local runner = runner_of(case.given)
          assert.is_function(runner, "nothing here knows how to run this case")
          runner(case)
        end)
      end
    end
  end

  it("is left out only for a reason", function()
    assert.is_true(ran >= 25, "only " .. ran .. " cases ran")
    for id in pairs(NOT_RUN) do assert.is_true(known[id], id .. " is not in the file") end
  end)
end)
