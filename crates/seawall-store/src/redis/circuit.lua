-- Carries the circuits of one name between instances, and leases the right to probe to one of them.
--
-- KEYS: the circuits; the votes; the members that are alive.
-- ARGV: this member; for how many milliseconds it, and its vote, count; the channel; the name of the circuits; the number up
-- to which the member knows all changes; `any` or `quorum`; how many milliseconds a lease lasts. Then eight for each report:
-- the circuit; the number of the last change that is known; the state (open, closed, reset or unsaid); 1 if the member
-- brought that about; for how many milliseconds it is open; how often it has opened; the number of the lease that is held;
-- 1 if the lease is wanted.
-- Answers the last number, how many are alive, and circuits: first those reported, in order, then all with a change that the
-- member does not know. Of each: its name, the number of its last change, 1 if it is open, for how long, how often it has
-- opened; the number of the member's lease (0 for none), for how long, how many were given since it opened; and for how long
-- another member holds the lease (0: none does).
--
-- Times are milliseconds of this server's clock. After a fail-over the clock may be another one's, so what is left is never
-- more than it was at first. Numbers grow even if this server has forgotten everything: they are microseconds of the clock,
-- or greater than all that members know.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local member, alive_for, channel, name = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local since, open_by, lease_for = tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
-- For how long a closed circuit is remembered, so that members who were away learn of it; and the most circuits.
local REMEMBERED, MOST = 600000, 20000
local FIRST, WIDTH = 8, 8

local last = tonumber(redis.call('HGET', KEYS[1], 'last') or '0')
local function whole(number) return string.format('%.0f', number) end

redis.call('ZADD', KEYS[3], now, member)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - alive_for)
redis.call('PEXPIRE', KEYS[3], 2 * alive_for)
local alive = redis.call('ZCARD', KEYS[3])

local function next_number(least)
  last = math.max(last, least, time[1] * 1000000 + time[2]) + 1
  redis.call('HSET', KEYS[1], 'last', whole(last))
  return last
end

-- What is left until an instant that was set `length` ahead, at most that.
local function left(instant, length) return math.max(0, math.min(instant - now, length)) end

local function read(text)
  local record = { change = 0, open = false, till = 0, length = 0, openings = 0, number = 0, lease_till = 0, lease_length = 0,
    grants = 0, prober = '' }
  if not text then return record end
  local words, at = {}, 1
  for _ = 1, 9 do
    local space = string.find(text, ' ', at, true)
    words[#words + 1] = tonumber(string.sub(text, at, space - 1))
    at = space + 1
  end
  record.change, record.open, record.till = words[1], words[2] == 1, words[3]
  record.length, record.openings, record.number = words[4], words[5], words[6]
  record.lease_till, record.lease_length, record.grants = words[7], words[8], words[9]
  record.prober = string.sub(text, at)
  return record
end

local function write(circuit, record)
  local words = { whole(record.change), record.open and '1' or '0', whole(record.till), whole(record.length),
    whole(record.openings), whole(record.number), whole(record.lease_till), whole(record.lease_length),
    whole(record.grants), record.prober }
  redis.call('HSET', KEYS[1], circuit, table.concat(words, ' '))
end

-- The votes of members for opening a circuit, each with the instant at which it no longer counts.
local function votes_of(circuit)
  local votes, count = {}, 0
  for instant, voter in string.gmatch(redis.call('HGET', KEYS[2], circuit) or '', '(%d+) ([^\n]*)\n') do
    instant = tonumber(instant)
    if instant > now and instant <= now + alive_for then
      votes[voter] = instant
      count = count + 1
    end
  end
  return votes, count
end

local function vote(circuit, instant)
  if open_by ~= 'quorum' then return 0 end
  local votes = votes_of(circuit)
  votes[member] = instant
  local lines, count = {}, 0
  for voter, till in pairs(votes) do
    lines[#lines + 1] = whole(till) .. ' ' .. voter .. '\n'
    count = count + 1
  end
  if count == 0 then
    redis.call('HDEL', KEYS[2], circuit)
  else
    redis.call('HSET', KEYS[2], circuit, table.concat(lines))
    redis.call('PEXPIRE', KEYS[2], 2 * alive_for)
  end
  return count
end

local function reopened(record, report)
  return { change = record.change, open = true, till = now + report.left, length = report.left, openings = report.openings,
    number = record.number, lease_till = 0, lease_length = 0, grants = 0, prober = '' }
end

local function closed(record)
  local after = read(nil)
  after.change, after.till, after.number = record.change, now, record.number
  return after
end

-- The record after a report, and whether the circuit changed.
local function decide(circuit, record, report)
  local knows = report.known == record.change
  local is_live = record.prober ~= '' and left(record.lease_till, record.lease_length) > 0
  local decides = not is_live or report.lease == record.number
  if report.state == 'reset' then
    if record.open then return closed(record), true end
  elseif knows and report.state == 'closed' then
    vote(circuit, nil)
    if record.open and report.own and decides then return closed(record), true end
  elseif knows and report.state == 'open' and record.open then
    if report.own and decides then return reopened(record, report), true end
  elseif knows and report.state == 'open' and report.left > 0 then
    if open_by == 'quorum' then
      if 2 * vote(circuit, now + alive_for) > alive then return reopened(record, report), true end
    elseif report.own then
      return reopened(record, report), true
    end
  end
  return record, false
end

local function lease(record, report)
  if not record.open or report.known ~= record.change then return end
  local is_live = record.prober ~= '' and left(record.lease_till, record.lease_length) > 0
  local is_mine = record.prober == member and report.lease == record.number
  if report.wants and left(record.till, record.length) == 0 and (is_mine or not is_live) then
    if not is_mine then
      record.number = next_number(record.number)
      record.grants = record.grants + 1
      record.prober = member
    end
    record.lease_till, record.lease_length = now + lease_for, lease_for
  elseif is_mine and not report.wants then
    record.prober, record.lease_till = '', 0
  end
end

local function show(circuit, record)
  local lasts = record.prober == '' and 0 or left(record.lease_till, record.lease_length)
  local is_mine = lasts > 0 and record.prober == member
  return { circuit, whole(record.change), record.open and 1 or 0, record.open and left(record.till, record.length) or 0,
    record.openings, is_mine and whole(record.number) or '0', is_mine and lasts or 0, record.grants,
    is_mine and 0 or lasts }
end

local function take(circuit, report)
  local text = redis.call('HGET', KEYS[1], circuit)
  local record = read(text)
  if not text and redis.call('HLEN', KEYS[1]) > MOST then return show(circuit, record) end
  if report.known > record.change and report.state ~= 'unsaid' then
    -- This server has forgotten what the member knows.
    local closes = report.state == 'closed' and report.own
    local forgotten = record
    record = read(nil)
    record.number, record.change = forgotten.number, report.known
    if closes or report.state == 'open' and not report.own then record = reopened(record, report) end
  end
  local after, changed = decide(circuit, record, report)
  if changed then
    after.change = next_number(math.max(record.change, report.known))
    redis.call('HDEL', KEYS[2], circuit)
    local parts = { name, member, circuit, whole(after.change), after.open and '1' or '0', whole(report.left),
      whole(after.openings) }
    redis.call('PUBLISH', channel, table.concat(parts, '\n'))
  else
    lease(after, report)
  end
  if text or after.change > 0 then write(circuit, after) end
  local lives = math.max(after.open and report.left or 0, 0) + 86400000
  if redis.call('PTTL', KEYS[1]) < lives then redis.call('PEXPIRE', KEYS[1], lives) end
  return show(circuit, after)
end

local before = last
local answer, reported = { '0', alive }, {}
for at = FIRST, #ARGV - WIDTH + 1, WIDTH do
  local circuit = ARGV[at]
  reported[circuit] = true
  answer[#answer + 1] = take(circuit, { known = tonumber(ARGV[at + 1]), state = ARGV[at + 2], own = ARGV[at + 3] == '1',
    left = tonumber(ARGV[at + 4]), openings = tonumber(ARGV[at + 5]), lease = tonumber(ARGV[at + 6]),
    wants = ARGV[at + 7] == '1' })
end

if since ~= before then
  local all = redis.call('HGETALL', KEYS[1])
  for at = 1, #all, 2 do
    local circuit = all[at]
    if circuit ~= 'last' and not reported[circuit] then
      local record = read(all[at + 1])
      if since > before or record.change > since then answer[#answer + 1] = show(circuit, record) end
      if not record.open and record.till + REMEMBERED < now then redis.call('HDEL', KEYS[1], circuit) end
    end
  end
end
answer[1] = whole(last)
return answer
