-- feed: the leader turns ticks of a backfill into runs: one after the other, or all
-- that may run beside each other with overlap allow.
--
-- KEYS: probe, leader, backfills, events, sequence
-- ARGV: prefix, token, number of jobs, then their specs (lib_run)
-- Returns: {1, jobs with ticks left}; {0} when the token does not hold the seat.
-- Uses: common, queue, ledger, archive, run
local A_CALL = 100 -- runs of a job in one call

if redis.call('GET', KEYS[2]) ~= ARGV[2] then return { 0 } end
-- iso(ms): a tick as run ids write it (jobs.TickLayout): civil from days, with the era
-- of 400 years that begins on 1 March.
local function iso(ms)
  local s = math.floor(ms / 1000)
  local days, rest = math.floor(s / 86400), s % 86400
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day, month = doy - math.floor((153 * mp + 2) / 5) + 1, mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02dZ', year, month, day, math.floor(rest / 3600), math.floor(rest / 60) % 60, rest % 60)
end

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
