-- feed: the leader turns ticks of a backfill into runs: one after the other, or all
-- that may run beside each other with overlap allow.
--
-- KEYS: probe, leader, backfills, events, sequence
-- ARGV: prefix, token, number of jobs, then their specs (lib_run)
-- Returns: {1, jobs with ticks left}; {0} when the token does not hold the seat.
-- Uses: common, queue, ledger, archive, run, iso
local A_CALL = 100 -- runs of a job in one call

if redis.call('GET', KEYS[2]) ~= ARGV[2] then return { 0 } end

local left, events = 0, {}
for i = 0, tonumber(ARGV[3]) - 1 do
  local spec = spec_of(ARGV, 4 + i * SPEC_WIDTH)
  local list = P .. 'backfill:' .. spec.job
  local who = redis.call('HGET', KEYS[3], spec.job) or ''
  for _ = 1, A_CALL do
    local tick = redis.call('LINDEX', list, 0)
    if not tick or paused(spec.job) then break end
    local id = spec.job .. '@' .. iso(tonumber(tick))
    local verdict = 'queued'
    if redis.call('EXISTS', P .. 'run:' .. id) == 0 then
      local more = { 'scheduled_at', tick, 'by', who }
      if spec.every then
        local queued = everywhere(id, spec, 'backfill', more, events, tick)
        if queued == 0 then verdict = 'later' end
      elseif in_the_way(spec, P .. 'active:' .. spec.job) then
        verdict = 'later'
      else
        admit(id, spec, 'backfill', more, events, tick)
      end
      if verdict == 'queued' then record(spec.job, { tick .. ' late' }) end
    end
    if verdict == 'later' then break end
    redis.call('LPOP', list)
  end
  if redis.call('EXISTS', list) == 1 then
    left = left + 1
  else
    redis.call('HDEL', KEYS[3], spec.job)
  end
end
publish(KEYS[4], KEYS[5], events)
return { 1, left }
