-- lib_queue: putting runs on their queue and waking nodes.

-- A node whose heartbeat is older is not counted as live.
local LIVE_MS = 6000
local ROUTE_KEEP_MS = 3600000 -- of the keys of a one-node route

local function queue_key(route, priority)
  return P .. 'queue:' .. route .. ':' .. priority
end

-- keep_route(route, priority): the keys of a node that is gone go by themselves.
local function keep_route(route, priority)
  redis.call('PEXPIRE', queue_key(route, priority), ROUTE_KEEP_MS)
  redis.call('PEXPIRE', P .. 'priorities:' .. route, ROUTE_KEEP_MS)
end

-- enqueue(route, priority, ids, command): LPUSH puts behind the waiting runs,
-- RPUSH in front of them (nodes pop from the right).
local function enqueue(route, priority, ids, command)
  variadic(command, queue_key(route, priority), ids)
  redis.call('ZADD', P .. 'priorities:' .. route, 'NX', NOW, priority)
  if string.sub(route, 1, 5) == 'node=' then
    keep_route(route, priority)
  elseif route ~= 'any' then
    redis.call('ZADD', P .. 'routes', 'NX', 0, route) -- the sweep looks after it
  end
end

-- ring(route, waiting): leaves at most one token for each live node and each
-- waiting run, so that a burst wakes the fleet and a single run wakes one node.
local function ring(route, waiting)
  local bell = P .. 'bell:' .. route
  local live = 1
  if string.sub(route, 1, 5) ~= 'node=' then live = math.max(redis.call('ZCOUNT', P .. 'nodes', NOW - LIVE_MS, '+inf'), 1) end
  local tokens = math.min(waiting, live) - redis.call('LLEN', bell)
  if tokens > 0 then
    local list = {}
    for i = 1, tokens do list[i] = '1' end
    variadic('LPUSH', bell, list)
    if route ~= 'any' then redis.call('PEXPIRE', bell, ROUTE_KEEP_MS) end
  end
end

-- fleet(): the live nodes: name, boot, schedules (digests, space-separated), serves (a
-- set of routes). Read once a call.
local fleet_list
local function fleet()
  if fleet_list then return fleet_list end
  fleet_list = {}
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. 'nodes', NOW - LIVE_MS, '+inf')) do
    local h = redis.call('HMGET', P .. 'node:' .. name, 'boot', 'schedules', 'routes')
    if h[1] then
      local serves = {}
      for route in string.gmatch(h[3] or 'any', '%S+') do serves[route] = true end
      fleet_list[#fleet_list + 1] = { name = name, boot = h[1], schedules = h[2] or '', serves = serves }
    end
  end
  return fleet_list
end
