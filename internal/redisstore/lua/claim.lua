-- claim: a node takes waiting runs, the highest priority first, each with a lease
-- and a new attempt token.
--
-- KEYS: probe, leases, claim, events, sequence, term
-- ARGV: prefix, lane, claim id, node, boot, how many, lease ms, max wait ms, routes...
-- Returns: {1 when runs were left behind else 0, epoch of the term, the number of the last message, then for each run: id, token, attempt,
--       failures, trigger, scheduled ms or "", priority, digest, params or "", rest as JSON or ""}
--       rest: step, undoing, rollback, failure, failed_at, up_job, up_run, up_status, up_error
-- A repeat with the same claim id of the lane gets the same runs, as long as they
-- are still held by this claim.
-- After a loss of data (lua/amnesia.lua) nothing is handed out for a moment: the nodes
-- first say what they have done. What then still waits from before may have been started by a
-- node that is gone: that of a job with delivery at-most-once ends instead.
-- Uses: common, queue
-- Later: ledger, archive, run for close
local DOUBT_MS = 86400000 -- for so long what waits is looked at for having been made before the loss
local lane, claim, node, boot, want, lease = ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
-- A field that is not there costs a search of the whole hash: what only some runs have
-- is asked for only when "more" says that there is some of it.
local FIELDS = { 'status', 'attempt', 'trigger', 'scheduled_at', 'priority', 'digest', 'more' }
local MORE = { 'failures', 'params', 'step', 'error', 'failed_step', 'up_job', 'up_run', 'up_status', 'up_error' }

local reply = { 0, tonumber(redis.call('HGET', KEYS[6], 'epoch') or '0'), SEQ }

-- rest(id, status, m): steps done, a rollback to run, an upstream run.
local function rest(id, status, m)
  local undoing = status == 'rolling_back'
  if not undoing and not m[3] and not m[7] then return '' end
  local r = { step = tonumber(m[3] or '0') }
  if undoing then
    r.undoing, r.failure, r.failed_at = true, m[4] or '', m[5] or ''
    r.rollback = redis.call('LRANGE', P .. 'rollback:' .. id, 0, -1)
    if #r.rollback == 0 then r.rollback = nil end
  end
  if m[7] then r.up_job, r.up_run, r.up_status, r.up_error = m[6] or '', m[7], m[8] or '', m[9] or '' end
  return cjson.encode(r)
end

local function answer(id, token, attempt, h)
  local failures, params, others = '0', '', ''
  if h[7] then
    local m = redis.call('HMGET', P .. 'run:' .. id, unpack(MORE))
    failures, params, others = m[1] or '0', m[2] or '', rest(id, h[1], m)
  end
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4], reply[at + 5] = id, token, attempt, failures, h[3] or ''
  reply[at + 6], reply[at + 7], reply[at + 8], reply[at + 9], reply[at + 10] = h[4] or '', h[5] or '', h[6] or '', params, others
end

local before = redis.call('HGET', KEYS[3], lane)
if before then
  local head, ids = string.match(before, '^(%S+) ?(.*)$')
  if head == claim then
    local i = 0
    for id in string.gmatch(ids, '%S+') do
      i = i + 1
      local token = boot .. ':' .. claim .. ':' .. i
      local h = redis.call('HMGET', P .. 'run:' .. id, unpack(FIELDS))
      if (h[1] == 'running' or h[1] == 'rolling_back') and redis.call('HGET', P .. 'run:' .. id, 'token') == token then
        answer(id, token, tonumber(h[2]), h)
      end
    end
    return reply
  end
end

if unsettled() then return reply end
local loss = since_loss()
local doubt = loss > 0 and NOW < loss + DOUBT_MS

-- doubtful(key): whether the run could have been started, and must not be twice.
local function doubtful(key)
  local h = redis.call('HMGET', key, 'delivery', 'queued_at', 'recalled')
  return h[1] == 'at-most-once' and tonumber(h[2]) < loss and not h[3]
end

-- unfinished(id): whether a run without a hash counts as one that has not ended. (One for
-- every node stands in :leases in any case.)
local function unfinished(id)
  local job = string.match(id, '^[^@]+')
  local now = redis.call('HGET', P .. 'renamed', job)
  if now then job = string.match(now, '^%S+') end
  return redis.call('SISMEMBER', P .. 'active:' .. job, id) == 1 or redis.call('EXISTS', P .. 'waiting:' .. job) == 1
end

local waiting = {}
for r = 9, #ARGV do
  local list = redis.call('ZRANGE', P .. 'priorities:' .. ARGV[r], 0, -1, 'WITHSCORES')
  for i = 1, #list, 2 do
    waiting[#waiting + 1] = { priority = tonumber(list[i]), route = ARGV[r], since = tonumber(list[i + 1]) }
  end
end
-- What has waited too long goes first, the longest first; then the highest priority.
local overdue = NOW - tonumber(ARGV[8])
table.sort(waiting, function(a, b)
  local late_a, late_b = a.since < overdue, b.since < overdue
  if late_a ~= late_b then return late_a end
  if late_a and a.since ~= b.since then return a.since < b.since end
  if a.priority ~= b.priority then return a.priority > b.priority end
  return a.route < b.route
end)

local taken, leases, lost, events, left = {}, {}, {}, {}, nil
for _, w in ipairs(waiting) do
  local queue, empty = queue_key(w.route, w.priority), false
  -- Of a queue that is only overdue, no more than what is: others may be, too.
  local most = want
  if w.since < overdue and #waiting > 1 then most = math.min(want, #taken + math.max(1, math.floor((want - #taken) / 2))) end
  while not empty and #taken < most do
    local ask = most - #taken
    local ids = redis.call('RPOP', queue, ask) or {}
    empty = #ids < ask
    for _, id in ipairs(ids) do
      local key = P .. 'run:' .. id
      local h = redis.call('HMGET', key, unpack(FIELDS))
      local undo = h[1] == 'rolling_back' and redis.call('HGET', key, 'token') == ''
      -- Anything else is not waiting any more: its element is dropped here.
      if doubt and h[1] == 'queued' and doubtful(key) then
        later().close(id, 'failed', 'outcome unknown: Redis lost what became of it, and delivery is at-most-once', events)
      elseif undo or h[1] and can_move(h[1], 'running') then
        taken[#taken + 1] = id
        local token = boot .. ':' .. claim .. ':' .. #taken
        local attempt = tonumber(h[2] or '0')
        if undo then
          redis.call('HSET', key, 'node', node, 'token', token, 'renewed', '')
        else
          attempt = attempt + 1
          redis.call('HSET', key, 'status', 'running', 'attempt', attempt, 'node', node, 'token', token, 'started_at', NOW)
          events[#events + 1] = '{"type":"running","run":"' .. id .. '","node":"' .. node .. '","attempt":' .. attempt .. '}'
        end
        leases[#leases + 1] = NOW + lease
        leases[#leases + 1] = id
        answer(id, token, attempt, h)
      elseif not h[1] then
        -- Its hash is gone. What it stands in the way of is for the sweep to find. One that was
        -- canceled while it waited here, so long ago that it is forgotten, is in nobody's.
        if unfinished(id) then
          lost[#lost + 1] = NOW
          lost[#lost + 1] = id
        end
      end
    end
  end
  local zset = P .. 'priorities:' .. w.route
  if empty then
    redis.call('ZREM', zset, w.priority)
  else
    left = left or w.route
    -- The score says since when the oldest of them waits.
    local oldest = redis.call('LINDEX', queue, -1)
    if oldest then
      redis.call('ZADD', zset, redis.call('HGET', P .. 'run:' .. oldest, 'queued_at') or NOW, w.priority)
    else
      redis.call('ZREM', zset, w.priority)
      if left == w.route then left = nil end
    end
  end
end

if #taken > 0 then
  variadic('ZADD', KEYS[2], leases)
  redis.call('HSET', KEYS[3], lane, claim .. ' ' .. table.concat(taken, ' '))
  redis.call('PEXPIRE', KEYS[3], 3600000)
end
if #lost > 0 then variadic('ZADD', KEYS[2], lost) end
if left then
  reply[1] = 1
  if #taken > 0 then ring(left, 1) end
end
publish(KEYS[4], KEYS[5], events)
reply[3] = SEQ
return reply
