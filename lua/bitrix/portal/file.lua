-- Reads and writes whole files. Knows nothing of what is in them.

local M = {}

--- A file's content.
-- @treturn ?string nil when it cannot be read
-- @treturn ?string then why
function M.read(path)
  local file, problem = io.open(path, "rb")
  if not file then
    return nil, problem
  end
  local text
  text, problem = file:read("*a")
  file:close()
  return text, problem
end

--- Writes a file.
-- @return true, or nil and why it is not, or not wholly, written
function M.write(path, text)
  local file, problem = io.open(path, "wb")
  if not file then
    return nil, problem
  end
  local written
  written, problem = file:write(text)
  -- What was only buffered until now can fail here.
  local closed, late = file:close()
  if not written then
    return nil, problem
  end
  return closed, late
end

return M
