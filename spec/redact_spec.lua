-- What is blotted out, and what is not.
local redact = require("bitrix").redact

describe("redact", function()
  local cases = {
    { "Connection refused" },
    { "foo=token=bar" },
    { "SELECT * WHERE id=5" },
    { "the rest/of 1/the text" },
    { "https://acme.bitrix24.com/rest/user.current" },
    { "method?authority=1&tokens=2&xauth=3" },
    { "https://acme.bitrix24.com/rest/1/abcdef0123/user.current", "https://acme.bitrix24.com/rest/[REDACTED]/user.current" },
    { "https://acme.bitrix24.com/rest/api/1/abcdef0123/x", "https://acme.bitrix24.com/rest/api/[REDACTED]/x" },
    { [["https:\/\/acme.bitrix24.com\/rest\/1\/abcdef0123\/"]], [["https:\/\/acme.bitrix24.com\/rest\/[REDACTED]\/"]] },
    { "url=https%3A%2F%2Fa.b%2Frest%2F1%2Fabcdef0123%2F", "url=https%3A%2F%2Fa.b%2Frest%2F[REDACTED]%2F" },
    { "crm.item.add?auth=LEAK&fields[TITLE]=safe", "crm.item.add?auth=[REDACTED]&fields[TITLE]=safe" },
    { "method?token=PROBE;keep=visible", "method?token=[REDACTED];keep=visible" },
    { "https://a.test/?auth=secret#details", "https://a.test/?auth=[REDACTED]#details" },
    { "https://a.test/?auth=&x=1", "https://a.test/?auth=[REDACTED]&x=1" },
    { "x?%61uth=s%26e%3Dc+ret&r=42", "x?%61uth=[REDACTED]&r=42" },
    { "x?client%5Fsecret=s&r=42", "x?client%5Fsecret=[REDACTED]&r=42" },
    { "x?CLIENT_SECRET=s&r=42", "x?CLIENT_SECRET=[REDACTED]&r=42" },
    { "auth[access_token]=a&auth%5Brefresh_token%5D=b&ts=1", "auth[access_token]=[REDACTED]&auth%5Brefresh_token%5D=[REDACTED]&ts=1" },
    { "access_token=a", "access_token=[REDACTED]" },
    { [[{"access_token":"a\"b","expires":1}]], [[{"access_token":"[REDACTED]","expires":1}]] },
    { [[{ "refresh_token" : "cut off]], [[{ "refresh_token" : "[REDACTED]"]], true },
    { "Proxy-Authorization: Basic dXNlcjpwYXNz", "Proxy-Authorization: Basic [REDACTED]" },
    { "authorization: bearer abcdef0123456789, x", "authorization: bearer [REDACTED], x" },
    { "a basic text and a bearer of news" },
    { "http://user:pass@proxy:3128/", "http://[REDACTED]@proxy:3128/" },
  }
  for _, case in ipairs(cases) do
    it(("makes %s of %s"):format(case[2] and "something else" or "nothing", case[1]), function()
      local expected = case[2] or case[1]
      if case[3] then expected = expected:gsub('"$', "") end
      assert.equal(expected, redact(case[1]))
      assert.equal(expected, redact(redact(case[1])))
    end)
  end

  it("copies tables, with the values of credentials blotted out whole", function()
    local original = { halt = 0, auth = { application_token = "X" }, access_token = "", token = 5, list = { true, "t?auth=X" },
      cmd = { { method = "profile", params = { TOKEN = "B", start = 1 } } } }
    local copy = redact(original)
    assert.same({ halt = 0, auth = "[REDACTED]", access_token = "[REDACTED]", token = "[REDACTED]",
      list = { true, "t?auth=[REDACTED]" },
      cmd = { { method = "profile", params = { TOKEN = "[REDACTED]", start = 1 } } } }, copy)
    assert.equal("X", original.auth.application_token)
    local loop = { ["https://h/rest/1/abcdef0123/"] = 1 }
    loop.a, loop.b = loop, loop
    local same = redact(loop)
    assert.equal(same, same.a)
    assert.equal(1, same["https://h/rest/[REDACTED]/"])
  end)

  it("gives other values back", function()
    assert.equal(5, redact(5))
    assert.equal(true, redact(true))
    assert.has_error(function() redact() end)
  end)
end)
