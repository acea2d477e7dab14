-- trigger: a run that no tick asked for. Needs no leader.
--
-- KEYS: probe, request, events, sequence
-- ARGV: prefix, spec (lib_run), run id, request id or "", how long a request id is kept
--       in ms, params as JSON or "", reason, by
-- Returns: {"queued", id}; {"waiting", id, id of the run in the way} with overlap queue or replace;
--       {"repeated", id} for a request id or a run id seen before; {"busy", id of the
--       unfinished run, why}; {"paused", who and why as JSON}; {"nobody", ""} when no live node
--       serves a job with every_node.
-- Uses: common, queue, ledger, archive, run
local spec = settle(spec_of(ARGV, 2))
local a = 2 + SPEC_WIDTH
local id, request = ARGV[a], ARGV[a + 1]
if request ~= '' then
  local earlier = redis.call('GET', KEYS[2])
  if earlier then return { 'repeated', earlier } end
end
if redis.call('EXISTS', P .. 'run:' .. id) == 1 then return { 'repeated', id } end
local pause = redis.call('HGET', P .. 'paused', spec.job)
if pause then return { 'paused', pause } end

local more = {}
for i, field in ipairs({ 'params', 'reason', 'by' }) do
  local value = ARGV[a + 2 + i]
  if value ~= '' then
    more[#more + 1] = field
    more[#more + 1] = value
  end
end
local events, verdict, way, why = {}, nil, nil, nil
if spec.every then
  local queued, refused, repeated
  queued, refused, way, why, repeated = everywhere(id, spec, 'manual', more, events)
  if repeated > 0 and repeated == queued then return { 'repeated', id } end
  if queued == 0 and not way then return { 'nobody', '' } end
  verdict = queued > 0 and 'queued' or 'skipped'
else
  verdict, way, why = admit(id, spec, 'manual', more, events)
end
if verdict == 'skipped' then return { 'busy', way, why } end
if request ~= '' then redis.call('SET', KEYS[2], id, 'PX', ARGV[a + 2]) end
publish(KEYS[3], KEYS[4], events)
return { verdict, id, way or '' }
