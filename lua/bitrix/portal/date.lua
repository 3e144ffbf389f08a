-- Points in time as the portal reads and writes them: ISO 8601 or seconds since 1970 in, ISO 8601 in UTC out.
-- Pure functions; no clock.

local M = {}

local MONTH_DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function days_in(year, month)
  local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  return month == 2 and leap and 29 or MONTH_DAYS[month]
end

-- Days from 1970-01-01 in the Gregorian calendar; the year is counted from March, so that the leap day is its last.
local function days_from_1970(year, month, day)
  if month <= 2 then
    year = year - 1
  end
  local era = math.floor(year / 400)
  local year_of_era = year - era * 400
  local day_of_year = math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  local day_of_era = year_of_era * 365 + math.floor(year_of_era / 4) - math.floor(year_of_era / 100) + day_of_year
  return era * 146097 + day_of_era - 719468
end

-- The offset of a zone from UTC in seconds, or nil.
local function offset_of(zone)
  if zone == "" or zone == "Z" or zone == "z" then
    return 0
  end
  local sign, hours, minutes = zone:match("^([+-])(%d%d)(.*)$")
  hours, minutes = tonumber(hours), tonumber(minutes == "" and 0 or minutes and minutes:match("^:?(%d%d)$"))
  if not sign or hours > 23 or not minutes or minutes > 59 then
    return nil
  end
  return (sign == "-" and -1 or 1) * (hours * 3600 + minutes * 60)
end

-- Seconds since midnight UTC of what stands after the date, or nil.
local function time_of(text)
  if text == "" then
    return 0
  end
  local hours, minutes, rest = text:match("^[T ](%d%d):(%d%d)(.*)$")
  if not hours then
    return nil
  end
  local seconds, after = rest:match("^:(%d%d)(.*)$")
  local offset = offset_of((after or rest):gsub("^%.%d+", ""))
  hours, minutes, seconds = tonumber(hours), tonumber(minutes), tonumber(seconds or 0)
  if not offset or hours > 23 or minutes > 59 or seconds > 59 then
    return nil
  end
  return hours * 3600 + minutes * 60 + seconds - offset
end

-- The years 1000 to 9999, which have four digits.
local function within(seconds)
  return seconds and seconds >= -30610224000 and seconds < 253402300800 and seconds or nil
end

--- Reads a point in time. Without a zone it is UTC.
-- @param value an ISO 8601 string, or seconds since 1970 as a number or digits
-- @treturn ?integer seconds since 1970, nil when it is neither, or outside the years 1000 to 9999
function M.parse(value)
  if type(value) == "number" then
    return value == value and within(value) and math.floor(value) or nil
  elseif type(value) ~= "string" then
    return nil
  elseif value:find("^%-?%d+$") then
    return M.parse(tonumber(value))
  end
  local year, month, day, rest = value:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$")
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if not year or month < 1 or month > 12 or day < 1 or day > days_in(year, month) then
    return nil
  end
  local seconds = time_of(rest)
  return seconds and within(days_from_1970(year, month, day) * 86400 + seconds)
end

--- Writes a point in time.
-- @tparam number seconds since 1970
-- @treturn string `2024-04-03T12:50:17+00:00`
function M.format(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%S+00:00", math.floor(seconds))
end

return M
