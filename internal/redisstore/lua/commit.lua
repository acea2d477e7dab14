-- commit: the leader's ticks become runs or ledger entries, and the cursors move,
-- in one call.
--
-- KEYS: probe, leader, cursors, events, sequence, paused, term
-- ARGV: prefix, token, number of jobs, then their specs (lib_run), number of decisions,
--       then for each decision: index of its job's spec, tick ms, until ms, count,
--       outcome, reason, wait (0 or 1), run id
--       Decisions of one job follow one another in time order.
-- Returns: {1, then for each decision: verdict, detail; the number of the last message}; {0} when
--       the token does not hold the seat. Verdicts as in jobs/tick.go; detail is the run's id, the id
--       of the run in the way, the µs to wait (early), or the cursor in ms (duplicate).
-- A repeat answers "duplicate" for what the first call did, which says the same.
-- Uses: common, queue, ledger, archive, run
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return { 0 } end
-- Cursors from before the loss say nothing any more: adopt starts them anew.
if CLUSTER and string.find(CLUSTER, '^%S+ %d+ %d+ open ') then
  return redis.error_reply('REOPENED Redis has lost data: the schedule has to be adopted first')
end

local specs, names, cursors = {}, {}, {}
local at = 4
for i = 1, tonumber(ARGV[3]) do
  specs[i] = spec_of(ARGV, at)
  names[i] = specs[i].job
  at = at + SPEC_WIDTH
end
local n, WIDTH = tonumber(ARGV[at]), 8
at = at + 1

-- First everything is read and decided, then everything is written.
each(names, 800, function(l, from, to)
  local values = redis.call('HMGET', KEYS[3], unpack(l, from, to))
  for i = from, to do
    local v = values[i - from + 1]
    cursors[l[i]] = v and tonumber(string.match(v, '^(%d+)')) or false
  end
end)
local held = {} -- paused jobs
if redis.call('EXISTS', KEYS[6]) == 1 then
  each(names, 800, function(l, from, to)
    local values = redis.call('HMGET', KEYS[6], unpack(l, from, to))
    for i = from, to do held[l[i]] = values[i - from + 1] end
  end)
end

local reply, events = { 1 }, {}
local moved, timings = {}, {} -- job -> new cursor text, timing
local entries = {} -- job -> ledger entries
local created = {} -- job -> ids
local in_way, blocked = {}, {}
local queues, order = {}, {} -- route and priority -> ids, oldest first
local totals = {} -- route -> new runs

local function note(job, entry)
  local list = entries[job]
  if list then list[#list + 1] = entry else entries[job] = { entry } end
end

local function skip(job, tick, until_, way, reason)
  note(job, ledger_range(tick, 'skipped', until_, 1, way or '-', reason))
  local run = ''
  if way then run = ',"run":"' .. way .. '"' end
  events[#events + 1] = '{"type":"skipped","job":"' .. job .. '"' .. run .. ',"tick":' .. tick .. ',"reason":' .. cjson.encode(reason) .. '}'
end

-- simple(spec, tick, until, outcome, id, wait): a run that concerns no other job's, in bulk.
local function simple(spec, tick, until_, outcome, id, wait)
  local job = spec.job
  local way = in_way[job]
  if way == nil and spec.overlap == 'skip' then
    way = member(P .. 'active:' .. job) or false
    in_way[job] = way
  end
  if way and wait then
    blocked[job] = way
    return 'busy', way
  elseif way then
    skip(job, tick, until_, way, 'overlap: an earlier run is unfinished')
    return 'skipped', way
  end
  if spec.overlap == 'skip' then in_way[job] = id end
  born(id, spec, 'schedule', { 'scheduled_at', tick })
  local mine = created[job]
  if mine then mine[#mine + 1] = id else created[job] = { id } end
  local name = spec.queue
  if not name then
    name = spec.route .. ' ' .. spec.priority
    spec.queue = name
  end
  local queue = queues[name]
  if queue then queue.ids[#queue.ids + 1] = id else
    queues[name] = { route = spec.route, priority = spec.priority, ids = { id } }
    order[#order + 1] = name
  end
  totals[spec.route] = (totals[spec.route] or 0) + 1
  note(job, tick .. ' ' .. outcome)
  events[#events + 1] = queued_event(job, id, tick)
  return 'ran', id
end

-- flush(): what was decided in bulk so far is written. A run that concerns others may start
-- or end runs of any job: it has to find everything that was decided before it.
local function flush()
  for job, ids in pairs(created) do variadic('SADD', P .. 'active:' .. job, ids) end
  for _, name in ipairs(order) do
    local q = queues[name]
    enqueue(q.route, q.priority, q.ids, 'LPUSH')
  end
  for route, total in pairs(totals) do ring(route, total) end
  created, queues, order, totals = {}, {}, {}, {}
end

-- linked(spec, ...): a run that may wait, replace, spread or be followed: on its own.
local function linked(spec, tick, until_, outcome, id, wait)
  local job, more = spec.job, { 'scheduled_at', tick }
  if spec.every then
    local queued, refused, way, why = everywhere(id, spec, 'schedule', more, events, tick)
    if queued == 0 then
      skip(job, tick, until_, way, why or 'no live node serves it')
      return 'skipped', way or ''
    end
    local said = 'on ' .. queued .. ' nodes'
    if refused > 0 then said = said .. ', not on ' .. refused .. ': ' .. why end
    note(job, ledger_range(tick, outcome, until_, 1, '-', said))
    return 'ran', id
  end
  if wait and (spec.overlap == 'skip' or spec.overlap == 'allow') then
    local way = in_the_way(spec, P .. 'active:' .. job)
    if way then
      blocked[job] = way
      return 'busy', way
    end
  end
  local verdict, way, why = admit(id, spec, 'schedule', more, events, tick)
  if verdict == 'skipped' then
    skip(job, tick, until_, way, why)
    return 'skipped', way
  end
  note(job, tick .. ' ' .. outcome)
  if verdict == 'waiting' then return 'waiting', id end
  return 'ran', id
end

-- bulk(spec): its runs concern no other job's. Asked once a call.
local function bulk(spec)
  if spec.bulk == nil then spec.bulk = plain(spec) and (spec.overlap == 'skip' or spec.max == 0) end
  return spec.bulk
end

for i = 0, n - 1 do
  local a = at + i * WIDTH
  local spec = specs[tonumber(ARGV[a])]
  local job, tick, until_, outcome, id = spec.job, ARGV[a + 1], ARGV[a + 2], ARGV[a + 4], ARGV[a + 7]
  local cursor, ms = cursors[job], tonumber(tick)
  local verdict, detail
  -- A cursor can only be missing when somebody removed it; the run's own hash
  -- then is the last witness.
  if cursor == false then
    cursor = 0
    if id ~= '' and redis.call('EXISTS', P .. 'run:' .. id) == 1 then cursor = ms end
    cursors[job] = cursor
  end
  if ms <= cursor then
    verdict, detail = 'duplicate', cursor
  elseif tonumber(until_) > NOW then
    verdict, detail = 'early', tonumber(until_) * 1000 - (TIME[1] * 1000000 + TIME[2])
  elseif blocked[job] then
    verdict, detail = 'busy', blocked[job]
  elseif outcome == 'ran' or outcome == 'late' then
    local wait = ARGV[a + 6] == '1'
    if held[job] then
      skip(job, tick, until_, nil, 'paused')
      verdict, detail = 'skipped', ''
    elseif bulk(spec) then
      verdict, detail = simple(spec, tick, until_, outcome, id, wait)
    else
      flush()
      verdict, detail = linked(spec, tick, until_, outcome, id, wait)
      in_way = {}
    end
  else
    verdict, detail = 'recorded', ''
    note(job, ledger_range(tick, outcome, until_, ARGV[a + 3], '-', ARGV[a + 5]))
    events[#events + 1] = '{"type":"' .. outcome .. '","job":"' .. job .. '","tick":' .. tick .. ',"until":' .. until_ ..
      ',"count":' .. ARGV[a + 3] .. ',"reason":' .. cjson.encode(ARGV[a + 5]) .. '}'
  end
  if verdict == 'ran' or verdict == 'skipped' or verdict == 'recorded' or verdict == 'waiting' then
    cursors[job] = tonumber(until_)
    moved[job], timings[job] = until_, spec.timing
  end
  reply[#reply + 1] = verdict
  reply[#reply + 1] = detail
end

local set = {}
for job, cursor in pairs(moved) do
  set[#set + 1] = job
  set[#set + 1] = cursor .. ' ' .. timings[job]
end
if #set > 0 then
  variadic('HSET', KEYS[3], set)
  redis.call('HSET', KEYS[7], 'moved', NOW, 'decided', NOW) -- what followers watch
end
flush()
for job, list in pairs(entries) do record(job, list) end
publish(KEYS[4], KEYS[5], events)
reply[#reply + 1] = SEQ
return reply
