-- anew: parked runs of which nothing has happened yet become runs of their jobs as the leader's
-- file has them now. Nobody is left who has the definition that they were made with.
--
-- KEYS: probe, leader, leases, events, sequence
-- ARGV: prefix, token, number of jobs, then their specs (lib_run), number of runs, then for each: index
--       of its job's spec, run id
-- Returns: {1, how many did}; {0} when the token does not hold the seat. One whose new group is
--       full stays parked. A repeat finds none of them parked.
-- Uses: common, queue, ledger, archive, run
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return { 0 } end

local specs, at = {}, 4
for i = 1, tonumber(ARGV[3]) do
  specs[i] = spec_of(ARGV, at)
  at = at + SPEC_WIDTH
end
local done, left, events = {}, {}, {}
for i = 1, tonumber(ARGV[at]) do
  local spec, id = specs[tonumber(ARGV[at + 2 * i - 1])], ARGV[at + 2 * i]
  local key = P .. 'run:' .. id
  local h = redis.call('HMGET', key, 'job', 'group', 'parked_at', 'digest')
  local joins = spec.group ~= '' and spec.group ~= h[2]
  if h[1] == spec.job and h[3] and h[4] ~= spec.digest and unbound(key) and not (joins and full(P .. 'group:' .. spec.group, spec.limit)) then
    rule(id, spec)
    if joins then redis.call('SADD', P .. 'group:' .. spec.group, id) end
    if h[2] and h[2] ~= spec.group then left[#left + 1] = { id = id, group = h[2] } end
    enqueue(spec.route, spec.priority, { id }, 'RPUSH')
    ring(spec.route, 1)
    done[#done + 1] = id
    events[#events + 1] = queued_event(spec.job, id)
  end
end
if #done > 0 then variadic('ZREM', KEYS[3], done) end
for _, r in ipairs(left) do leave_group(r.group, r.id) end
publish(KEYS[4], KEYS[5], events)
return { 1, #done }
