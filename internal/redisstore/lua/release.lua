-- release: a node gives runs back.
--
-- KEYS: probe, leases, events, sequence
-- ARGV: prefix, node, number of runs, then for each: run id, token, kind, reason
--       kinds: "unstarted" (keeps its attempt number), "started" (was ended by a drain or
--       a lost lease), "park" (the node lacks the definition: the sweep finds a node that has it)
-- Returns: for each run "ok" or "lost". A repeat answers "lost", which the caller treats alike.
-- Uses: common, queue, ledger, archive, run
local node, n, WIDTH = ARGV[2], tonumber(ARGV[3]), 4
local PARK_MS = 1000
local reply, freed, parked, events = {}, {}, {}, {}
local queues, order = {}, {}
local accepted = {}
for i = 0, n - 1 do
  local a = 4 + i * WIDTH
  local id = ARGV[a]
  local h = redis.call('HMGET', P .. 'run:' .. id, 'status', 'token', 'attempt', 'priority', 'route', 'cancel_why', 'pin', 'job', 'delivery')
  if h[2] == ARGV[a + 1] and (h[1] == 'running' or h[1] == 'rolling_back') then
    reply[i + 1] = 'ok'
    accepted[#accepted + 1] = { id = id, status = h[1], kind = ARGV[a + 2], reason = ARGV[a + 3], attempt = tonumber(h[3]),
      priority = h[4], route = h[5] or 'any', canceled = h[6], pin = h[7], job = h[8], once = h[9] == 'at-most-once' }
    freed[#freed + 1] = id
  else
    reply[i + 1] = 'lost'
  end
end
if #freed > 0 then variadic('ZREM', KEYS[2], freed) end
for _, r in ipairs(accepted) do
  local key, kind = P .. 'run:' .. r.id, 'released'
  local undoing = r.status == 'rolling_back'
  if r.canceled and not undoing then
    close(r.id, 'canceled', r.canceled, events)
  elseif r.once and r.kind == 'started' and not undoing then
    close(r.id, 'failed', 'outcome unknown: ' .. node .. ' ended it before it was done (' .. r.reason .. '), and delivery is at-most-once', events)
  else
    local attempt = r.attempt
    if r.kind ~= 'started' and not undoing then attempt = attempt - 1 end
    if not undoing then redis.call('HSET', key, 'status', 'queued') end
    redis.call('HSET', key, 'attempt', attempt, 'token', '', 'node', '', 'renewed', '', 'waits', r.reason)
    if r.kind == 'park' then
      kind = 'parked'
      redis.call('HSETNX', key, 'parked_at', NOW)
      parked[#parked + 1] = NOW + PARK_MS
      parked[#parked + 1] = r.id
    else
      redis.call('HDEL', key, 'parked_at')
      local name = r.route .. ' ' .. r.priority
      local queue = queues[name]
      if queue then queue.ids[#queue.ids + 1] = r.id else
        queues[name] = { route = r.route, priority = r.priority, ids = { r.id } }
        order[#order + 1] = name
      end
      if r.pin then
        parked[#parked + 1] = NOW + PIN_MS
        parked[#parked + 1] = r.id
      end
    end
    events[#events + 1] = '{"type":"' .. kind .. '","job":"' .. r.job .. '","run":"' .. r.id .. '","node":"' .. node .. '","reason":' .. cjson.encode(r.reason) .. '}'
  end
end
if #parked > 0 then variadic('ZADD', KEYS[2], parked) end
for _, name in ipairs(order) do
  local q = queues[name]
  enqueue(q.route, q.priority, q.ids, 'RPUSH')
  ring(q.route, #q.ids)
end
publish(KEYS[3], KEYS[4], events)
return reply
