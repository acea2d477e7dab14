-- lib_queue: putting runs on their queue and waking nodes.

-- A node whose heartbeat is older is not counted as live.
local LIVE_MS = 6000

local function queue_key(route, priority)
  return P .. 'queue:' .. route .. ':' .. priority
end

-- enqueue(route, priority, ids, command): LPUSH puts behind the waiting runs,
-- RPUSH in front of them (nodes pop from the right).
local function enqueue(route, priority, ids, command)
  variadic(command, queue_key(route, priority), ids)
  redis.call('ZADD', P .. 'priorities:' .. route, 'NX', NOW, priority)
end

-- ring(route, waiting): leaves at most one token for each live node and each
-- waiting run, so that a burst wakes the fleet and a single run wakes one node.
local function ring(route, waiting)
  local bell = P .. 'bell:' .. route
  local live = math.max(redis.call('ZCOUNT', P .. 'nodes', NOW - LIVE_MS, '+inf'), 1)
  local tokens = math.min(waiting, live) - redis.call('LLEN', bell)
  if tokens > 0 then
    local list = {}
    for i = 1, tokens do list[i] = '1' end
    variadic('LPUSH', bell, list)
  end
end
