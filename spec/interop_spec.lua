-- The emulated portal is a portal to others, too: the official JavaScript SDK, and the reference's own curl command lines.
local json = require "dkjson"

-- The SDK comes from npm, into build/: a dependency of this spec alone.
local function install()
  return os.execute([[
    mkdir -p build/interop && cd build/interop &&
    cp ../../spec/interop/package.json ../../spec/interop/b24jssdk.mjs . &&
    { [ -d node_modules/@bitrix24/b24jssdk ] ||
      npm install --no-audit --no-fund --no-package-lock >install.log 2>&1 || { cat install.log >&2; exit 1; }; }]])
end

describe("interop #once", function()
  local portal

  before_each(function() portal = require("bitrix.portal").start{ tls = true } end)
  after_each(function() portal:stop() end)

  it("the official JavaScript SDK calls, fails, batches and lists over TLS", function()
    local installed = install()
    if not (installed == true or installed == 0) then
      assert.is_nil(os.getenv("CI"), "npm did not install the SDK: see above")
      return pending("the JavaScript SDK could not be had from npm: see build/interop/install.log")
    end
    local pipe = io.popen(("cd build/interop && env -u LD_PRELOAD NODE_EXTRA_CA_CERTS=%q timeout 100 node b24jssdk.mjs %q 2>&1"):format(
      portal.ca_file, portal.tls_webhook))
    local output = pipe:read("*a")
    pipe:close()
    assert.truthy(output:find("SEEN ", 1, true), output)
    local seen = json.decode(output:match("SEEN ([^\n]*)"))
    assert.equal(125, seen.backlog.groupId)
    assert.equal(6, seen.backlog.createdBy)
    assert.same({ status = 404, code = "ERROR_METHOD_NOT_FOUND", text = "Method not found!" }, seen.unknownMethod)
    -- An error with the integer code 0, which all scrum methods send, has lost its text there; the status is right.
    assert.equal(400, seen.again.status)
    assert.equal("A&B=C+D 100% Ёж 0", seen.batch.epic0.name)
    assert.same(seen.batch.epic0.id, seen.batch.first.id)
    assert.truthy(table.concat(seen.batchErrors, "\n"):find("Invalid value {x} to match with parameter {id}", 1, true), output)
    assert.equal(120, seen.listed)
    assert.equal(120, seen.fetched)
  end)
end)
