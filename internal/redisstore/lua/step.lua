-- step: a step is about to start; its undo is on the rollback list from here on.
--
-- KEYS: probe, run, rollback, events, sequence
-- ARGV: prefix, run id, token, index, name, 1 when the step has an undo else 0
-- Returns: "ok"; "canceled" when somebody called the run off: the step must not start;
--       "lost" when another attempt holds the run. A repeat answers as the first call, and
--       changes nothing when a later step has begun since.
-- Uses: common
local h = redis.call('HMGET', KEYS[2], 'status', 'token', 'cancel', 'undos', 'recorded', 'job', 'step')
if h[1] ~= 'running' or h[2] ~= ARGV[3] then return 'lost' end
if h[3] then return 'canceled' end
local index, name = tonumber(ARGV[4]), ARGV[5]
-- A call that was on its way for long, after a repeat of it had been answered: the next
-- attempt must not resume at what is done.
if index < tonumber(h[7] or '0') then return 'ok' end
-- Once a step: a retry that resumes at it finds its undo on the list.
if index >= tonumber(h[4] or '0') then
  if ARGV[6] == '1' then redis.call('LPUSH', KEYS[3], name) end
  redis.call('HSET', KEYS[2], 'undos', index + 1)
end
if h[5] and h[5] ~= name then
  local before = redis.call('HGET', KEYS[2], 'step:' .. h[5])
  if before then redis.call('HSET', KEYS[2], 'step:' .. h[5], (string.gsub(before, ' running ', ' succeeded '))) end
end
redis.call('HSET', KEYS[2], 'more', 1, 'step', index, 'recorded', name, 'step:' .. name, index .. ' running ' .. NOW)
publish(KEYS[4], KEYS[5], { '{"type":"step","job":"' .. h[6] .. '","run":"' .. ARGV[2] .. '","step":"' .. name .. '"}' })
return 'ok'
