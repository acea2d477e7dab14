-- heartbeat: a node says that it lives and what it is.
--
-- KEYS: probe, nodes, node, events, sequence, cluster, term
-- ARGV: prefix, node, boot, how long the record is kept in ms, schedule digests it
--       holds (space-separated, the current one first), an id for the life of this Redis
--       if it has none, then field, value, ...
-- Returns: {boot id of another live process with the same node name or "",
--       missing schedule digests (space-separated), the value of :cluster, the number of the
--       last message, the epoch of the term, TIME in ms}
-- Uses: common
local LIVE_MS = 6000
local known = redis.call('ZSCORE', KEYS[2], ARGV[2])
local other = ''
local boot = redis.call('HGET', KEYS[3], 'boot')
if boot and boot ~= ARGV[3] and known and tonumber(known) > NOW - LIVE_MS then other = boot end

local missing = {}
for digest in string.gmatch(ARGV[5], '%S+') do
  if redis.call('PEXPIRE', P .. 'schedule:' .. digest, ARGV[4]) == 0 then missing[#missing + 1] = digest end
end
redis.call('HSET', KEYS[3], 'boot', ARGV[3], 'seen_at', NOW, 'schedules', ARGV[5], unpack(ARGV, 7))
redis.call('PEXPIRE', KEYS[3], ARGV[4])
redis.call('ZADD', KEYS[2], NOW, ARGV[2])
if not known then
  publish(KEYS[4], KEYS[5], { '{"type":"node_up","node":"' .. ARGV[2] .. '"}' })
end
-- Nobody was here before: its first life. See lua/amnesia.lua.
local cluster = redis.call('GET', KEYS[6])
if not cluster then
  cluster = ARGV[6] .. ' 1 ' .. NOW .. ' done first ' .. NOW .. ' 0 0 ' .. ARGV[2]
  redis.call('SET', KEYS[6], cluster)
end
local seq = tonumber(redis.call('GET', KEYS[5]) or '0')
return { other, table.concat(missing, ' '), cluster, seq, tonumber(redis.call('HGET', KEYS[7], 'epoch') or '0'), NOW }
