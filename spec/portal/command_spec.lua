-- bin/bitrix-portal, as a program.

local support = require "portal.support"

local root = debug.getinfo(1, "S").source:match("^@(.*)spec/portal/command_spec%.lua$")
root = root == "" and "." or root
local program = support.quote(support.lua) .. " " .. support.quote(root .. "/bin/bitrix-portal")

-- Starts the program, runs shell commands with $pid, $webhook and $out (its output), then looks at the output.
local function with_program(arguments, commands)
  return support.run("bash -c " .. support.quote(([[
    out=$(mktemp)
    %s %s >"$out" 2>&1 &
    pid=$!
    for i in {1..300}; do [ -s "$out" ] && break; sleep 0.01; done
    read -r webhook <"$out"
    %s
    kill -TERM $pid 2>/dev/null
    wait $pid 2>/dev/null
    cat "$out"
    rm -f "$out"
  ]]):format(program, arguments, commands)))
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    lines[#lines + 1] = line
  end
  return lines
end

local function nothing_left(secret)
  return support.eventually(function()
    return #support.processes(secret) == 0
  end)
end

describe("bitrix-portal", function()
  it("prints the webhook first, then a line a request, never the secret", function()
    local lines = lines_of(with_program("--secret command-secret", [[
      curl -s -o /dev/null -d x=1 "${webhook}profile"
      curl -s -o /dev/null "${webhook}command-secret"
      curl -s -o /dev/null "${webhook%%/rest*}/rest/command-secret/1"
      sleep 0.2
    ]]))
    assert.matches("^http://127%.0%.0%.1:%d+/rest/1/command%-secret/$", lines[1])
    assert.matches("^%d%d:%d%d:%d%d POST profile 200 [%d.]+ ms$", lines[2])
    assert.matches("^%d%d:%d%d:%d%d GET %*%*%* 404 [%d.]+ ms$", lines[3])
    assert.matches("^%d%d:%d%d:%d%d GET [%w*/]+ 401 [%d.]+ ms$", lines[4])
    assert.is_nil(lines[5])
    for i = 2, 4 do
      assert.not_matches("command%-secret", lines[i])
    end
  end)
  it("prints the TLS webhook and the CA file with --tls", function()
    local lines = lines_of(with_program("--tls --quiet", [[
      { read -r _; read -r tls; read -r ca; } <"$out"
      curl -s --cacert "$ca" -o "$out.2" "${tls}profile"
      cat "$out.2" >>"$out"; rm -f "$out.2"
    ]]))
    assert.matches("^https://127%.0%.0%.1:%d+/rest/1/%w+/$", lines[2])
    assert.matches("/ca%.pem$", lines[3])
    assert.matches('^{"result":', lines[4])
    assert.is_nil(lines[5])
  end)
  it("takes limits, and an application whose tokens work", function()
    local lines = lines_of(with_program("--limit 2:1 --tasks 120 --client-id app --client-secret shh --app --quiet", [[
      { read -r _; read -r id secret access refresh; } <"$out"
      host="${webhook%%/rest*}"
      curl -s -d "auth=$access" "$host/rest/tasks.task.list" | grep -o '"total":[0-9]*' >>"$out"
      curl -s -d "grant_type=refresh_token&client_id=$id&client_secret=$secret&refresh_token=$refresh" \
        "$host/oauth/token/" | grep -o '"expires_in":[0-9]*' >>"$out"
      for i in 1 2 3 4 5 6 7 8 9; do curl -s "${webhook}profile"; done | grep -o QUERY_LIMIT_EXCEEDED | head -n 1 >>"$out"
    ]]))
    assert.matches("^app shh %w+ %w+$", lines[2])
    assert.same({ '"total":120', '"expires_in":3600', "QUERY_LIMIT_EXCEEDED" }, { lines[3], lines[4], lines[5] })
  end)
  it("takes a port and a user", function()
    local port = require("bitrix.portal.port").free(1)[1]
    local lines = lines_of(with_program(("--port %d --user 6 --secret s"):format(port), ""))
    assert.equal(("http://127.0.0.1:%d/rest/6/s/"):format(port), lines[1])
  end)
  for _, signal in ipairs { "INT", "TERM" } do
    it("keeps the state in a file, from one run to the next, also with SIG" .. signal, function()
      local state = os.tmpname()
      finally(function() os.remove(state) end)
      local add = [[
        curl -s -o /dev/null -d "fields[groupId]=%d&auth=t1" "${webhook%%%%/rest*}/rest/tasks.api.scrum.backlog.add"
        sleep 0.7; kill -]] .. signal .. [[ $pid; wait $pid 2>/dev/null]]
      with_program("--token t1 --dump " .. state, add:format(125))
      with_program(("--token t1 --seed %s --dump %s"):format(state, state), add:format(126))
      local found = require("dkjson").decode((support.run("cat " .. state)))
      assert.same({ { 1, 125 }, { 2, 126 } },
        { { found.backlogs[1].id, found.backlogs[1].groupId }, { found.backlogs[2].id, found.backlogs[2].groupId } })
    end)
  end
  it("names what is wrong with a seed or a dump", function()
    local text, code = support.run("timeout 10 " .. program .. " --seed /nonexistent.json")
    assert.same({ 1, true }, { code, text:find("seed: /nonexistent.json", 1, true) ~= nil })
    text, code = support.run("timeout 10 " .. program .. " --dump /nonexistent/x.json")
    assert.same({ 1, true }, { code, text:find("/nonexistent/x.json", 1, true) ~= nil })
    assert.not_matches("traceback", text)
  end)
  it("keeps the dump before when the disk is full", function()
    local state = os.tmpname()
    local text, code = support.run(([[
      printf before >%s; ln -s /dev/full %s.new
      timeout 10 %s --dump %s; code=$?
      head -c 99 %s; (exit $code)]]):format(state, state, program, state, state))
    support.run("rm -f " .. state .. " " .. state .. ".new")
    assert.equal(1, code)
    assert.matches("No space left.*before$", text)
  end)
  for _, signal in ipairs { "INT", "TERM", "KILL" } do
    it("leaves nothing behind after SIG" .. signal, function()
      local text = with_program("", ([[
        directory=$(ls -d "${TMPDIR:-/tmp}"/bitrix-portal.*/ | while read -r d; do
          grep -q "127.0.0.1:$(expr "$webhook" : '.*:\([0-9]*\)')" "$d/nginx.conf" && echo "$d"; done)
        kill -%s $pid; wait $pid 2>/dev/null
        for i in {1..200}; do [ -e "$directory" ] || break; sleep 0.01; done
        [ -n "$directory" ] && [ ! -e "$directory" ] && echo clean >>"$out"
      ]]):format(signal))
      assert.matches("\nclean\n", text)
    end)
  end
  it("ends when nobody reads what it prints", function()
    local _, code = support.run("timeout 10 bash -c " .. support.quote(
      program .. " --secret nobody-reads | read -r line; exit ${PIPESTATUS[1]}"))
    assert.equal(0, code)
    assert.is_true(nothing_left("nobody-reads"))
  end)
  it("ends when its output cannot be written", function()
    local _, code = support.run("timeout 10 " .. program .. " >/dev/full")
    assert.equal(0, code)
  end)
  it("explains itself", function()
    local text, code = support.run(program .. " --help")
    assert.equal(0, code)
    assert.matches("%-%-tls", text)
    assert.matches("Example:", text)
  end)
  it("refuses what it does not know, with a message and no traceback", function()
    for _, arguments in ipairs { "--nonsense", "--port x", "--port 70000", "--secret a/b", "--user 0",
      "--limit much", "--operating x", "--host a/b" } do
      local text, code = support.run("timeout 10 " .. program .. " " .. arguments)
      assert.not_equal(0, code)
      assert.not_equal(124, code)
      assert.not_matches("traceback", text)
    end
  end)
  it("names the package of argparse where that is missing", function()
    local text, code = support.run(("LUA_PATH='/nonexistent/?.lua' LUA_CPATH='' %s"):format(program))
    assert.equal(1, code)
    assert.matches("lua%-argparse", text)
  end)
end)
