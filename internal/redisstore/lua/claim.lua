-- claim: a node takes waiting runs, the highest priority first, each with a lease
-- and a new attempt token.
--
-- KEYS: probe, leases, claim, events, sequence, term
-- ARGV: prefix, lane, claim id, node, boot, how many, lease ms, routes...
-- Returns: {1 when runs were left behind else 0, epoch of the term, then for each run: id, token, attempt,
--       failures, trigger, scheduled ms or "", priority, digest, params or ""}
-- A repeat with the same claim id of the lane gets the same runs, as long as they
-- are still held by this claim.
-- Uses: common, queue
local lane, claim, node, boot, want, lease = ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local FIELDS = { 'status', 'attempt', 'failures', 'trigger', 'scheduled_at', 'priority', 'digest', 'params' }

local reply = { 0, tonumber(redis.call('HGET', KEYS[6], 'epoch') or '0') }
local function answer(id, token, attempt, h)
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3], reply[at + 4] = id, token, attempt, h[3] or '0'
  reply[at + 5], reply[at + 6], reply[at + 7], reply[at + 8], reply[at + 9] = h[4] or '', h[5] or '', h[6] or '', h[7] or '', h[8] or ''
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
      if h[1] == 'running' and redis.call('HGET', P .. 'run:' .. id, 'token') == token then
        answer(id, token, tonumber(h[2]), h)
      end
    end
    return reply
  end
end

local waiting = {}
for r = 8, #ARGV do
  local list = redis.call('ZRANGE', P .. 'priorities:' .. ARGV[r], 0, -1)
  for _, priority in ipairs(list) do
    waiting[#waiting + 1] = { priority = tonumber(priority), route = ARGV[r] }
  end
end
table.sort(waiting, function(a, b)
  if a.priority ~= b.priority then return a.priority > b.priority end
  return a.route < b.route
end)

local taken, leases, events, left = {}, {}, {}, nil
for _, w in ipairs(waiting) do
  local queue, empty = queue_key(w.route, w.priority), false
  while not empty and #taken < want do
    local ask = want - #taken
    local ids = redis.call('RPOP', queue, ask) or {}
    empty = #ids < ask
    for _, id in ipairs(ids) do
      local key = P .. 'run:' .. id
      local h = redis.call('HMGET', key, unpack(FIELDS))
      -- Anything else is not waiting any more: its element is dropped here.
      if h[1] and can_move(h[1], 'running') then
        taken[#taken + 1] = id
        local token = boot .. ':' .. claim .. ':' .. #taken
        local attempt = tonumber(h[2] or '0') + 1
        redis.call('HSET', key, 'status', 'running', 'attempt', attempt, 'node', node, 'token', token, 'started_at', NOW)
        leases[#leases + 1] = NOW + lease
        leases[#leases + 1] = id
        events[#events + 1] = '{"type":"running","run":"' .. id .. '","node":"' .. node .. '","attempt":' .. attempt .. '}'
        answer(id, token, attempt, h)
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
if left then
  reply[1] = 1
  if #taken > 0 then ring(left, 1) end
end
publish(KEYS[4], KEYS[5], events)
return reply
