-- Takes calls from several limits, from all of them or from none.
--
-- KEYS: one for each limit. ARGV: first, needed, ahead; what calls have used beyond what they took, what they left of it, and
-- for how many microseconds the first of those has been counted that left some; then for each limit its kind, its period in microseconds, the calls
-- that it lets pass when nothing is used up, and (of a bucket) the microseconds that one call uses up.
-- Answers the calls granted, the microseconds until `first` more pass (-1 where all that was needed is granted), the calls
-- left, and the microseconds until nothing would be used up.
--
-- Times are microseconds of this server's clock since 2023-11-14, so that fractions of them fit into a number. After a
-- fail-over the clock may be another one's: a state from a little ahead is as if it were from now.

local time = redis.call('TIME')
local now = (time[1] - 1700000000) * 1000000 + time[2]

local function save(key, value, wait)
  redis.call('SET', key, value, 'PX', math.ceil(wait / 1000) + 1)
end

local kinds = {}

-- A report that is absurd must not keep a bucket shut for good: its debt is at most so many whole ones.
local LARGEST_DEBT = 10

-- The generic cell rate algorithm: when the bucket is full again; behind it how much of that is debt.
function kinds.token_bucket(key, _, capacity, interval)
  local full_at, owed = string.match(redis.call('GET', key) or '0', '^(%S+) ?(%S*)$')
  local most = (capacity + 1) * interval + (tonumber(owed) or 0)
  local used = math.max(0, math.min(tonumber(full_at) - now, most))
  local limit = {}
  local function put()
    local debt = used - capacity * interval
    local value = string.format('%.3f', now + used)
    if debt > 0 then value = value .. string.format(' %.3f', debt) end
    save(key, value, used)
  end
  function limit.left()
    -- A state is rounded to a nanosecond; that must not cost a call.
    return math.max(0, math.floor(capacity - used / interval + 0.001))
  end
  function limit.wait(calls) return used + (calls - capacity) * interval end
  function limit.reset() return used end
  function limit.take(calls)
    used = used + calls * interval
    put()
  end
  function limit.settle(beyond, left)
    used = math.max(0, used - left * interval) + beyond * interval
    used = math.min(used, (1 + LARGEST_DEBT) * capacity * interval)
    put()
  end
  return limit
end

-- The window that is open now; one that another clock opened early is open already.
local function window_at(per, stored)
  local window = math.floor(now / per)
  if stored == window + 1 then return stored, stored * per end
  return window, now
end

function kinds.fixed_window(key, per, capacity)
  local stored, count = string.match(redis.call('GET', key) or '', '^(%d+) (%d+)$')
  local window, at = window_at(per, tonumber(stored))
  local used = tonumber(stored) == window and tonumber(count) or 0
  local rest = (window + 1) * per - now
  local limit = {}
  local function put()
    save(key, string.format('%.0f %.0f', window, used), rest)
  end
  function limit.settle(beyond, left, since)
    if math.floor((now - since) / per) < window then left = 0 end
    used = math.max(0, used - left) + beyond
    put()
  end
  function limit.left() return math.max(0, capacity - used) end
  function limit.wait() return rest end
  function limit.reset() return used == 0 and 0 or rest end
  function limit.take(calls)
    used = used + calls
    put()
  end
  return limit
end

-- The calls of this window and, by the share of it that the last period still covers, those of the one before.
function kinds.sliding_window(key, per, capacity)
  local stored, last, count =
    string.match(redis.call('GET', key) or '', '^(%d+) (%d+) (%d+)$')
  stored = tonumber(stored)
  local window, at = window_at(per, stored)
  local before, current = 0, 0
  if stored == window then
    before, current = tonumber(last), tonumber(count)
  elseif stored == window - 1 then
    before = tonumber(count)
  end
  local into = at - window * per
  local late = at - now
  -- How far into a window so many calls of the one before weigh little enough.
  local function far_enough(calls, free)
    if calls <= free then return 0 end
    return per - math.floor(free * per / calls)
  end
  local limit = {}
  local function put()
    save(key, string.format('%.0f %.0f %.0f', window, before, current), late + 2 * per - into)
  end
  function limit.settle(beyond, left, since)
    local ago = window - math.floor((now - since) / per)
    if ago == 1 then before = math.max(0, before - left) end
    if ago < 1 then current = math.max(0, current - left) end
    current = current + beyond
    put()
  end
  function limit.left()
    return math.max(0, capacity - current - math.ceil(before * (per - into) / per))
  end
  function limit.wait(calls)
    local free = capacity - current - calls
    if free >= 0 then return late + math.max(0, far_enough(before, free) - into) end
    return late + per - into + far_enough(current, math.max(0, capacity - calls))
  end
  function limit.reset()
    if current > 0 then return late + 2 * per - into end
    return before > 0 and late + per - into or 0
  end
  function limit.take(calls)
    current = current + calls
    put()
  end
  return limit
end

-- Every grant with its time, oldest first, behind the number of calls in all of them.
function kinds.sliding_log(key, per, capacity)
  local used = tonumber(redis.call('LPOP', key) or '0')
  local function entry(index)
    local at, calls = string.match(redis.call('LINDEX', key, index) or '', '^(%d+) (%d+)$')
    -- One from another clock's future counts as of now.
    return at and math.min(tonumber(at), now), tonumber(calls)
  end
  local at, calls = entry(0)
  while at and at + per <= now do
    redis.call('LPOP', key)
    used = used - calls
    at, calls = entry(0)
  end
  if used > 0 then redis.call('LPUSH', key, used) end
  local limit = {}
  -- What is left goes back to the oldest grants: they are the first to be forgotten anyway.
  function limit.settle(beyond, left)
    local index = 1
    local at, calls = entry(index)
    while left > 0 and at do
      local back = math.min(left, calls)
      redis.call('LSET', key, index, string.format('%.0f %.0f', at, calls - back))
      left, used, index = left - back, used - back, index + 1
      at, calls = entry(index)
    end
    if used > 0 then redis.call('LSET', key, 0, used) else redis.call('DEL', key) end
    if beyond > 0 then limit.take(beyond) end
  end
  function limit.left() return math.max(0, capacity - used) end
  function limit.wait(wanted)
    local index, free = 1, capacity - used
    while free < wanted do
      local at, calls = entry(index)
      if not at then return per end
      index, free = index + 1, free + calls
      if free >= wanted then return at + per - now end
    end
    return 0
  end
  function limit.reset() return used == 0 and 0 or per end
  function limit.take(wanted)
    if used > 0 then redis.call('LPOP', key) end
    used = used + wanted
    redis.call('RPUSH', key, string.format('%.0f %.0f', now, wanted))
    redis.call('LPUSH', key, used)
    redis.call('PEXPIRE', key, math.ceil(per / 1000) + 1)
  end
  return limit
end

local first, needed, ahead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local beyond, returned, since = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local limits, left = {}, math.huge
for i, key in ipairs(KEYS) do
  local of = 4 * i + 3
  local kind = kinds[ARGV[of]]
  limits[i] = kind(key, tonumber(ARGV[of + 1]), tonumber(ARGV[of + 2]), tonumber(ARGV[of + 3]))
  if beyond > 0 or returned > 0 then limits[i].settle(beyond, returned, since) end
  left = math.min(left, limits[i].left())
end

local granted = left >= first and math.min(needed, left) or 0
local all = granted >= needed
if all then granted = granted + math.min(ahead, math.floor((left - granted) / 2)) end
local wait, remaining, reset = 0, math.huge, 0
for _, limit in ipairs(limits) do
  if granted > 0 then limit.take(granted) end
  if not all then wait = math.max(wait, limit.wait(math.max(first, 1))) end
  remaining = math.min(remaining, limit.left())
  reset = math.max(reset, limit.reset())
end
return { granted, all and -1 or math.ceil(math.max(wait, 1)), remaining, math.ceil(reset) }
