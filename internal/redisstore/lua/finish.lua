-- finish: the ends of attempts, many in one call.
--
-- KEYS: probe, leases, recent, events, sequence
-- ARGV: prefix, node, number of results, then for each result: run id, token, state,
--       back-off ms, exit code or "", error, output bytes, log bytes, failed step or ""
-- Returns: for each result "ok", "superseded" (another attempt holds the run, or it is
--       final already) or "unknown" (no such run); then the number of the last message.
--       A repeat answers as the first call.
-- What failed or was called off with something to undo is queued for that instead.
-- Uses: common, archive
-- Later: queue, ledger, run for close_step, undoable, back, linked_end
local life_functions
local function life()
  life_functions = life_functions or later()
  return life_functions
end
local node, n, WIDTH = ARGV[2], tonumber(ARGV[3]), 9
local reply, ended, retried, events = {}, {}, {}, {}
local by_job, order, recent = {}, {}, {}
local accepted = {}
-- What a node may say of an attempt, and in which state its run is then. The other
-- moves are for the scripts that also put the run where it belongs.
local ENDS = { succeeded = 'running', failed = 'running', retrying = 'running', canceled = 'running',
  rolled_back = 'rolling_back', rollback_failed = 'rolling_back' }

for i = 0, n - 1 do
  local a = 4 + i * WIDTH
  local id, state = ARGV[a], ARGV[a + 2]
  local key = P .. 'run:' .. id
  local h = redis.call('HMGET', key, 'status', 'token', 'attempt', 'more')
  local mine = h[2] == ARGV[a + 1]
  if not h[1] then
    reply[i + 1] = 'unknown'
  elseif mine and h[1] == state and ENDS[state] then
    reply[i + 1] = 'ok' -- said before
  elseif mine and ENDS[state] == h[1] and can_move(h[1], state) then
    reply[i + 1] = 'ok'
    accepted[#accepted + 1] = { at = a, id = id, state = state, job = string.match(id, '^[^@]+'), attempt = h[3], more = h[4], from = h[1] }
  elseif redis.call('HGET', key, 'ended') == ARGV[a + 1] then
    reply[i + 1] = 'ok' -- said before, and something else became of it
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

local ends = {} -- that concern other runs
local fields, width -- of the hash of the run at hand
local function set(field, value)
  fields[width + 1], fields[width + 2] = field, value
  width = width + 2
end
for _, r in ipairs(accepted) do
  local a, key = r.at, P .. 'run:' .. r.id
  local code, failure, wrote, log, failed_step = ARGV[a + 4], ARGV[a + 5], ARGV[a + 6], ARGV[a + 7], ARGV[a + 8]
  if r.more then
    local more = redis.call('HMGET', key, 'linked', 'recorded', 'job')
    r.linked, r.steps, r.job = more[1], more[2], more[3] or r.job -- it may have been renamed
  end
  r.job = job_of(r.id, r.job)
  fields, width = {}, 0
  if code ~= '' and r.from == 'running' then set('exit_code', code) end -- an undo's is not the run's
  if wrote ~= '0' then set('output_bytes', wrote) end
  -- Called off meanwhile: what did not succeed is not tried again.
  if (r.state == 'failed' or r.state == 'retrying' or r.state == 'canceled') and r.from == 'running' then
    local cancel = redis.call('HGET', key, 'cancel_why')
    if cancel then
      r.state, failure = 'canceled', cancel
      set('ended', ARGV[a + 1])
    end
  end
  if r.steps then life().close_step(key, r.state, failed_step) end
  local undo = (r.state == 'failed' or r.state == 'canceled') and r.steps and life().undoable(r.id)
  if r.state == 'failed' or r.state == 'retrying' then redis.call('HINCRBY', key, 'failures', 1); set('more', 1) end
  if failed_step ~= '' and r.from == 'running' then set('failed_step', failed_step) end
  local event = '{"type":"' .. r.state .. '","job":"' .. r.job .. '","run":"' .. r.id .. '","node":"' .. node .. '","attempt":' .. r.attempt
  if failure ~= '' then event = event .. ',"error":' .. cjson.encode(failure) end
  if undo then
    set('ended', ARGV[a + 1])
    redis.call('HSET', key, unpack(fields))
    life().back(r.id, failure, events)
  elseif r.state == 'retrying' then
    local due = NOW + tonumber(ARGV[a + 3])
    set('status', 'retrying')
    set('error', failure)
    set('retry_at', due)
    redis.call('HSET', key, unpack(fields))
    redis.call('HDEL', key, 'parked_at') -- the next attempt may look for a node anew
    retried[#retried + 1] = due
    retried[#retried + 1] = r.id
    events[#events + 1] = event .. ',"until":' .. due .. '}'
  else
    set('status', r.state)
    set('finished_at', NOW)
    if r.from == 'rolling_back' then
      if r.state == 'rollback_failed' then
        set('rollback_error', failure)
        redis.call('PEXPIRE', P .. 'rollback:' .. r.id, KEEP_MS)
      else
        redis.call('DEL', P .. 'rollback:' .. r.id)
      end
    else
      if failure ~= '' or tonumber(r.attempt) > 1 then set('error', failure) end
      if r.steps then redis.call('DEL', P .. 'rollback:' .. r.id) end
    end
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
    if r.linked then ends[#ends + 1] = r end
    events[#events + 1] = event .. '}'
  end
  if log ~= '0' then account_log(r.job, r.id, log) end
end

if #retried > 0 then variadic('ZADD', KEYS[2], retried) end
for _, job in ipairs(order) do archive(job, by_job[job]) end
if #recent > 0 then remember(KEYS[3], recent) end
for _, r in ipairs(ends) do life().linked_end(r.id, r.job, r.state, events) end
publish(KEYS[4], KEYS[5], events)
reply[n + 1] = SEQ
return reply
