-- What the instances of one fleet know of one another, and the one revision of the configuration for all of them.
--
-- KEYS: the instances by the time of their last heartbeat; their reports; the fleet's revision; the change that is proposed;
-- the votes on it. ARGV: what is to be done, and what that needs. Times are milliseconds of this server's clock.
-- Values are opaque here: a revision is known by its hash, `''` where there is none; a proposal is its identifier, a line
-- break, and its text.

local members, reports, revision, proposal, votes = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local actions = {}

local function hash()
  local text = redis.call('GET', revision)
  return text and redis.sha1hex(text) or '', text
end

local function proposed()
  return string.match(redis.call('GET', proposal) or '', '^([^\n]*)\n(.*)$')
end

local function alive(within)
  return redis.call('ZRANGEBYSCORE', members, now - within, '+inf')
end

local function forget(id)
  redis.call('ZREM', members, id)
  redis.call('HDEL', reports, id)
end

-- Arguments: instance, report, for how long an instance counts as alive, after how long it is forgotten, the most instances,
-- the hash of the revision that is known. Answers whether there is room for it, how many are alive, the hash of the revision,
-- its text where it is another one, and the proposal.
function actions.beat(id, report, within, gone, most, known)
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', members, '-inf', now - gone)) do forget(old) end
  local room = redis.call('ZSCORE', members, id) or redis.call('ZCARD', members) < tonumber(most)
  if not room then
    local oldest = redis.call('ZRANGE', members, 0, 0, 'WITHSCORES')
    if tonumber(oldest[2]) < now - within then
      forget(oldest[1])
      room = true
    end
  end
  if room then
    redis.call('ZADD', members, now, id)
    redis.call('HSET', reports, id, report)
    redis.call('PEXPIRE', members, gone)
    redis.call('PEXPIRE', reports, gone)
  end
  local present, text = hash()
  local change, body = proposed()
  return { room and 1 or 0, #alive(within), present, present ~= known and text or '', change or '', body or '' }
end

-- Answers each instance: its name, the age of its last heartbeat, and its report.
function actions.members()
  local found = redis.call('ZRANGE', members, 0, -1, 'WITHSCORES')
  local answer = {}
  for at = 1, #found, 2 do
    answer[#answer + 1] = { found[at], math.max(0, now - found[at + 1]), redis.call('HGET', reports, found[at]) or '' }
  end
  return answer
end

-- Arguments: the channel, the hash of the revision that the change was made for, an identifier, the text, and for how long.
-- Answers 'proposed'; 'outdated' with the present revision; or 'busy' with the other proposal.
function actions.propose(channel, base, id, body, lasts)
  local present, text = hash()
  if present ~= base then return { 'outdated', text or '' } end
  local _, other = proposed()
  if other then return { 'busy', other } end
  redis.call('DEL', votes)
  redis.call('SET', proposal, id .. '\n' .. body, 'PX', lasts)
  redis.call('PUBLISH', channel, id)
  return { 'proposed' }
end

-- Arguments: the channel, the instance, the identifier of the proposal, and 'yes' or the reason against it.
function actions.vote(channel, member, id, word)
  if proposed() ~= id then return 0 end
  redis.call('HSET', votes, member, word)
  redis.call('PEXPIRE', votes, math.max(1, redis.call('PTTL', proposal)))
  redis.call('PUBLISH', channel, id)
  return 1
end

-- Arguments: the channel, the instance that proposed it, the identifier, the hash of the revision that it was made for, the new
-- revision, and for how long an instance counts as alive. Answers 'committed' with the hash of the new revision; 'waiting'
-- with the instances that have not voted; 'refused' with an instance and its reason; 'outdated' with the present
-- revision; or 'gone' where the proposal is there no more.
function actions.decide(channel, own, id, base, text, within)
  if proposed() ~= id then return { 'gone' } end
  local present, other = hash()
  if present ~= base then return { 'outdated', other or '' } end
  local waiting = { 'waiting' }
  for _, member in ipairs(alive(within)) do
    local word = redis.call('HGET', votes, member)
    if word and word ~= 'yes' then return { 'refused', member, word } end
    if not word and member ~= own then waiting[#waiting + 1] = member end
  end
  if #waiting > 1 then return waiting end
  redis.call('SET', revision, text)
  redis.call('DEL', proposal, votes)
  redis.call('PUBLISH', channel, id)
  return { 'committed', redis.sha1hex(text) }
end

-- Arguments: the identifier of a proposal that is taken back.
function actions.withdraw(id)
  if proposed() == id then redis.call('DEL', proposal, votes) end
  return 1
end

-- Arguments: the channel, the hash of the revision that is there, and the text in its place. For a store that has lost it.
function actions.restore(channel, base, text)
  if hash() ~= base then return 0 end
  redis.call('SET', revision, text)
  redis.call('PUBLISH', channel, '')
  return 1
end

-- Arguments: the instance that ends.
function actions.leave(id)
  forget(id)
  return 1
end

return actions[ARGV[1]](unpack(ARGV, 2))
