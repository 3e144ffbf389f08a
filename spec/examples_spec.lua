-- Every examples/*.lua runs as it stands, in a process of its own, against an emulated portal that it starts itself.

local support = require "portal.support"

local interpreter = os.getenv("BITRIX_LUA") or support.lua

-- A few words of what each prints; an example that is not named here only has to end with 0.
local WORDS = {
  ["backlog_add.lua"] = { "Created, HTTP 200", "The group has a backlog already:" },
  ["import.lua"] = { "22 rows: 19 backlogs created, 3 failed, 0 unknown; 1 requests", "line 6, group 205: .*backlog_already_added" },
  ["sprint.lua"] = { 'Group %d+, "Rocket"', "Backlog %d+", "its kanban: New, In Progress, Review, Done",
    "The sprint is completed", "is in the backlog again" },
}

describe("the example", function()
  local listed = support.run("ls examples/*.lua")
  local seen = {}

  for path in listed:gmatch("examples/%S+%.lua") do
    local name = path:match("[^/]+$")
    seen[name] = true

    it(name .. " runs", function()
      local output, code = support.run(("env -u BITRIX24_WEBHOOK_URL LUA_PATH=%s LUA_CPATH=%s %s %s"):format(
        support.quote(package.path), support.quote(package.cpath), support.quote(interpreter), path))
      assert.equal(0, code, output)
      for _, words in ipairs(WORDS[name] or {}) do
        assert.matches(words, output)
      end
    end)
  end

  it("that this spec knows is there", function()
    for name in pairs(WORDS) do
      assert.is_true(seen[name], name)
    end
  end)
end)
