-- The few system calls that the server needs and ngx_lua does not have: ending or resetting a client's TCP connection
-- (nginx can end a stream, not a whole HTTP/2 connection), a pipe that never blocks, a clock with microseconds.
-- Runs inside nginx only.

local ffi = require "ffi"

ffi.cdef [[
typedef struct { uint16_t family; uint16_t port; uint32_t address; uint8_t rest[112]; } bitrix_sockaddr;
int getpeername(int fd, bitrix_sockaddr *address, uint32_t *length);
int getsockname(int fd, bitrix_sockaddr *address, uint32_t *length);
int connect(int fd, const bitrix_sockaddr *address, uint32_t length);
int shutdown(int fd, int how);
int getsockopt(int fd, int level, int name, void *value, uint32_t *length);
typedef struct { uint8_t bytes[8]; uint32_t words[24]; uint64_t pacing[2]; uint64_t bytes_acked; } bitrix_tcp_info;
int open(const char *path, int flags, ...);
int close(int fd);
intptr_t write(int fd, const void *bytes, size_t count);
typedef struct { int fd; short events; short revents; } bitrix_pollfd;
typedef struct { long seconds; long microseconds; } bitrix_timeval;
int gettimeofday(bitrix_timeval *now, void *zone);
int poll(bitrix_pollfd *list, unsigned long count, int timeout);
]]

local M = {}

local C = ffi.C
local AF_INET = 2
local SHUT_WR = 1
local IPPROTO_TCP, TCP_INFO = 6, 11
local O_WRONLY, O_NONBLOCK = 1, 0x800
local POLLERR = 8
-- nginx's worker_connections and a few files.
local MOST_DESCRIPTORS = 5000

local function port_of(call, fd)
  local address = ffi.new("bitrix_sockaddr")
  local length = ffi.new("uint32_t[1]", ffi.sizeof(address))
  if call(fd, address, length) ~= 0 or address.family ~= AF_INET then
    return nil
  end
  local port = tonumber(address.port)
  return ffi.abi("le") and (port % 256) * 256 + math.floor(port / 256) or port
end

-- The descriptor of a connection, known by the ports of both its ends.
local function find(local_port, remote_port)
  for fd = 3, MOST_DESCRIPTORS do
    if port_of(C.getpeername, fd) == remote_port and port_of(C.getsockname, fd) == local_port then
      return fd
    end
  end
  return nil
end

--- Ends a connection: the client reads what was sent so far, then the end of the stream.
function M.finish(local_port, remote_port)
  local fd = find(local_port, remote_port)
  return fd and C.shutdown(fd, SHUT_WR) == 0
end

--- Resets a connection: the client's next read fails with ECONNRESET.
function M.reset(local_port, remote_port)
  local fd = find(local_port, remote_port)
  -- connect() to AF_UNSPEC (family 0) makes Linux send RST at once and leaves the descriptor to nginx to close.
  return fd and C.connect(fd, ffi.new("bitrix_sockaddr"), 16) == 0
end

--- How many bytes of a connection the client's system has received; nil when the connection is gone.
function M.acknowledged(local_port, remote_port)
  local fd = find(local_port, remote_port)
  local info = ffi.new("bitrix_tcp_info")
  local length = ffi.new("uint32_t[1]", ffi.sizeof(info))
  if not fd or C.getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, length) ~= 0 then
    return nil
  end
  return tonumber(info.bytes_acked)
end

--- Opens a named pipe for writing without ever waiting for its reader.
-- @treturn ?integer a descriptor for `send`
function M.open_pipe(path)
  local fd = C.open(path, O_WRONLY + O_NONBLOCK)
  return fd >= 0 and fd or nil
end

--- Writes a line to the pipe; when its reader does not keep up, the line is lost.
function M.send(fd, line)
  C.write(fd, line, #line)
end

--- Closes a descriptor.
function M.close(fd)
  C.close(fd)
end

--- Whether a descriptor is a pipe whose reader is gone.
function M.reader_gone(fd)
  local list = ffi.new("bitrix_pollfd[1]")
  list[0].fd = fd
  return C.poll(list, 1, 0) == 1 and math.floor(list[0].revents / POLLERR) % 2 == 1
end

--- Seconds since 1970, to the microsecond.
function M.now()
  local value = ffi.new("bitrix_timeval")
  C.gettimeofday(value, nil)
  return tonumber(value.seconds) + tonumber(value.microseconds) / 1e6
end

return M
