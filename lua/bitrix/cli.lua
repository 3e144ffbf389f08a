--- The command line: bitrix call, scrum, import, methods. Turns words into calls, and outcomes into text and an exit
-- code. bin/bitrix starts it. Needs argparse.
local argparse = require "argparse"
local bitrix = require "bitrix.safe"
local bulk = require "bitrix.bulk"
local calls = require "bitrix.call"
local core = require "bitrix.core"
local csv = require "bitrix.csv"
local progress = require "bitrix.progress"

local _M = {}

--- Exit codes: by what went wrong, for scripts.
_M.CODES = {
  trouble = 1, -- of this machine: a file cannot be read or written
  usage = 2,
  api = 3, auth = 4, limit = 5, network = 6, timeout = 7, protocol = 8, -- an error object's kind
  rows = 9, -- import: it went through, and some rows failed
  interrupted = 130,
}

local MOST_SHOWN = 20 -- failures of an import on the screen

-- ---- values to text ----

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

local function is_list(t) return #t > 0 or next(t) == nil end

--- JSON with its keys in order, indented.
local function json_of(value, indent)
  if type(value) ~= "table" then return (assert(core.encode{ value }):match("^%[(.*)%]$")) end
  if next(value) == nil then return "[]" end
  indent = indent or ""
  local inner, parts = indent .. "  ", {}
  if is_list(value) then
    for i, element in ipairs(value) do parts[i] = inner .. json_of(element, inner) end
    return "[\n" .. table.concat(parts, ",\n") .. "\n" .. indent .. "]"
  end
  for i, key in ipairs(sorted_keys(value)) do
    parts[i] = inner .. json_of(tostring(key)) .. ": " .. json_of(value[key], inner)
  end
  return "{\n" .. table.concat(parts, ",\n") .. "\n" .. indent .. "}"
end

local function scalar(value)
  if value == core.null then return "null" end
  -- A terminal must not obey what a portal sends.
  return (tostring(value):gsub("[%c\127]", function(c) return c == "\n" and "\\n" or ("\\x%02x"):format(c:byte()) end))
end

--- Lines for people.
local function readable(value, indent, lines)
  indent, lines = indent or "", lines or {}
  if type(value) ~= "table" then
    lines[#lines + 1] = indent .. scalar(value)
  elseif next(value) == nil then
    lines[#lines + 1] = indent .. "(empty)"
  elseif is_list(value) then
    for _, element in ipairs(value) do
      if type(element) == "table" and next(element) ~= nil then
        lines[#lines + 1] = indent .. "-"
        readable(element, indent .. "  ", lines)
      else
        lines[#lines + 1] = indent .. "- " .. (type(element) == "table" and "(empty)" or scalar(element))
      end
    end
  else
    local width = 0
    for key in pairs(value) do width = math.max(width, #tostring(key)) end
    for _, key in ipairs(sorted_keys(value)) do
      local inner = value[key]
      if type(inner) == "table" and next(inner) ~= nil then
        lines[#lines + 1] = indent .. scalar(key) .. ":"
        readable(inner, indent .. "  ", lines)
      else
        local text = type(inner) == "table" and "(empty)" or scalar(inner)
        lines[#lines + 1] = ("%s%-" .. width .. "s  %s"):format(indent, scalar(key), text)
      end
    end
  end
  return lines
end

local function say(...) io.stdout:write(...) end

local function complain(...) io.stderr:write("bitrix: ", ...) io.stderr:write("\n") end

local function show(options, value)
  if options.json then
    say(json_of(value), "\n")
  else
    say(table.concat(readable(value), "\n"), "\n")
  end
end

local SHOWN = { "kind", "reason", "code", "message", "status", "method", "executed", "validation", "body" }

-- Reports an error object; its exit code.
local function show_error(options, err)
  if options.json then
    local fields = {}
    for _, name in ipairs(SHOWN) do fields[name] = err[name] end
    say(json_of{ error = fields }, "\n")
  end
  io.stderr:write(scalar(tostring(err)), "\n")
  if err.executed == "unknown" then complain("nobody knows whether it was executed") end
  return _M.CODES[err.kind] or _M.CODES.trouble
end

-- ---- words to parameters ----

-- fields[NAME]=x and filter[>=ID]=5 and select[]=ID, and with := any JSON. The name's parts, and the value; or nil,
-- message.
local function read_parameter(word)
  local base, rest = word:match("^([^%[=:]+)(.*)$")
  if not base then return nil, ("'%s': key=value expected"):format(word) end
  local path = { base }
  while rest:sub(1, 1) == "[" do
    local key, behind = rest:match("^%[([^%]]*)%](.*)$")
    if not key then return nil, ("'%s': a bracket that is not closed"):format(word) end
    path[#path + 1], rest = key, behind
  end
  if rest:sub(1, 1) == "=" then return path, rest:sub(2) end
  if rest:sub(1, 2) ~= ":=" then return nil, ("'%s': key=value expected"):format(word) end
  local value, problem = core.decode("[" .. rest:sub(3) .. "]")
  if not value then return nil, ("'%s': JSON expected behind := (%s)"):format(word, problem) end
  return path, value[1]
end

local function read_parameters(words)
  local params = {}
  for _, word in ipairs(words) do
    local path, value = read_parameter(word)
    if not path then return nil, value end
    local at = params
    for i, key in ipairs(path) do
      if key == "" then key = #at + 1 end
      if i == #path then
        at[key] = value
      else
        if type(at[key]) ~= "table" then at[key] = {} end
        at = at[key]
      end
    end
  end
  return params
end

-- ---- a client, and one call ----

local function usage(problem)
  complain((problem:gsub("^bitrix: ", "")))
  return _M.CODES.usage
end

-- The client of the options; or nil, exit code.
local function open_client(options)
  local ok, client = pcall(bitrix.new, {
    webhook = options.webhook, ca_file = options.ca_file, deadline = options.deadline,
    insecure_http = options.insecure_http or nil,
  })
  if ok then return client end
  return nil, usage((client:match("^.-%((.*)%)$") or client):gsub("^option 'webhook'", "--webhook"))
end

-- The request that would be sent, as it would be, but for what is secret.
local function show_request(options, client, exchange)
  local webhook = options.webhook or os.getenv("BITRIX24_WEBHOOK_URL") or client._state.session:place() .. "/rest/"
  if webhook:sub(-1) ~= "/" then webhook = webhook .. "/" end
  say("POST ", core.redact(webhook .. exchange:method()), "\n")
  say("Content-Type: application/json\nAccept: application/json\nUser-Agent: bitrix-lua/", core._VERSION, "\n\n")
  say(core.redact(exchange:body()), "\n")
  exchange:close()
end

-- how: "call" or "prepare", of the session; what: the method's name or number.
local function run_call(options, how, what, params)
  local client, code = open_client(options)
  if not client then return code end
  local session = client._state.session
  local exchange, problem = session[how](session, what, params)
  if not exchange then return usage((problem:match("^bad argument #%d to '[^']*' %((.*)%)$") or problem)) end
  if options.dry_run then
    show_request(options, client, exchange)
    return 0
  end
  local result, more = calls.perform(client._state, exchange)
  if result == nil then return show_error(options, more) end
  show(options, result)
  return 0
end

-- ---- the commands ----

local commands = {}

function commands.call(options)
  local params, problem = read_parameters(options.parameters)
  if not params then return usage(problem) end
  return run_call(options, "call", options.method, params)
end

-- backlog-add → its row and number.
local function find_method(name)
  name = name:gsub("^scrum%.", ""):gsub("%-", "_")
  for number, row in ipairs(core.methods()) do
    if row.space == "scrum" and row.name == name then return row, number end
  end
end

function commands.scrum(options)
  local row, number = find_method(options.scrum)
  local params = {}
  for _, param in ipairs(row.params) do
    local text = options["param_" .. param.name]
    if text ~= nil and param.type == "table" then
      local value, problem = core.decode(text)
      if type(value) ~= "table" then
        return usage(("--%s: JSON expected (%s)"):format(param.name, problem or "an object or a list"))
      end
      text = value
    end
    params[param.name] = text
  end
  return run_call(options, "prepare", number, params)
end

function commands.methods(options)
  local list = {}
  for _, row in ipairs(core.methods()) do
    local params = {}
    for i, param in ipairs(row.params) do
      params[i] = (param.required and "--%s %s" or "[--%s %s]"):format(param.name, param.type)
    end
    local command = row.space .. " " .. row.name:gsub("_", "-")
    list[#list + 1] = { command = command, method = row.method, parameters = params }
  end
  if options.json then
    show(options, list)
  else
    for _, row in ipairs(list) do
      say(("bitrix %s %s\n    %s\n"):format(row.command, table.concat(row.parameters, " "), row.method))
    end
  end
  return 0
end

-- ---- import ----

-- Reads the whole table once: its rows; or nil, what is wrong with it, so that nothing is sent of a table with a
-- mistake.
local function check_table(path, row)
  local reader, problem = csv.open(path)
  if not reader then return nil, problem end
  local known, missing = {}, {}
  for _, param in ipairs(row.params) do known[param.name] = true end
  for _, name in ipairs(reader.names) do
    if not known[name] then
      reader:close()
      return nil, ("%s:1: '%s' is no parameter of %s"):format(path, name, row.name)
    end
    known[name] = "there"
  end
  for _, param in ipairs(row.params) do
    if param.required and known[param.name] ~= "there" then missing[#missing + 1] = param.name end
  end
  if #missing > 0 then
    reader:close()
    return nil, ("%s:1: no column %s"):format(path, table.concat(missing, ", "))
  end
  local count = 0
  local ok, err = pcall(function()
    while reader:row() do count = count + 1 end
  end)
  reader:close()
  if not ok then return nil, err end
  return count
end

local function show_import(options, summary, failures, unwritten)
  if options.json then
    show(options, { summary = summary, failures = failures })
  else
    local earlier = summary.replayed > 0 and (", %d of these earlier"):format(summary.replayed) or ""
    say(("%d rows in %.1f s, %d requests: %d ok, %d failed, %d unknown%s\n"):format(summary.done, summary.seconds,
      summary.requests, summary.ok, summary.failed, summary.unknown, earlier))
    for i = 1, math.min(#failures, MOST_SHOWN) do
      say(("  line %d: %s\n"):format(failures[i].line, scalar(failures[i].message)))
    end
    if unwritten > 0 then say(("  ... and %d more; --json lists all\n"):format(unwritten)) end
  end
end

function commands.import(options)
  local row = find_method(options.with)
  if not row then return usage(("--with: no method '%s'; see bitrix methods"):format(options.with)) end
  local total, problem = check_table(options.file, row)
  if not total then
    complain(problem)
    return _M.CODES.trouble
  end
  local client, code = open_client(options)
  if not client then return code end
  local reader = csv.open(options.file)
  local journal = not options.no_journal and (options.journal or options.file .. ".journal") or nil
  local bar = not options.quiet and progress.new(io.stderr, progress.is_terminal(2))
  local failures, unwritten = {}, 0
  local function next_row()
    local values, line = reader:row()
    return values and { values = values, line = line }
  end
  local function add(batch, item) return batch.scrum[row.name](item.values) end
  if options.dry_run then
    local exchange = bulk.new(client._state, next_row, add):preview()
    if exchange then show_request(options, client, exchange) end
    return 0
  end
  local ok, summary, err = pcall(client.bulk, client, next_row, add, {
    journal = journal, total = math.max(total, 1), concurrency = options.concurrency,
    on_result = function(item, _, failure)
      if not failure then return end
      if #failures >= MOST_SHOWN and not options.json then
        unwritten = unwritten + 1
        return
      end
      local is_object = core.is_error(failure)
      failures[#failures + 1] = {
        line = item.line,
        message = is_object and tostring(failure):gsub("^bitrix: [^:]*: ", "") or failure:match("%((.*)%)$") or failure,
        reason = is_object and failure.reason or "bad_argument", executed = is_object and failure.executed or "no",
      }
    end,
    on_progress = bar and function(...) bar:update(...) end or nil,
  })
  if bar then bar:finish() end
  reader:close()
  if not ok then
    if tostring(summary):find("interrupted!", 1, true) then error(summary, 0) end
    complain((tostring(summary):gsub("^.-:%d+: ", ""):gsub("^bitrix: ", "")))
    return _M.CODES.trouble
  end
  table.sort(failures, function(a, b) return a.line < b.line end)
  show_import(options, summary or err.summary, failures, unwritten)
  if not summary then
    code = show_error(options, err)
    if journal then complain("the same command goes on where this stopped") end
    return code
  end
  return summary.failed + summary.unknown > 0 and _M.CODES.rows or 0
end

-- ---- the parser ----

local function positive(text)
  local number = tonumber(text)
  return number and number > 0 and number or nil, ("a number above 0 expected, got '%s'"):format(text)
end

local function add_common(parser)
  parser:option("--webhook", "Address of the inbound webhook (default: BITRIX24_WEBHOOK_URL of the environment, where "
    .. "other users of this machine cannot see it)."):argname("URL")
  parser:option("--ca-file", "Certificates to trust, PEM."):argname("FILE")
  parser:option("--deadline", "Seconds for a call, with all its repeats (default: 180)."):convert(positive)
    :argname("SECONDS")
  parser:flag("--insecure-http", "Permit plain HTTP to another machine.")
  parser:flag("--json", "Print JSON.")
  parser:flag("--dry-run", "Print the request instead of sending it, without the secret.")
end

local function new_parser()
  local parser = argparse("bitrix", "Calls a Bitrix24 portal.", [[
Exit codes: 0 done; 1 trouble with a file; 2 wrong usage; 3 the portal said no (api); 4 credentials
(auth); 5 limit; 6 network; 7 timeout; 8 no sensible answer (protocol); 9 import: some rows failed;
130 interrupted.

Examples:
   $ export BITRIX24_WEBHOOK_URL=https://acme.bitrix24.com/rest/1/code/
   $ bitrix scrum backlog-add --groupId 125 --createdBy 6
   $ bitrix call tasks.task.list 'filter[GROUP_ID]=125' 'select[]=ID'
   $ bitrix import groups.csv]])
  parser:usage_max_width(100)
  parser:command_target("command")
  parser:flag("--version", "Print the version."):action(function()
    say("bitrix ", core._VERSION, "\n")
    os.exit(0, true)
  end)

  local call = parser:command("call", "Call any method by its name.")
  call:argument("method", "As in the reference, user.current.")
  call:argument("parameters", "key=value, fields[NAME]=value, select[]=value; key:=JSON for numbers, lists, objects.")
    :args("*")
  add_common(call)

  local scrum = parser:command("scrum", "Call a scrum method; its parameters are checked before anything is sent.")
  scrum:command_target("scrum")
  for _, row in ipairs(core.methods()) do
    local command = scrum:command((row.name:gsub("_", "-")), row.method)
    for _, param in ipairs(row.params) do
      local about = param.choices and table.concat(param.choices, ", ")
        or param.type == "table" and "JSON" or param.type
      local option = command:option("--" .. param.name, about .. "."):target("param_" .. param.name):argname("VALUE")
      if param.required then option:count(1) end
    end
    add_common(command)
  end

  local import = parser:command("import", "One call for each row of a CSV file, in batches. Its first row has the "
    .. "names of the parameters. What is done is written to FILE.journal: the same command goes on where it stopped.")
  import:argument("file", "The table."):argname("FILE")
  import:option("--with", "The scrum method.", "backlog-add"):argname("METHOD")
  import:option("--journal", "Where to write down what is done (default: FILE.journal)."):argname("FILE")
  import:flag("--no-journal", "Write nothing down.")
  import:option("--concurrency", "Requests at once (default: 4)."):convert(positive):argname("N")
  import:flag("-q --quiet", "Show no progress.")
  add_common(import)

  local list = parser:command("methods", "List the scrum methods and their parameters.")
  list:flag("--json", "Print JSON.")
  return parser
end

--- Runs a command line.
-- @tparam {string,...} words the arguments
-- @treturn integer the exit code
function _M.main(words)
  local parsed, options = new_parser():pparse(words)
  if not parsed then
    complain(options, "\n", "Try: bitrix --help")
    return _M.CODES.usage
  end
  local ok, code = pcall(commands[options.command], options)
  if ok then return code end
  if tostring(code):find("interrupted!", 1, true) then
    complain("interrupted", options.command == "import" and "; the same command goes on where this stopped" or "")
    return _M.CODES.interrupted
  end
  error(code, 0)
end

return _M
