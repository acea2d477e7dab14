-- sweep: retry is expiry. The leader moves what stands in :leases past its time:
-- back-offs that are over, runs whose node died, parked runs that found a node, runs
-- of nodes that are gone. It also looks after routes that no live node serves.
--
-- KEYS: probe, leader, leases, nodes, recent, events, sequence
-- ARGV: prefix, token, 1 to take running runs else 0, offset, limit, TIME as the caller
--       expects it in ms, how far that may be off in ms, 1 to take nodes for gone that are not heard else 0
-- Returns: {1, entries seen, entries left where they were, {id, job, ... of parked runs that may
--       begin as the leader's file says now: lua/anew.lua}}; {0} when the token does not hold the seat.
-- Uses: common, queue, ledger, archive, run
local CRASHES = 3 -- starts that renewed their lease and then lost it, before the run is quarantined
local LOST = 2 -- more of all that lost it: a command may kill its node before the first renewal
local PARK_MS = 1000 -- until a parked run is looked at again
local ROUTED_MS = 10000 -- a run on a one-node route is looked at again: its node may die first
local UNROUTABLE_MS = 600000
local ANEW_MS = 10000 -- until a parked run that never began may do so as the leader's file says
local REPORT_MS = 10000 -- until a run that no live node may take is reported
local LOOK = 50 -- waiting runs of such a route that one call looks at

if redis.call('GET', KEYS[2]) ~= ARGV[2] then return { 0 } end
local take, offset, limit = ARGV[3] == '1' and not unsettled(), ARGV[4], ARGV[5]
-- The clock was set, or this call was on its way for long: every lease may look expired,
-- and the caller's record of Redis is about to break.
if math.abs(NOW - tonumber(ARGV[6])) > tonumber(ARGV[7]) then take = false end
local expired = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', NOW, 'LIMIT', offset, limit)
local kept, removed, parked, anew, events = 0, {}, {}, {}, {}
local pushed, order = {}, {} -- "route priority" -> ids

local function push(route, priority, id)
  local name = route .. ' ' .. priority
  if pushed[name] then
    table.insert(pushed[name].ids, id)
  else
    pushed[name] = { route = route, priority = priority, ids = { id } }
    order[#order + 1] = name
  end
end

local function later(id, ms)
  parked[#parked + 1] = NOW + ms
  parked[#parked + 1] = id
end

-- fits(node, route): whether the node has the pool and the labels that the route asks for. Its file
-- may have no job of that route any more.
local function fits(node, route)
  if route == 'any' or node.serves[route] then return true end
  if not node.has then
    local h = redis.call('HMGET', P .. 'node:' .. node.name, 'pool', 'labels')
    node.has = {}
    if h[1] and h[1] ~= '' then node.has['pool=' .. h[1]] = true end
    for label in string.gmatch(h[2] or '', '[^,]+') do node.has[label] = true end
  end
  for part in string.gmatch(route, '[^,]+') do
    if not node.has[part] then return false end
  end
  return true
end

-- holder_of(id, h): a live node that has the definition of that run, under the name that is in its
-- id or as a job that was renamed from it, and may execute it. Of a pinned run that is its node or none.
local function holder_of(id, h)
  local job, digest, only = string.match(id, '^[^@]+'), h.digest, h.pin
  for _, node in ipairs(fleet()) do
    if node.boot == only or not only and fits(node, h.route or 'any') then
      for schedule in string.gmatch(node.schedules, '%S+') do
        for _, mark in ipairs(redis.call('HMGET', P .. 'schedule:' .. schedule, job, '@' .. job)) do
          if mark and string.match(mark, '^%S+') == digest then return node.boot end
        end
      end
    end
  end
end

-- offer(boot, priority, id): the run stands on the route of one node, once, for as long as it
-- waits: the node may have no free slot for hours.
local function offer(boot, priority, id)
  local route = 'node=' .. boot
  if redis.call('LPOS', queue_key(route, priority), id) then keep_route(route, priority) else push(route, priority, id) end
end

local function lives(boot)
  for _, node in ipairs(fleet()) do
    if node.boot == boot then return true end
  end
  return false
end

-- A node that stopped its heartbeat without a word. What it said of late may have been lost with the rest:
-- after a loss everybody has the time again.
local silent = {}
if ARGV[8] == '1' and NOW - LIVE_MS >= since_loss() then silent = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', NOW - LIVE_MS) end
for _, name in ipairs(silent) do
  events[#events + 1] = '{"type":"node_down","node":"' .. name .. '","reason":"no heartbeat"}'
end
if #silent > 0 then variadic('ZREM', KEYS[4], silent) end

-- lost(id, key, h): the attempt's node is gone.
local function lost(id, key, h)
  local job, node = h.job, h.node or ''
  local undoing = h.status == 'rolling_back'
  local prefix, most = '', tonumber(h.crash_retries or CRASHES)
  if undoing then prefix, most = 'undo_', CRASHES end
  local before = redis.call('HMGET', key, prefix .. 'crashes', prefix .. 'lost')
  local crashes, starts = tonumber(before[1] or '0'), tonumber(before[2] or '0') + 1
  if h.renewed == h.attempt then crashes = crashes + 1 end
  redis.call('HSET', key, prefix .. 'crashes', crashes, prefix .. 'lost', starts, 'token', '')
  redis.call('HDEL', key, 'parked_at') -- the next attempt may look for a node anew
  local too_often = crashes >= most or starts >= most + LOST
  events[#events + 1] = '{"type":"crashed","job":"' .. job .. '","run":"' .. id .. '","node":"' .. node .. '","attempt":' .. h.attempt .. '}'
  if h.pin and not lives(h.pin) then
    if undoing then
      stuck(id, 'node gone: ' .. (h.pinned_to or node) .. ' was lost while it undid this run', events)
    elseif undoable(id) then
      back(id, 'node gone', events, true)
      stuck(id, 'node gone: ' .. (h.pinned_to or node) .. ' has what is to be undone', events)
    else
      close(id, 'failed', 'node gone: ' .. (h.pinned_to or node) .. ' was lost while it ran this', events)
    end
  elseif undoing and too_often then
    stuck(id, 'killed ' .. starts .. ' nodes while it was undone: undo the rest by hand, or resume it with carillon rollback', events)
  elseif undoing then
    push(h.route or 'any', h.priority, id)
    if h.pin then later(id, PIN_MS) else removed[#removed + 1] = id end
  elseif h.cancel_why then
    close(id, 'canceled', h.cancel_why, events)
  elseif h.delivery == 'at-most-once' then
    close(id, 'failed', 'outcome unknown: its node ' .. node .. ' was lost, and delivery is at-most-once', events)
  elseif too_often then
    close(id, 'failed', 'killed ' .. starts .. ' nodes: quarantined, it is not started again by itself', events)
  else
    redis.call('HSET', key, 'status', 'queued', 'waits', 'its node ' .. node .. ' was lost')
    push(h.route or 'any', h.priority, id)
    if h.pin then later(id, PIN_MS) else removed[#removed + 1] = id end
  end
end

-- unclaimed(id, key, h): waits parked for a definition, or for its one node.
local function unclaimed(id, key, h)
  if h.pin and lives(h.pin) and not h.parked_at then
    offer(h.pin, h.priority, id)
    return later(id, PIN_MS)
  elseif h.pin and not lives(h.pin) then
    -- While Redis was away nobody could beat: only who has watched it knows who is gone.
    if not take then return later(id, PIN_MS) end
    local failure = 'node gone: ' .. (h.pinned_to or h.pin)
    -- Nobody else takes it from the queue of that node.
    local queue = queue_key(h.route, h.priority)
    redis.call('LREM', queue, 1, id)
    if redis.call('EXISTS', queue) == 0 then redis.call('ZREM', P .. 'priorities:' .. h.route, h.priority) end
    if h.status == 'rolling_back' then return stuck(id, failure, events) end
    -- A lease shorter than three heartbeats gives it back to a node that is taken for alive.
    local when = tonumber(h.attempt) > 0 and ' was lost while it ran this' or ' before it took this run'
    close(id, 'failed', failure .. when, events)
    return
  end
  local boot = holder_of(id, h)
  if boot then
    offer(boot, h.priority, id)
    return later(id, ROUTED_MS)
  end
  if tonumber(h.parked_at) < NOW - ANEW_MS and unbound(key) then
    anew[#anew + 1] = id
    anew[#anew + 1] = h.job
  end
  local patience = tonumber(h.unroutable_ms or UNROUTABLE_MS)
  if not take or tonumber(h.parked_at) >= NOW - patience then return later(id, PARK_MS) end
  local failure = 'no live node had the definition this run was made with (digest ' .. (h.digest or '') .. ') for ' ..
    math.floor(patience / 1000) .. ' s: trigger the job again'
  if h.status == 'rolling_back' then return stuck(id, failure, events) end
  close(id, 'failed', failure, events)
end

-- gone(id, job): Redis threw the run's hash away, or somebody deleted it: nobody knows
-- any more what it was. It is in nobody's way from here on. Its rollback list is left for
-- a person to read.
local function gone(id, job)
  redis.call('SREM', P .. 'active:' .. job, id)
  if redis.call('LREM', P .. 'waiting:' .. job, 0, id) == 0 then promote(job) end
  redis.call('PEXPIRE', P .. 'rollback:' .. id, KEEP_MS)
  events[#events + 1] = '{"type":"failed","job":"' .. job .. '","run":"' .. id .. '","error":"Redis lost the record of this run"}'
end

local FIELDS = { 'status', 'job', 'priority', 'attempt', 'renewed', 'node', 'digest', 'parked_at', 'route', 'pin', 'pinned_to',
  'token', 'cancel_why', 'delivery', 'crash_retries', 'unroutable_ms' }
for _, id in ipairs(expired) do
  local key = P .. 'run:' .. id
  local values, h = redis.call('HMGET', key, unpack(FIELDS)), {}
  for i, field in ipairs(FIELDS) do h[field] = values[i] or nil end
  local held = h.token and h.token ~= ''
  if (h.status == 'running' or h.status == 'rolling_back' and held) and not take then
    kept = kept + 1
  elseif h.status == 'running' or h.status == 'rolling_back' and held then
    lost(id, key, h)
  elseif h.status == 'retrying' then
    redis.call('HSET', key, 'status', 'queued')
    redis.call('HDEL', key, 'retry_at')
    push(h.route or 'any', h.priority, id)
    if h.pin then later(id, PIN_MS) else removed[#removed + 1] = id end
    events[#events + 1] = '{"type":"queued","job":"' .. h.job .. '","run":"' .. id .. '","attempt":' .. h.attempt .. '}'
  elseif (h.status == 'queued' or h.status == 'rolling_back') and (h.parked_at or h.pin) then
    unclaimed(id, key, h)
  else
    -- Final, queued, or its hash is gone: nothing here may hold it.
    removed[#removed + 1] = id
    local owner = string.match(id, '^([^@]+)@')
    if not h.status and owner then gone(id, settle({ job = owner }).job) end
  end
end

-- Routes with waiting runs that no live node may take. Their score says since when that
-- is so; patience begins there, because a run may have been at work for hours before.
local served = {}
for _, node in ipairs(fleet()) do
  for route in pairs(node.serves) do served[route] = true end
end
local routes = redis.call('ZRANGE', P .. 'routes', 0, -1, 'WITHSCORES')
for r = 1, #routes, 2 do
  local route, since = routes[r], tonumber(routes[r + 1])
  local priorities = redis.call('ZRANGE', P .. 'priorities:' .. route, 0, -1)
  if #priorities == 0 then
    redis.call('ZREM', P .. 'routes', route)
  elseif served[route] then
    if since > 0 then redis.call('ZADD', P .. 'routes', 0, route) end
  else
    if since == 0 then
      since = NOW
      redis.call('ZADD', P .. 'routes', NOW, route)
    end
    for _, priority in ipairs(priorities) do
      local ids = redis.call('LRANGE', queue_key(route, priority), -LOOK, -1)
      for i = #ids, 1, -1 do -- the oldest first
        local id = ids[i]
        local key = P .. 'run:' .. id
        local h = redis.call('HMGET', key, 'status', 'queued_at', 'unroutable_ms', 'unroutable', 'job')
        local waited = NOW - math.max(since, tonumber(h[2] or NOW))
        if h[1] ~= 'queued' and h[1] ~= 'rolling_back' then
          redis.call('LREM', queue_key(route, priority), -1, id)
        elseif take and waited > tonumber(h[3] or UNROUTABLE_MS) then
          redis.call('LREM', queue_key(route, priority), -1, id)
          local failure = 'no live node serves ' .. route .. ' since ' .. math.floor(waited / 1000) .. ' s'
          if h[1] == 'rolling_back' then stuck(id, failure, events) else close(id, 'failed', failure, events) end
        elseif waited > REPORT_MS and tonumber(h[4] or 0) < since then
          redis.call('HSET', key, 'unroutable', NOW, 'waits', 'no live node serves ' .. route)
          events[#events + 1] = '{"type":"unroutable","job":"' .. h[5] .. '","run":"' .. id .. '","reason":"no live node serves ' .. route .. '"}'
        end
      end
      if redis.call('EXISTS', queue_key(route, priority)) == 0 then redis.call('ZREM', P .. 'priorities:' .. route, priority) end
    end
  end
end

if #removed > 0 then variadic('ZREM', KEYS[3], removed) end
-- XX: the end of another run may have ended one of these meanwhile.
each(parked, 800, function(l, from, to) redis.call('ZADD', KEYS[3], 'XX', unpack(l, from, to)) end)
for _, name in ipairs(order) do
  local p = pushed[name]
  enqueue(p.route, p.priority, p.ids, 'RPUSH')
  ring(p.route, #p.ids)
end
publish(KEYS[6], KEYS[7], events)
return { 1, #expired, kept, anew }
