--- The portal's account of server time by method (`time.operating`), as far as answers tell it. Pure: events and times
-- in, seconds to wait out. The portal looks at it before a call: the call that passes the limit still runs, the next is
-- refused.
local _M = {}

-- How long a method waits that was refused when nobody knows until when: a basket of the account leaves each minute.
local BASKET = 60 -- seconds

--- @tparam number most seconds of server time a method may use in ten minutes
function _M.new(most) return { most = most, methods = {} } end

--- An answer came.
-- @tparam table state
-- @tparam number now seconds
-- @tparam string method
-- @tparam ?table time the answer's `time`; what is missing in it is not known
function _M.seen(state, now, method, time)
  if type(time) ~= "table" then return end
  local operating, reset_at = tonumber(time.operating), tonumber(time.operating_reset_at)
  if not operating then return end
  local row = state.methods[method]
  if not row then
    -- A method that is far from its limit needs no row.
    if operating < state.most / 2 then return end
    row = {}
    state.methods[method] = row
  end
  -- The portal's clock need not be ours: what counts is how far ahead it says.
  local there = tonumber(time.finish)
  row.reset = reset_at and there and now + math.min(math.max(reset_at - there, 0), 10 * BASKET) or nil
  row.blocked = operating >= state.most and (row.reset or now + BASKET) or nil
end

--- The portal has refused the method: OPERATION_TIME_LIMIT.
function _M.refused(state, now, method)
  local row = state.methods[method] or {}
  state.methods[method] = row
  local reset = row.reset
  row.blocked = reset and reset > now and reset or now + BASKET
end

--- How long a method has to wait.
-- @treturn number seconds, 0: not at all
function _M.wait(state, now, method)
  local row = state.methods[method]
  if not row or not row.blocked then return 0 end
  if row.blocked <= now then
    row.blocked = nil
    return 0
  end
  return row.blocked - now
end

return _M
