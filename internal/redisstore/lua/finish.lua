-- finish: the ends of attempts, many in one call.
--
-- KEYS: probe, leases, recent, events, sequence
-- ARGV: prefix, node, number of results, then for each result: run id, token, state,
--       back-off ms, exit code or "", error, output bytes, log bytes
-- Returns: for each result "ok", "superseded" (another attempt holds the run, or it is
--       final already) or "unknown" (no such run). A repeat answers as the first call.
-- Uses: common, archive
local node, n, WIDTH = ARGV[2], tonumber(ARGV[3]), 8
local reply, ended, retried, events = {}, {}, {}, {}
local by_job, order, recent = {}, {}, {}
local accepted = {}

for i = 0, n - 1 do
  local a = 4 + i * WIDTH
  local id, state = ARGV[a], ARGV[a + 2]
  local h = redis.call('HMGET', P .. 'run:' .. id, 'status', 'token', 'job', 'attempt')
  if not h[1] then
    reply[i + 1] = 'unknown'
  elseif h[2] ~= ARGV[a + 1] then
    reply[i + 1] = 'superseded'
  elseif h[1] == state and h[1] ~= 'running' then
    reply[i + 1] = 'ok' -- said before
  elseif h[1] == 'running' and can_move('running', state) then
    reply[i + 1] = 'ok'
    accepted[#accepted + 1] = { at = a, id = id, state = state, job = h[3], attempt = h[4] }
  else
    reply[i + 1] = 'superseded'
  end
  if reply[i + 1] == 'superseded' then
    events[#events + 1] = '{"type":"superseded","run":"' .. id .. '","node":"' .. node .. '"}'
  end
end

-- Taking leases away needs no memory: an end is accepted at maxmemory too.
for _, r in ipairs(accepted) do ended[#ended + 1] = r.id end
if #ended > 0 then variadic('ZREM', KEYS[2], ended) end

for _, r in ipairs(accepted) do
  local a, key = r.at, P .. 'run:' .. r.id
  local code, failure, wrote, log = ARGV[a + 4], ARGV[a + 5], ARGV[a + 6], ARGV[a + 7]
  local fields = { 'status', r.state }
  if code ~= '' then fields[3], fields[4] = 'exit_code', code end
  if wrote ~= '0' then fields[#fields + 1] = 'output_bytes'; fields[#fields + 1] = wrote end
  local event = '{"type":"' .. r.state .. '","job":"' .. r.job .. '","run":"' .. r.id .. '","node":"' .. node .. '","attempt":' .. r.attempt
  if failure ~= '' then
    fields[#fields + 1] = 'error'; fields[#fields + 1] = failure
    event = event .. ',"error":' .. cjson.encode(failure)
  elseif tonumber(r.attempt) > 1 then
    fields[#fields + 1] = 'error'; fields[#fields + 1] = ''
  end
  if r.state == 'retrying' then
    local due = NOW + tonumber(ARGV[a + 3])
    redis.call('HINCRBY', key, 'failures', 1)
    fields[#fields + 1] = 'retry_at'; fields[#fields + 1] = due
    redis.call('HSET', key, unpack(fields))
    redis.call('HDEL', key, 'parked_at') -- the next attempt may look for a node anew
    retried[#retried + 1] = due
    retried[#retried + 1] = r.id
    event = event .. ',"until":' .. due
  else
    if r.state ~= 'succeeded' then redis.call('HINCRBY', key, 'failures', 1) end
    fields[#fields + 1] = 'finished_at'; fields[#fields + 1] = NOW
    redis.call('HSET', key, unpack(fields))
    redis.call('PEXPIRE', key, KEEP_MS)
    local list = by_job[r.job]
    if not list then
      list = {}
      by_job[r.job] = list
      order[#order + 1] = r.job
    end
    list[#list + 1] = { id = r.id, ok = r.state == 'succeeded' }
    recent[#recent + 1] = r.id
  end
  if log ~= '0' then account_log(r.job, r.id, log) end
  events[#events + 1] = event .. '}'
end

if #retried > 0 then variadic('ZADD', KEYS[2], retried) end
for _, job in ipairs(order) do archive(job, by_job[job]) end
if #recent > 0 then remember(KEYS[3], recent) end
publish(KEYS[4], KEYS[5], events)
return reply
