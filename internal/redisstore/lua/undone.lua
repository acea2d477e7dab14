-- undone: the undo of a step has succeeded; its entry leaves the rollback list.
--
-- KEYS: probe, run, rollback, events, sequence
-- ARGV: prefix, run id, token, name
-- Returns: "ok", or "lost" when another attempt holds the run. A repeat answers "ok".
-- Uses: common
local h = redis.call('HMGET', KEYS[2], 'status', 'token', 'job')
if h[1] ~= 'rolling_back' or h[2] ~= ARGV[3] then return 'lost' end
if redis.call('LINDEX', KEYS[3], 0) ~= ARGV[4] then return 'ok' end
redis.call('LPOP', KEYS[3])
local field = 'step:' .. ARGV[4]
local value = redis.call('HGET', KEYS[2], field)
if value then redis.call('HSET', KEYS[2], field, (string.gsub(value, ' %S+ ', ' rolled_back ', 1))) end
publish(KEYS[4], KEYS[5], { '{"type":"undone","job":"' .. h[3] .. '","run":"' .. ARGV[2] .. '","step":"' .. ARGV[4] .. '"}' })
return 'ok'
