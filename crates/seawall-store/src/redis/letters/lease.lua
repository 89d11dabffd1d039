-- Takes or renews a lease, and brings what others ask of whoever has it.
-- KEYS: the lease, what is asked by job. ARGV: who wants it, for how many milliseconds, the job.
-- Answers whether it is held by the caller, and what is asked, empty if nothing is.

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {0, ''} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local asked = redis.call('HGET', KEYS[2], ARGV[3])
if not asked then return {1, ''} end
redis.call('HDEL', KEYS[2], ARGV[3])
return {1, asked}
