-- One version number: src/version.h has it, and whatever else names it agrees.

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

describe("the version number", function()
  local version = read("src/version.h"):match '#define BX_VERSION "(%d+%.%d+%.%d+)"'

  it("stands in src/version.h", function()
    assert.is_string(version)
  end)

  it("is that of the C module", function()
    assert.equal(version, require("bitrix.core")._VERSION)
  end)

  it("is that of the Lua module, in both faces", function()
    assert.equal(version, require("bitrix")._VERSION)
    assert.equal(version, require("bitrix.safe")._VERSION)
  end)

  it("is named by the rockspec, which itself is that of the checkout", function()
    local spec = {}
    local chunk = assert(loadfile "bitrix-scm-1.rockspec")
    if setfenv then
      setfenv(chunk, spec)()
    else
      assert(load(read "bitrix-scm-1.rockspec", "rockspec", "t", spec))()
    end
    assert.equal("scm-1", spec.version)
    assert.equal(version, spec.description.detailed:match "Version (%d+%.%d+%.%d+)")
  end)

  it("is that of the changelog's newest entry", function()
    assert.equal(version, read("CHANGELOG.md"):match "\n## %[?v?(%d+%.%d+%.%d+)")
  end)
end)
