-- Says that an instance is alive, and answers how many are.
-- KEYS: the set of instances. ARGV: this one's name, and for how many milliseconds it counts as alive.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local alive = tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - alive)
redis.call('PEXPIRE', KEYS[1], 2 * alive)
return redis.call('ZCARD', KEYS[1])
