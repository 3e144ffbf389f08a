-- The store in memory, and what all stores have in common.
local core = require "bitrix.core"
local memory = require "bitrix.store.memory"

describe("bitrix.store.memory", function()
  it("gives back what was saved, as a copy", function()
    local store = memory.new()
    assert.is_nil(store:load("a"))
    local tokens = { access_token = "x", expires = 1712137817, failure = { reason = "y" } }
    assert.is_true(store:save("a", tokens))
    tokens.failure.reason = "z"
    local loaded = store:load("a")
    assert.same({ access_token = "x", expires = 1712137817, failure = { reason = "y" } }, loaded)
    loaded.failure.reason = "z"
    assert.equal("y", store:load("a").failure.reason)
    assert.is_nil(store:load("b"))
    assert.is_nil(memory.new():load("a"))
  end)

  it("locks a key once, until it is unlocked or its time is over", function()
    local store = memory.new()
    local unlock = store:lock("a", 60)
    assert.is_function(unlock)
    assert.same({ nil, "locked" }, { store:lock("a", 60) })
    assert.is_function(store:lock("b", 60))
    unlock()
    local short = store:lock("a", 0.01)
    assert.is_function(short)
    local from = core.now()
    while core.now() < from + 0.02 do assert.is_true(true) end
    assert.is_function(store:lock("a", 60))
    short() -- not its own any more
    assert.same({ nil, "locked" }, { store:lock("a", 60) })
  end)

  it("shows no token to who prints all that is in it", function()
    local store = memory.new()
    store:save("a", { access_token = "x" })
    for _, value in pairs(store) do assert.is_function(value) end
  end)
end)
