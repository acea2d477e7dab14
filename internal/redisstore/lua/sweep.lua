-- sweep: retry is expiry. The leader moves what stands in :leases past its time:
-- back-offs that are over, runs whose node died, parked runs that found a node.
--
-- KEYS: probe, leader, leases, nodes, recent, events, sequence
-- ARGV: prefix, token, 1 to take running runs else 0, offset, limit, route
-- Returns: {1, entries seen, entries left where they were}; {0} when the token does
--       not hold the seat.
-- Uses: common, queue, archive
local CRASHES = 3 -- starts that renewed their lease and then lost it, before the run is quarantined
local LOST = 5 -- the same for all that lost it: a command may kill its node before the first renewal
local PARK_MS = 1000 -- until a parked run is looked at again
local ROUTED_MS = 10000 -- a run on a one-node route is looked at again: its node may die first
local ROUTE_KEEP_MS = 3600000 -- of the keys of a one-node route
local UNROUTABLE_MS = 600000

if redis.call('GET', KEYS[2]) ~= ARGV[2] then return { 0 } end
local take, offset, limit, route = ARGV[3] == '1', ARGV[4], ARGV[5], ARGV[6]
local expired = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', NOW, 'LIMIT', offset, limit)
local kept, removed, parked, events, recent = 0, {}, {}, {}, {}
local pushed, order = {}, {} -- "route priority" -> ids
local quarantined = {}

local function push(where, priority, id)
  local name = where .. ' ' .. priority
  if pushed[name] then
    table.insert(pushed[name].ids, id)
  else
    pushed[name] = { route = where, priority = priority, ids = { id } }
    order[#order + 1] = name
  end
end

local function requeue(id, priority)
  push(route, priority, id)
  removed[#removed + 1] = id
end

-- The live nodes' boot ids and the digests of the schedules they hold.
local fleet
local function holder_of(job, digest)
  if not fleet then
    fleet = {}
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], NOW - LIVE_MS, '+inf')) do
      local h = redis.call('HMGET', P .. 'node:' .. name, 'boot', 'schedules')
      if h[1] and h[2] then fleet[#fleet + 1] = { boot = h[1], schedules = h[2] } end
    end
  end
  for _, node in ipairs(fleet) do
    for schedule in string.gmatch(node.schedules, '%S+') do
      if redis.call('HGET', P .. 'schedule:' .. schedule, job) == digest then return node.boot end
    end
  end
end

local writes = {} -- functions, run after everything was read
for _, id in ipairs(expired) do
  local key = P .. 'run:' .. id
  local h = redis.call('HMGET', key, 'status', 'job', 'priority', 'attempt', 'renewed', 'crashes', 'node', 'digest', 'parked_at', 'lost')
  local status, job, priority = h[1], h[2], h[3]
  local function fail(failure)
    removed[#removed + 1] = id
    writes[#writes + 1] = function()
      redis.call('HSET', key, 'status', 'failed', 'error', failure, 'finished_at', NOW)
      redis.call('PEXPIRE', key, KEEP_MS)
      archive(job, { { id = id, ok = false } })
      recent[#recent + 1] = id
    end
    events[#events + 1] = '{"type":"failed","job":"' .. job .. '","run":"' .. id .. '","error":' .. cjson.encode(failure) .. '}'
  end
  if status == 'running' and not take then
    kept = kept + 1
  elseif status == 'running' then
    local crashes, lost = tonumber(h[6] or '0'), tonumber(h[10] or '0') + 1
    if h[5] == h[4] then crashes = crashes + 1 end
    writes[#writes + 1] = function() redis.call('HSET', key, 'crashes', crashes, 'lost', lost, 'token', '') end
    if crashes >= CRASHES or lost >= LOST then
      fail('killed ' .. lost .. ' nodes: quarantined, it is not started again by itself')
    else
      requeue(id, priority)
      writes[#writes + 1] = function() redis.call('HSET', key, 'status', 'queued', 'reason', 'its node ' .. (h[7] or '') .. ' was lost') end
      events[#events + 1] = '{"type":"crashed","job":"' .. job .. '","run":"' .. id .. '","node":"' .. (h[7] or '') .. '","attempt":' .. h[4] .. '}'
    end
  elseif status == 'retrying' then
    requeue(id, priority)
    writes[#writes + 1] = function()
      redis.call('HSET', key, 'status', 'queued')
      redis.call('HDEL', key, 'retry_at')
    end
    events[#events + 1] = '{"type":"queued","job":"' .. job .. '","run":"' .. id .. '","attempt":' .. h[4] .. '}'
  elseif status == 'queued' and h[9] then
    local boot = holder_of(job, h[8])
    if boot then
      push('node=' .. boot, priority, id)
      parked[#parked + 1] = NOW + ROUTED_MS
      parked[#parked + 1] = id
    elseif tonumber(h[9]) < NOW - UNROUTABLE_MS then
      fail('no live node had the definition this run was made with (digest ' .. (h[8] or '') .. ') for 10 minutes: trigger the job again')
    else
      parked[#parked + 1] = NOW + PARK_MS
      parked[#parked + 1] = id
    end
  else
    -- Final, queued, or its hash is gone: nothing here may hold it.
    removed[#removed + 1] = id
    if not status then
      local owner = string.match(id, '^([^@]+)@')
      if owner then writes[#writes + 1] = function() redis.call('SREM', P .. 'active:' .. owner, id) end end
    end
  end
end

-- A node that stopped its heartbeat without a word.
local silent = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', NOW - LIVE_MS)
for _, name in ipairs(silent) do
  events[#events + 1] = '{"type":"node_down","node":"' .. name .. '","reason":"no heartbeat"}'
end

if #removed > 0 then variadic('ZREM', KEYS[3], removed) end
if #silent > 0 then variadic('ZREM', KEYS[4], silent) end
for _, write in ipairs(writes) do write() end
if #parked > 0 then variadic('ZADD', KEYS[3], parked) end
for _, name in ipairs(order) do
  local p = pushed[name]
  enqueue(p.route, p.priority, p.ids, 'RPUSH')
  ring(p.route, #p.ids)
  if p.route ~= route then
    redis.call('PEXPIRE', queue_key(p.route, p.priority), ROUTE_KEEP_MS)
    redis.call('PEXPIRE', P .. 'priorities:' .. p.route, ROUTE_KEEP_MS)
    redis.call('PEXPIRE', P .. 'bell:' .. p.route, ROUTE_KEEP_MS)
  end
end
if #recent > 0 then remember(KEYS[5], recent) end
publish(KEYS[6], KEYS[7], events)
return { 1, #expired, kept }
