-- Makes changes, all of them or none: none where a field is not as the caller has seen it, or a bound would be passed.
--
-- ARGV, each part behind the number of its entries, keys by their number in KEYS:
--   fields that were seen: key, field, its value, which is empty where there is none;
--   bounds: key, the most that its fields may add up to, how many fields, the fields;
--   commands: name, key, how many further arguments, the arguments.
-- Answers 1 if they were made, 0 if not.

local at = 0
local function word()
  at = at + 1
  return ARGV[at]
end
local function number() return tonumber(word()) end

for _ = 1, number() do
  local key, field, seen = KEYS[number()], word(), word()
  if (redis.call('HGET', key, field) or '') ~= seen then return 0 end
end
for _ = 1, number() do
  local key, rest = KEYS[number()], number()
  for _ = 1, number() do
    rest = rest - tonumber(redis.call('HGET', key, word()) or 0)
  end
  if rest < 0 then return 0 end
end
for _ = 1, number() do
  local name, key, arguments = word(), KEYS[number()], {}
  for n = 1, number() do arguments[n] = word() end
  redis.call(name, key, unpack(arguments))
end
return 1
