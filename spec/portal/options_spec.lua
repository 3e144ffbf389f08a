-- bitrix/portal/options.lua: what portal.start accepts.

local portal = require "bitrix.portal"
local options = require "bitrix.portal.options"

describe("portal.start", function()
  local function refuses(given, text)
    local ok, problem = pcall(function() portal.start(given) end)
    assert.is_false(ok)
    -- With the position of the caller.
    assert.matches("options_spec%.lua:%d+: ", problem)
    assert.equal("bitrix.portal: " .. text, (problem:gsub("^.-options_spec%.lua:%d+: ", "")))
  end

  it("refuses unknown options by name", function()
    refuses({ prot = 80 }, "unknown option 'prot'")
    refuses({ users = { { id = 1, name = "x" } } }, "unknown users[1] field 'name'")
    refuses({ groups = { { id = 1, member = {} } } }, "unknown groups[1] field 'member'")
    refuses({ groups = { { id = 1, backlog = { group = 1 } } } }, "unknown groups[1].backlog field 'group'")
  end)
  it("refuses wrong types", function()
    refuses("x", "option: table expected, got string")
    refuses({ port = "80" }, "option 'port': number expected, got string")
    refuses({ tls = 1 }, "option 'tls': boolean expected, got number")
    refuses({ groups = { 5 } }, "groups[1] field: table expected, got number")
    refuses({ groups = { { id = 1, members = { "x" } } } }, "groups[1].members[1]: id expected, got x")
  end)
  it("refuses numbers that cannot be", function()
    refuses({ port = 65536 }, "option 'port': at most 65535 expected, got 65536")
    refuses({ port = 1.5 }, "option 'port': integer from 0 expected, got 1.5")
    refuses({ user = 0 }, "option 'user': id expected, got 0")
    refuses({ users = { 0 } }, "users[1]: an id is missing")
    refuses({ groups = { {} } }, "groups[1]: an id is missing")
  end)
  it("refuses two backlogs with one id", function()
    refuses({ groups = { { id = 1, backlog = { id = 5 } }, { id = 2, backlog = { id = 5 } } } },
      "groups[2].backlog: id 5 cannot be had")
  end)
  it("refuses a secret that is no part of a path", function()
    refuses({ secret = "a/b" }, "option 'secret': letters, digits, _ and - expected")
  end)
end)

describe("what is read", function()
  it("is the default portal when nothing is said", function()
    local settings = options.read()
    assert.same({ 0, false, 1 }, { settings.port, settings.tls, settings.user })
    assert.same({ { id = 1, admin = true }, { id = 6, admin = false } }, settings.seed.users)
    assert.same({ id = 900, groupId = 128, createdBy = 6, modifiedBy = 0, items = 0 }, settings.seed.backlogs[1])
    assert.same({ id = 127, scrum = false }, settings.seed.groups[3])
  end)
  it("takes users as ids or tables", function()
    assert.same({ { id = 3, admin = false }, { id = 1, admin = true } },
      options.read({ users = { 3, { id = 1, admin = true } } }).seed.users)
  end)
  it("adds the webhook's user as an administrator", function()
    assert.same({ { id = 3, admin = false }, { id = 9, admin = true } },
      options.read({ users = { 3 }, user = 9 }).seed.users)
  end)
  it("takes a group for a scrum unless it is told otherwise", function()
    assert.is_true(options.read({ groups = { { id = 1 } } }).seed.groups[1].scrum)
  end)
  it("gives backlogs the ids that are free", function()
    local backlogs = options.read({ groups = { { id = 1, backlog = {} }, { id = 2, backlog = { id = 1 } },
      { id = 3, backlog = {} } } }).seed.backlogs
    assert.same({ 2, 1, 3 }, { backlogs[1].id, backlogs[2].id, backlogs[3].id })
  end)
end)
