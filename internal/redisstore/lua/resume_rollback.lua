-- resume_rollback: somebody has mended what kept a rollback from going on.
--
-- KEYS: probe, run, rollback, events, sequence
-- ARGV: prefix, run id, who
-- Returns: {1, status} when it goes on (or does already), {0, status} when there is nothing to
--       resume, {0, ""} for no such run.
-- Uses: common, queue, ledger, archive, run
local id, key = ARGV[2], KEYS[2]
local h = redis.call('HMGET', key, 'status', 'job', 'error', 'pinned_to', 'linked', 'group')
if not h[1] then return { 0, '' } end
if h[1] == 'rolling_back' then return { 1, h[1] } end
if not can_move(h[1], 'rolling_back') or h[1] ~= 'rollback_failed' or not undoable(id) then return { 0, h[1] } end
redis.call('PERSIST', key)
redis.call('PERSIST', KEYS[3])
-- What follows its end was started when it became rollback_failed. Who waits meanwhile
-- waits for this end too.
redis.call('HDEL', key, 'finished_at', 'rollback_error', 'undo_crashes', 'undo_lost', 'followers')
redis.call('HSET', key, 'linked', 1, 'more', 1)
local job = called(h[2])
redis.call('HSET', key, 'job', job)
redis.call('LREM', P .. 'history:' .. job, 0, id)
redis.call('LREM', P .. 'failures:' .. job, 0, id)
redis.call('LREM', P .. 'recent', 0, id)
local active = P .. 'active:' .. job
if h[4] then active = active .. ':' .. h[4] end
redis.call('SADD', active, id)
if h[6] then redis.call('SADD', P .. 'group:' .. h[6], id) end
local events = {}
back(id, h[3] or '', events)
redis.call('HSET', key, 'resumed_by', ARGV[3])
publish(KEYS[4], KEYS[5], events)
return { 1, 'rolling_back' }
