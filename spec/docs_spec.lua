-- What the documentation says of the catalog is what the catalog says.
local bitrix = require "bitrix"
local core = require "bitrix.core"

-- The checkout: two levels above lua/bitrix/init.lua.
local function root()
  for pattern in package.path:gmatch("[^;]+") do
    local directory = pattern:match("^(.*)lua/%?%.lua$")
    local file = directory and io.open(directory .. "src/catalog.c")
    if file then
      file:close()
      return directory
    end
  end
  return ""
end

local function read(name)
  local file = assert(io.open(root() .. name))
  local text = file:read("*a")
  file:close()
  return text
end

describe("the documentation", function()
  local docs = assert(loadfile(root() .. "tools/catalog_docs.lua"))("not run as a program")

  for _, part in ipairs(docs.parts) do
    it("is up to date in " .. part.file .. " (else: make docs)", function()
      local text = read(part.file)
      assert.is_true(docs.renew(text, part) == text)
    end)
  end

  it("has annotations for each public function, and no others", function()
    local library = read("library/bitrix.lua")
    for name, value in pairs(bitrix) do
      if type(value) == "function" then
        assert.truthy(library:find("\nfunction bitrix." .. name .. "(", 1, true), name)
      end
    end
    for name in pairs(bitrix.scrum) do
      assert.truthy(library:find("\nfunction scrum." .. name .. "(", 1, true), name)
    end
    for space, name in library:gmatch("\nfunction (%w+)%.([%w_]+)%(") do
      assert.is_function((space == "bitrix" and bitrix or bitrix[space])[name], name)
    end
  end)

  it("has annotations that Lua can load", function()
    assert.is_function(assert(loadfile(root() .. "library/bitrix.lua")))
  end)

  it("names each reason that this client makes by itself", function()
    local errors = read("doc/errors.md")
    for _, name in ipairs{ "dns", "connect", "tls", "send", "reset", "connect_timeout", "timeout", "deadline", "not_json",
      "truncated", "trailing_data", "too_large", "too_deep", "bad_shape", "redirect_refused" } do
      assert.truthy(errors:find("`" .. name .. "`", 1, true), name)
    end
  end)

  it("gives a method no reason that the catalog does not know", function()
    local known, methods = {}, 0
    for _, row in ipairs(core.reasons()) do known[row.reason] = true end
    for name, reasons in pairs(docs.reasons_of_methods()) do
      methods = methods + 1
      assert.is_function(bitrix.scrum[name], name)
      for _, reason in ipairs(reasons) do assert.is_true(known[reason], name .. ": " .. reason) end
    end
    assert.equal(#core.methods(), methods)
  end)
end)
