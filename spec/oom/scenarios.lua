-- What is done while memory fails: see oom.c, which runs each of these once for every allocation that it makes.
--   setup()     without failures: what the run finds there; its values are handed to run
--   run(...)    under failures; ends in an error that says "not enough memory", or in the values for check
--   check(...)  without failures: raises an error unless the values are what they always are
--   requests    how many a run sends, no more and no less when it ends without an error
--   least       how many it sends at least then, if that is not the same
-- The answers to the webhooks' codes are in server.c.
local port, closed_port, this_file = ...

local unpack = table.unpack or unpack
local ID = { groupId = 125, createdBy = 6 }
local core

local function options(code, more)
  local o = {
    webhook = ("http://127.0.0.1:%d/rest/1/oom-%s/"):format(port, code),
    proxy = false, user_agent = "oom-test/1", headers = { ["X-One"] = "eins", ["X-Two"] = "zwei" }, timeout = 20,
  }
  for name, value in pairs(more or {}) do o[name] = value end
  return o
end

local function forget(...)
  for _, name in ipairs{ ... } do package.loaded[name] = nil end
end

local function load_core() core = require "bitrix.core" end

local function setup_options(code, more)
  return function()
    load_core()
    return options(code, more)
  end
end

-- A session that has made one call.
local function setup_kept(code)
  return function()
    load_core()
    local session = core.session(options(code))
    local exchange = session:prepare(1, ID)
    exchange:perform()
    exchange:result()
    return session
  end
end

local function add(session, seconds)
  local exchange = session:prepare(1, ID)
  exchange:perform(seconds)
  return exchange:result()
end

local function add_fresh(o)
  local session = assert(core.session(o))
  return add(session)
end

-- Waits until the engine is done with these exchanges. What an earlier run has left there is let go.
local function land(engine, exchanges)
  local left = #exchanges
  while left > 0 do
    if not engine:wait(20) then error("the engine does not come to an end", 0) end
    local exchange = engine:finished()
    for _, own in ipairs(exchanges) do
      if own == exchange then left = left - 1 end
    end
  end
end

local function add_by_engine(session, seconds)
  local engine, exchange = core.engine(), session:prepare(1, ID)
  engine:submit(exchange, seconds)
  land(engine, { exchange })
  return exchange:result()
end

local function equal(expected, value, name)
  if type(expected) == "table" and type(value) == "table" and not getmetatable(value) then
    for k, v in pairs(expected) do equal(v, value[k], name .. "." .. tostring(k)) end
    for k in pairs(value) do equal(expected[k], value[k], name .. "." .. tostring(k)) end
  elseif expected ~= value then
    error(("%s is %s instead of %s"):format(name, tostring(value), tostring(expected)), 0)
  end
end

local function check_info(info, status)
  if core.is_error(info) then error(tostring(info), 0) end
  equal(status, info.status, "info.status")
  for _, point in ipairs{ "dns", "connect", "tls", "first_byte", "total" } do
    equal("number", type(info.timings[point]), "timings." .. point)
  end
end

local function check_added(result, info, attempt)
  check_info(info, 200)
  equal({ id = 7, groupId = 125, createdBy = 6, modifiedBy = 6 }, result, "result")
  if math.type then equal("integer", math.type(result.id), "type of id") end
  equal({ start = 1.5 }, info.time, "info.time")
  equal(200, attempt.status, "attempt.status")
end

-- A check for an error object: its fields, but for `message`, of which a beginning is given.
local function check_error(fields, message)
  return function(result, err, attempt)
    if not core.is_error(err) then error("no error object: " .. tostring(result) .. ", " .. tostring(err), 0) end
    local copy = {}
    for k, v in pairs(err) do copy[k] = v end
    if (copy.message or ""):sub(1, #message) ~= message then error("message is " .. tostring(copy.message), 0) end
    copy.message, copy.attempts, copy.request_id = nil, nil, nil
    fields.method = "tasks.api.scrum.backlog.add"
    equal(fields, copy, tostring(err))
    equal(nil, result, "result")
    if attempt then equal(fields.code, attempt.code, "attempt.code") end
  end
end

local function failing(name, code, more, fields, message)
  return {
    name = name, requests = 1, setup = setup_options(code, more), run = add_fresh, check = check_error(fields, message),
  }
end

local already = {
  kind = "api", reason = "backlog_already_added", executed = "yes", status = 400, code = "0",
}

local scenarios = {
  {
    name = "require 'bitrix.core'",
    run = function()
      forget("bitrix.core", "cjson")
      return require "bitrix.core"
    end,
    check = function(module)
      core = module
      local session = module.session(options "added")
      check_added(add(session))
      equal("backlog_add", module.methods()[1].name, "methods")
    end,
    check_requests = 1,
  },
  {
    name = "a session with every option",
    setup = setup_options("added", {
      proxy = "http://user:password@127.0.0.1:3128", ca_file = this_file, verify = false, connect_timeout = 3,
      deadline = 30, max_response = 100000, max_connections = 3, insecure_http = true,
    }),
    run = function(o) return core.session(o) end,
    check = function(session, deadline)
      equal("http://127.0.0.1:" .. port, session:place(), "place")
      equal(("bitrix.session (http://127.0.0.1:%d)"):format(port), tostring(session), "tostring")
      equal(30, deadline, "deadline")
    end,
  },
  {
    name = "options that are refused",
    setup = function()
      load_core()
      local list = {
        { webhook = "http://user@127.0.0.1/rest/1/secret/" }, { webhook = "http://127.0.0.1/rest/1/secret/?a=b" },
        { webhook = "http://127.0.0.1/rest/1/secret/#a" }, { webhook = "http://portal.example/rest/1/secret/" },
        { webhook = "http://127.0.0.1:port/rest/1/secret/" }, { proxy = "gopher://127.0.0.1" },
        { headers = { Host = "elsewhere" } }, { timeout = -1 }, { timout = 1 }, {},
      }
      return list
    end,
    run = function(list)
      local refused = {}
      for i, o in ipairs(list) do refused[i] = { core.session(o) } end
      return refused
    end,
    check = function(refused)
      local texts = {
        "option 'webhook': the address of", "option 'webhook': the address of", "option 'webhook': the address of",
        "option 'webhook': https expected", "option 'webhook': the address of", "option 'proxy': a proxy's address",
        "option 'headers': a header that t", "option 'timeout': a positive", "unknown option 'timout'; did", "no webhook:",
      }
      for i, text in ipairs(texts) do
        equal(nil, refused[i][1], i .. ": session")
        equal(text, refused[i][2]:sub(1, #text), i .. ": message")
      end
    end,
  },
  {
    name = "backlog_add, first call", requests = 1,
    setup = setup_options "added", run = add_fresh, check = check_added,
  },
  {
    name = "backlog_add, kept connection", requests = 1, setup_requests = 1,
    setup = setup_kept "added", run = add, check = check_added,
  },
  {
    name = "a compressed answer", requests = 1,
    setup = setup_options "zipped", run = add_fresh, check = check_added,
  },
  {
    name = "a large answer", requests = 1, setup_requests = 1,
    setup = setup_kept "large", run = add,
    check = function(result, info)
      check_info(info, 200)
      equal(3000, #result, "count")
      for i, n in ipairs(result) do equal(999 + i, n, "item") end
    end,
  },
  failing("an API error", "already", nil, already, "Backlog already added"),
  failing("an error of REST v3", "v3", nil, {
    kind = "api", reason = "validation_error", executed = "no", status = 400, code = "VALIDATION_ERROR",
    validation = { { field = "title", message = "Required field" }, { field = "x", message = "y" } },
  }, "Invalid input"),
  failing("an HTML page", "html", nil, {
    kind = "protocol", reason = "not_json", executed = "unknown", status = 502,
    body = "<html>502 of /rest/[REDACTED]/</html>",
  }, "the answer is not JSON"),
  failing("a redirect", "redirect", nil, {
    kind = "auth", reason = "redirect_refused", executed = "no", status = 302,
    redirect = "https://other.example/rest/[REDACTED]/",
  }, "the portal answers with a redirect to https://other.example/rest/[REDACTED]/, which"),
  failing("a truncated answer", "truncated", nil, {
    kind = "protocol", reason = "truncated", executed = "unknown", status = 200, body = '{"result":{"id":7,',
  }, ""),
  failing("an answer that is too large", "added", { max_response = 20 }, {
    kind = "protocol", reason = "too_large", executed = "unknown", status = 200, body = '{"result":{"id":7,"g',
  }, "the answer is larger than max_response (20 bytes)"),
  failing("no answer", "reset", nil, { kind = "network", reason = "reset", executed = "unknown" }, ""),
  {
    name = "connection refused",
    setup = setup_options("added", { webhook = ("http://127.0.0.1:%d/rest/1/secret/"):format(closed_port) }),
    run = add_fresh, check = check_error({ kind = "network", reason = "connect", executed = "no" }, ""),
  },
  {
    name = "TLS fails",
    setup = setup_options("added", {
      webhook = ("https://127.0.0.1:%d/rest/1/secret/"):format(port), verify = false, ca_file = this_file,
    }),
    run = add_fresh, check = check_error({ kind = "network", reason = "tls", executed = "no" }, ""),
  },
  {
    name = "no time left",
    setup = setup_options "added",
    run = function(o)
      local session = assert(core.session(o))
      return add(session, 0)
    end,
    check = check_error({ kind = "timeout", reason = "deadline", executed = "no" }, "the deadline passed"),
  },
  {
    name = "a call by name, nested parameters", requests = 1,
    setup = setup_options "called",
    run = function(o)
      local exchange = assert(core.session(o)):call("crm.item.list", { filter = { stages = { "NEW", "Wön" } } })
      exchange:perform()
      return exchange:result()
    end,
    check = function(result, info)
      check_info(info, 200)
      equal({ items = { { id = 1, list = { core.null, 2.5 } } } }, result, "result")
      equal(1, info.total, "total")
      equal(50, info.next, "next")
    end,
  },
  {
    name = "the engine, first call", requests = 1,
    setup = setup_options "added",
    run = function(o) return add_by_engine(assert(core.session(o)), 20) end,
    check = check_added,
  },
  {
    name = "the engine, kept connection", requests = 1, setup_requests = 1,
    setup = function()
      load_core()
      local session = core.session(options "added")
      add_by_engine(session)
      return session
    end,
    run = add_by_engine, check = check_added,
  },
  {
    name = "the engine, a large answer", requests = 1,
    setup = setup_options "large",
    run = function(o) return add_by_engine(assert(core.session(o))) end,
    check = function(result, info)
      check_info(info, 200)
      equal(3000, #result, "count")
    end,
  },
  {
    name = "the engine, no answer", requests = 1,
    setup = setup_options "reset",
    run = function(o) return add_by_engine(assert(core.session(o))) end,
    check = check_error({ kind = "network", reason = "reset", executed = "unknown" }, ""),
  },
  {
    name = "the engine, one at a time, and one cancelled", requests = 3, least = 2,
    setup = setup_options("added", { max_connections = 1 }),
    run = function(o)
      local session, engine, list = assert(core.session(o)), core.engine(), {}
      for i = 1, 3 do list[i] = session:prepare(1, ID) end
      for i = 1, 3 do engine:submit(list[i], 20) end
      engine:cancel(list[3])
      land(engine, list)
      local added, err = list[3]:result()
      list[2]:result()
      local outcome = { list[1]:result() }
      outcome[4] = added == nil and err or nil
      return unpack(outcome, 1, 4)
    end,
    check = function(result, info, attempt, err)
      check_added(result, info, attempt)
      if err then equal("cancelled", err.reason, "reason") end -- unless its answer was quicker
    end,
  },
  {
    name = "the engine, over a channel", requests = 1,
    setup = function()
      load_core()
      local unix = require "socket.unix"
      return core.session(options "added"), type(unix) == "table" and unix.stream or unix, core.engine()
    end,
    run = function(session, new_channel, engine)
      local exchange, channel = session:prepare(1, ID), new_channel()
      channel:settimeout(20)
      assert(channel:connect((assert(engine:address()):gsub("^unix:", ""))))
      channel:send(engine:submit(exchange, 20, true))
      local byte, problem = channel:receive(1)
      channel:close()
      if not byte then error(problem == "closed" and "not enough memory for a channel" or problem, 0) end
      return exchange:result()
    end,
    check = check_added,
  },
  {
    name = "the engine, closed with its state", setup_requests = 1,
    setup = function()
      load_core()
      local session = core.session(options "added")
      add_by_engine(session)
      return session
    end,
    run = function(session)
      local exchange = session:prepare(1, ID)
      core.engine():submit(exchange, 20)
      exchange:close()
      session = core.session(options "added")
      session:close()
      return true
    end,
    requests = 1, least = 0,
    check = function(value) equal(true, value, "value") end,
  },
  {
    name = "parameters that are refused",
    setup = function()
      load_core()
      return core.session(options "added")
    end,
    run = function(session)
      return {
        { session:call("m", { filter = { { x = print } } }) }, { session:call("m", { filter = { [true] = 1 } }) },
        { session:call("m", { a = { b = { "\255" } } }) }, { session:call("m", { a = { n = 0 / 0 } }) },
        { session:call("m", { a = { n = 2 ^ 53 } }) },
        { session:call("a b") }, { session:prepare(1, { groupId = 125 }) },
        { session:prepare(1, { groupId = 125, created_by = 6 }) }, { session:prepare(3, { id = 1 }) },
        { session:prepare(1, { groupId = 1.5, createdBy = 6 }) },
      }
    end,
    check = function(refused)
      local texts = {
        "field 'filter[1].x': function cannot", "field 'filter[boolean]': a key", "field 'a.b[1]': the string is not",
        "field 'a.n': NaN", "field 'a.n': ", "'call' (a method's name", "'createdBy': integer expected, got nil",
        "did you mean 'createdBy'", "nothing to change", "got 1.5",
      }
      for i, text in ipairs(texts) do
        if i ~= 5 or refused[i][1] == nil then -- whether cjson can write 2^53 depends on its version
          equal(nil, refused[i][1], text)
          equal("number", type(refused[i][2]:find(text, 1, true)), text .. ": " .. refused[i][2])
        end
      end
    end,
  },
  {
    name = "the commands of a batch",
    setup = function()
      load_core()
      return core.session(options "added")
    end,
    run = function(session)
      local number
      for i, row in ipairs(core.methods()) do number = row.name == "epic_add" and i or number end
      local first = { key = "c1", text = (session:command_call("a.b", { x = { y = { 1, 2.5, true }, ["&"] = "=" } })) }
      local reference = core.reference({}, "c1", "id", 0)
      local params = { groupId = reference, name = ("x"):rep(300), files = { reference, { a = core.null } } }
      local second = { key = "c2", text = (session:command(number, params)) }
      local resolved = session:command(number, params, { [reference] = { 7, { b = "c" } } })
      local exchange = session:batch({ first, second }, 1, 2, true)
      local body = exchange:body()
      exchange:close()
      local err = session:command_error("a.b", { error = 0, error_description = "Backlog already added" }, 200)
      local failure = session:failure("a.b", err)
      local json = core.decode(core.encode{ a = { 1, core.null } })
      return { first = first.text, body = body, resolved = resolved, err = err, failure = failure, json = json }
    end,
    check = function(got)
      equal("a.b?x%5B%26%5D=%3D&x%5By%5D%5B0%5D=1&x%5By%5D%5B1%5D=2.5&x%5By%5D%5B2%5D=1", got.first, "text")
      equal('{"halt":1,"cmd":{"c1":"a.b', got.body:sub(1, 26), "body")
      equal("fields%5BgroupId%5D%5B0%5D=7", got.resolved:match("fields%%5BgroupId%%5D%%5B0%%5D=7"), "resolved")
      equal("backlog_already_added", got.err.reason, "reason")
      equal(tostring(got.err), tostring(got.failure), "failure")
      equal(1, got.json.a[1], "json")
    end,
  },
  {
    name = "redact, tostring", setup_requests = 1,
    setup = function()
      load_core()
      local session = core.session(options "already")
      local _, err = add(session)
      local t = { list = { "http://a/rest/1/secret/m", { access_token = "x" } }, url = "https://u:p@h/?auth=secret", n = 1 }
      return t, err, session:prepare(1, ID)
    end,
    run = function(t, err, exchange)
      return core.redact(t), tostring(err), tostring(exchange), core.is_error(err, "api"), exchange:body()
    end,
    check = function(t, err, exchange, is, body)
      local mask = "[REDACTED]"
      equal({ list = { "http://a/rest/" .. mask .. "/m", { access_token = mask } }, n = 1,
        url = "https://" .. mask .. "@h/?auth=" .. mask }, t, "redacted")
      equal("bitrix: tasks.api.scrum.backlog.add: Backlog already added (backlog_already_added, HTTP 400, code 0)", err,
        "tostring")
      equal("bitrix.exchange (tasks.api.scrum.backlog.add)", exchange, "tostring")
      equal(true, is, "is_error")
      equal('{"fields":{"groupId":125,"createdBy":6}}', body, "body")
    end,
  },
  {
    name = "require 'bitrix'",
    setup = function() require "bitrix" end,
    run = function()
      -- The rest stays loaded: its allocations are Lua's business, and there are ten thousand.
      forget("bitrix", "bitrix.client", "bitrix.scrum", "bitrix.runtime.blocking", "bitrix.core", "cjson")
      return require "bitrix"
    end,
    check = function(bitrix)
      load_core()
      local client = bitrix.new(options "added")
      check_added(client.scrum.backlog_add(ID), select(2, client.scrum.backlog_add(ID)), { status = 200 })
    end,
    check_requests = 2,
  },
  {
    name = "the face: a new client's call", requests = 1,
    setup = function()
      load_core()
      return require "bitrix", options("added", { retry = false })
    end,
    run = function(bitrix, o) return bitrix.new(o).scrum.backlog_add(ID) end,
    check = function(result, info) check_added(result, info, info.attempts[1]) end,
  },
  {
    name = "the safe face: an API error", requests = 1,
    setup = function()
      load_core()
      return require "bitrix.safe".new(options("already", { retry = false }))
    end,
    run = function(client) return client.scrum.backlog_add(ID) end,
    check = function(result, err)
      check_error(already, "Backlog already added")(result, err, err.attempts[1])
    end,
  },
}

return scenarios
