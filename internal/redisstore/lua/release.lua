-- release: a node gives runs back.
--
-- KEYS: probe, leases, events, sequence
-- ARGV: prefix, node, route, number of runs, then for each: run id, token, kind, reason
--       kinds: "unstarted" (keeps its attempt number), "started" (was killed by a drain),
--       "park" (the node lacks the definition: the sweep finds a node that has it)
-- Returns: for each run "ok" or "lost". A repeat answers "lost", which the caller treats alike.
-- Uses: common, queue
local node, route, n, WIDTH = ARGV[2], ARGV[3], tonumber(ARGV[4]), 4
local PARK_MS = 1000
local reply, freed, parked, events = {}, {}, {}, {}
local queues, order, total = {}, {}, 0
local accepted = {}
for i = 0, n - 1 do
  local a = 5 + i * WIDTH
  local id = ARGV[a]
  local h = redis.call('HMGET', P .. 'run:' .. id, 'status', 'token', 'attempt', 'priority')
  if h[2] == ARGV[a + 1] and h[1] == 'running' and can_move('running', 'queued') then
    reply[i + 1] = 'ok'
    accepted[#accepted + 1] = { id = id, kind = ARGV[a + 2], reason = ARGV[a + 3], attempt = tonumber(h[3]), priority = h[4] }
    freed[#freed + 1] = id
  else
    reply[i + 1] = 'lost'
  end
end
if #freed > 0 then variadic('ZREM', KEYS[2], freed) end
for _, r in ipairs(accepted) do
  local key, attempt, kind = P .. 'run:' .. r.id, r.attempt, 'released'
  if r.kind ~= 'started' then attempt = attempt - 1 end
  redis.call('HSET', key, 'status', 'queued', 'attempt', attempt, 'token', '', 'node', '', 'reason', r.reason)
  if r.kind == 'park' then
    kind = 'parked'
    redis.call('HSETNX', key, 'parked_at', NOW)
    parked[#parked + 1] = NOW + PARK_MS
    parked[#parked + 1] = r.id
  else
    redis.call('HDEL', key, 'parked_at')
    local queue = queues[r.priority]
    if queue then queue[#queue + 1] = r.id else
      queues[r.priority] = { r.id }
      order[#order + 1] = r.priority
    end
    total = total + 1
  end
  events[#events + 1] = '{"type":"' .. kind .. '","run":"' .. r.id .. '","node":"' .. node .. '","reason":' .. cjson.encode(r.reason) .. '}'
end
if #parked > 0 then variadic('ZADD', KEYS[2], parked) end
for _, priority in ipairs(order) do enqueue(route, priority, queues[priority], 'RPUSH') end
if total > 0 then ring(route, total) end
publish(KEYS[3], KEYS[4], events)
return reply
