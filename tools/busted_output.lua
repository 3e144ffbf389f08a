-- busted's own output (failures in full, at the end), and the counts for the scripts that add them up: written to the
-- file that BITRIX_SPEC_COUNTS names, "passed failed skipped", when busted got to its end. Errors count as failed.
return function(options)
  local busted = require "busted"
  local isatty = io.type(io.stdout) == "file" and require("term").isatty(io.stdout)
  local handler = require("busted.outputHandlers." .. (isatty and "utfTerminal" or "plainTerminal"))(options)
  local file = os.getenv "BITRIX_SPEC_COUNTS"

  busted.subscribe({ "exit" }, function()
    if file then
      local out = assert(io.open(file, "w"))
      local failed = handler.failuresCount + handler.errorsCount
      out:write(handler.successesCount, " ", failed, " ", handler.pendingsCount, "\n")
      out:close()
    end
    return nil, true
  end)

  return handler
end
