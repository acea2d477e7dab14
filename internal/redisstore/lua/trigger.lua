-- trigger: a run that no tick asked for. Needs no leader.
--
-- KEYS: probe, request, events, sequence
-- ARGV: prefix, route, job, run id, request id or "", how long a request id is kept in ms,
--       priority, overlap, digest, params as JSON or "", reason, by
-- Returns: {"queued", id}; {"repeated", id} for a request id or a run id seen before;
--       {"busy", id of the unfinished run} when overlap is skip.
-- Uses: common, queue
local job, id = ARGV[3], ARGV[4]
if ARGV[5] ~= '' then
  local earlier = redis.call('GET', KEYS[2])
  if earlier then return { 'repeated', earlier } end
end
if redis.call('EXISTS', P .. 'run:' .. id) == 1 then return { 'repeated', id } end
if ARGV[8] == 'skip' then
  local way = redis.call('SRANDMEMBER', P .. 'active:' .. job)
  if way then return { 'busy', way } end
end
redis.call('HSET', P .. 'run:' .. id, 'status', 'queued', 'job', job, 'trigger', 'manual', 'attempt', 0,
  'priority', ARGV[7], 'digest', ARGV[9], 'queued_at', NOW)
if ARGV[10] ~= '' then redis.call('HSET', P .. 'run:' .. id, 'params', ARGV[10]) end
if ARGV[11] ~= '' then redis.call('HSET', P .. 'run:' .. id, 'reason', ARGV[11]) end
if ARGV[12] ~= '' then redis.call('HSET', P .. 'run:' .. id, 'by', ARGV[12]) end
if ARGV[5] ~= '' then redis.call('SET', KEYS[2], id, 'PX', ARGV[6]) end
redis.call('SADD', P .. 'active:' .. job, id)
enqueue(ARGV[2], ARGV[7], { id }, 'LPUSH')
ring(ARGV[2], 1)
publish(KEYS[3], KEYS[4], { '{"type":"queued","job":"' .. job .. '","run":"' .. id .. '"}' })
return { 'queued', id }
