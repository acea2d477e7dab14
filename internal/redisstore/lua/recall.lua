-- recall: after a loss of data (lua/amnesia.lua) a node says which attempts it holds, and which
-- it has seen the end of. The store takes back what it has forgotten: a run that it does not
-- know, or of which it knows less than the node.
--
-- KEYS: probe, leases, events, sequence
-- ARGV: prefix, node, boot, lease ms, number of attempts, then for each: run id, token, attempt,
--       1 when it undoes the run else 0, what the node remembers as JSON: started (ms ago), failures, steps (begun,
--       in order), rollback (names, the next one first), failure, failed_at, over (it has ended, and is not tried again); and of a run that may
--       be made anew: spec (lib_run), trigger, scheduled_at, params, pin, up_job, up_run, up_status, up_error
-- Returns: for each "held" (the token holds the run), "other" (the store knows of more than
--       the node, or another attempt holds it) or "gone" (it knows nothing of the run, which is not made anew).
-- A repeat answers as the first call, as long as the token holds the run.
-- Uses: common, queue, ledger, archive, run
local RECALL_MS = 600000 -- after the loss was noticed; later an unknown run may have come and gone again
local node, boot, lease, n, WIDTH = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), 5
local loss = since_loss()
local fresh = loss > 0 and NOW < loss + RECALL_MS
local reply, leases, events = {}, {}, {}
local FORWARD = { queued = true, retrying = true, running = true }

-- older(status, ...): whether the store knows less of the run than the node. over: the store has
-- accepted from the node that the attempt ended for good. So what the sweep made of its lease does not
-- count, nor one by that number that was given back before it began.
local function older(status, token, attempt, n, undoing, over)
  if over and FORWARD[status] and attempt <= n then return true end
  local ours = token and string.sub(token, 1, #boot + 1) == boot .. ':'
  if undoing then
    return FORWARD[status] and attempt <= n or status == 'rolling_back' and (token == '' or ours)
  end
  return FORWARD[status] and attempt < n or status == 'running' and attempt == n and ours
end

-- anew(id, m): the run as it was made once. Returns its job.
local function anew(id, m)
  local spec, more = settle(spec_of(m.spec, 1)), {}
  for _, field in ipairs({ 'scheduled_at', 'params', 'up_job', 'up_run', 'up_status', 'up_error' }) do
    if m[field] then
      more[#more + 1] = field
      more[#more + 1] = m[field]
    end
  end
  born(id, spec, m.trigger, more)
  local active = P .. 'active:' .. spec.job
  if m.pin then
    redis.call('HSET', P .. 'run:' .. id, 'route', 'node=' .. boot, 'pin', boot, 'pinned_to', node)
    active = active .. ':' .. node
  end
  redis.call('SADD', active, id)
  if spec.group ~= '' then redis.call('SADD', P .. 'group:' .. spec.group, id) end
  return spec.job
end

-- turn(id): a run that waited for its turn has had it.
local function turn(id)
  local h = redis.call('HMGET', P .. 'run:' .. id, 'job', 'group')
  local waiting = P .. 'waiting:' .. h[1]
  if redis.call('LREM', waiting, 0, id) == 0 or not h[2] then return end
  redis.call('SADD', P .. 'group:' .. h[2], id)
  redis.call('ZREM', P .. 'groupwait:' .. h[2], h[1])
end

-- restore(id, key, m, undoing): how far the attempt has come.
local function restore(id, key, m, undoing)
  if m.steps then
    for i, name in ipairs(m.steps) do
      local was = redis.call('HGET', key, 'step:' .. name)
      if i == #m.steps then
        redis.call('HSET', key, 'step:' .. name, (i - 1) .. ' running ' .. NOW)
      elseif not was or string.find(was, ' running ', 1, true) then -- the next one has begun
        redis.call('HSET', key, 'step:' .. name, was and (string.gsub(was, ' running ', ' succeeded ', 1)) or (i - 1) .. ' succeeded ' .. NOW)
      end
    end
    redis.call('HSET', key, 'more', 1, 'step', #m.steps - 1, 'recorded', m.steps[#m.steps], 'undos', #m.steps)
  end
  if m.steps or undoing then
    redis.call('DEL', P .. 'rollback:' .. id)
    if m.rollback and #m.rollback > 0 then redis.call('RPUSH', P .. 'rollback:' .. id, unpack(m.rollback)) end
  end
  if m.failures then redis.call('HSET', key, 'more', 1, 'failures', m.failures) end
  if undoing then redis.call('HSET', key, 'more', 1, 'error', m.failure or '', 'failed_step', m.failed_at or '') end
end

for i = 0, n - 1 do
  local a = 6 + i * WIDTH
  local id, token, attempt, undoing = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 2]), ARGV[a + 3] == '1'
  local key = P .. 'run:' .. id
  local h = redis.call('HMGET', key, 'status', 'token', 'attempt', 'job')
  local as = undoing and 'rolling_back' or 'running'
  local m, held = cjson.decode(ARGV[a + 4]), nil
  if not h[1] then
    reply[i + 1] = 'gone'
    held = fresh and m.spec ~= nil
    if held then h[4] = anew(id, m) end
  else
    reply[i + 1] = 'other'
    held = loss > 0 and (h[1] == as and h[2] == token or older(h[1], h[2], tonumber(h[3] or '0'), attempt, undoing, m.over))
  end
  if held then
    reply[i + 1] = 'held'
    leases[#leases + 1] = NOW + lease
    leases[#leases + 1] = id
    if h[1] then turn(id) end
    if h[1] ~= as or h[2] ~= token then
      redis.call('HSET', key, 'status', as, 'attempt', attempt, 'node', node, 'token', token, 'renewed', '', 'started_at', NOW - m.started)
      redis.call('HDEL', key, 'parked_at', 'retry_at', 'waits', 'exit_code', 'ended')
      local job = h[4]
      if undoing then
        events[#events + 1] = '{"type":"rolling_back","job":"' .. job .. '","run":"' .. id .. '","error":' .. cjson.encode(m.failure or '') .. '}'
      else
        events[#events + 1] = '{"type":"running","job":"' .. job .. '","run":"' .. id .. '","node":"' .. node .. '","attempt":' .. attempt .. '}'
      end
    end
    redis.call('HSET', key, 'recalled', loss)
    restore(id, key, m, undoing)
  end
end
if #leases > 0 then variadic('ZADD', KEYS[2], leases) end
publish(KEYS[3], KEYS[4], events)
return reply
