-- Makes a throw-away certificate authority and a server certificate for localhost, 127.0.0.1 and other hosts, with
-- openssl's command line. Both are good for a day and die with the emulator's directory.

local files = require "bitrix.portal.file"
local shell = require "bitrix.portal.shell"

local M = {}

-- A configuration of our own: what the system's openssl.cnf adds is not known.
local CONFIG = [[
[req]
distinguished_name = dn
prompt = no
[dn]
CN = localhost
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1$hosts
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
]]

local SCRIPT = [[
cd "$1" || exit 1
umask 077
new="openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config pki.cnf"
$new -x509 -extensions ca -subj "/CN=bitrix-portal throw-away CA $2" -days 1 -keyout ca.key -out ca.pem &&
  $new -keyout server.key -out server.csr &&
  openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial "0x$3" -days 1 \
    -extfile pki.cnf -extensions server -out server.pem &&
  rm -f ca.key server.csr pki.cnf
]]

--- Makes `ca.pem`, `server.pem` and `server.key` in a directory.
-- @tparam string directory an existing one
-- @tparam string name random hexadecimal digits, so that two authorities are never taken for one another
-- @tparam[opt] table hosts names and IPv4 addresses besides localhost and 127.0.0.1
-- @return true, or nil and what openssl said
function M.create(directory, name, hosts)
  local names = {}
  for i, host in ipairs(hosts or {}) do
    names[i] = (host:find("^[%d.]+$") and ", IP:" or ", DNS:") .. host
  end
  assert(files.write(directory .. "/pki.cnf", (CONFIG:gsub("%$hosts", table.concat(names)))))
  local log = directory .. "/pki.log"
  if shell.run(SCRIPT, log, directory, name, "1" .. name) then
    return true
  end
  return nil, "no certificate (is openssl installed?):\n" .. (files.read(log) or "")
end

return M
