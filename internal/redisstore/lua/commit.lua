-- commit: the leader's ticks become runs or ledger entries, and the cursors move,
-- in one call.
--
-- KEYS: probe, leader, cursors, events, sequence
-- ARGV: prefix, token, route, number of decisions, then for each decision:
--       job, tick ms, until ms, count, outcome, reason, wait (0 or 1), timing,
--       run id, priority, overlap, digest
--       Decisions of one job follow one another in time order.
-- Returns: {1, then for each decision: verdict, detail}; {0} when the token does
--       not hold the seat. Verdicts as in jobs/tick.go; detail is the run's id,
--       the µs to wait (early), or the cursor in ms (duplicate).
-- A repeat answers "duplicate" for what the first call did, which says the same.
-- Uses: common, queue, ledger
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return { 0 } end

local route, n, WIDTH = ARGV[3], tonumber(ARGV[4]), 12

-- First everything is read and decided, then everything is written.
local names, cursors = {}, {}
for i = 0, n - 1 do
  local job = ARGV[5 + i * WIDTH]
  if cursors[job] == nil then
    names[#names + 1] = job
    cursors[job] = false
  end
end
each(names, 800, function(l, from, to)
  local values = redis.call('HMGET', KEYS[3], unpack(l, from, to))
  for i = from, to do
    local v = values[i - from + 1]
    if v then cursors[l[i]] = tonumber(string.match(v, '^(%d+)')) end
  end
end)

local reply, events = { 1 }, {}
local moved, timings = {}, {} -- job -> new cursor text, timing
local entries = {} -- job -> ledger entries
local created = {} -- job -> ids
local in_the_way, blocked = {}, {}
local queues, order = {}, {} -- priority -> ids, oldest first
local total = 0

local function note(job, entry)
  local list = entries[job]
  if list then list[#list + 1] = entry else entries[job] = { entry } end
end

for i = 0, n - 1 do
  local a = 5 + i * WIDTH
  local job, tick_text, until_text, outcome, id = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 4], ARGV[a + 8]
  local cursor, tick = cursors[job], tonumber(tick_text)
  local verdict, detail
  -- A cursor can only be missing when somebody removed it; the run's own hash
  -- then is the last witness.
  if cursor == false then
    cursor = 0
    if id ~= '' and redis.call('EXISTS', P .. 'run:' .. id) == 1 then cursor = tick end
    cursors[job] = cursor
  end
  if tick <= cursor then
    verdict, detail = 'duplicate', cursor
  elseif tonumber(until_text) > NOW then
    verdict, detail = 'early', tonumber(until_text) * 1000 - (TIME[1] * 1000000 + TIME[2])
  elseif blocked[job] then
    verdict, detail = 'busy', blocked[job]
  elseif outcome == 'ran' or outcome == 'late' then
    local way = in_the_way[job]
    if way == nil and ARGV[a + 10] == 'skip' then
      way = redis.call('SRANDMEMBER', P .. 'active:' .. job) or false
      in_the_way[job] = way
    end
    if way and ARGV[a + 6] == '1' then
      blocked[job] = way
      verdict, detail = 'busy', way
    elseif way then
      verdict, detail = 'skipped', way
      note(job, ledger_range(tick_text, 'skipped', until_text, 1, way, 'overlap: an earlier run is unfinished'))
      events[#events + 1] = '{"type":"skipped","job":"' .. job .. '","run":"' .. way .. '","tick":' .. tick_text .. ',"reason":"overlap"}'
    else
      verdict, detail = 'ran', id
      if ARGV[a + 10] == 'skip' then in_the_way[job] = id end
      local priority = ARGV[a + 9]
      redis.call('HSET', P .. 'run:' .. id, 'status', 'queued', 'job', job, 'trigger', 'schedule',
        'scheduled_at', tick_text, 'attempt', 0, 'priority', priority, 'digest', ARGV[a + 11], 'queued_at', NOW)
      local mine = created[job]
      if mine then mine[#mine + 1] = id else created[job] = { id } end
      local queue = queues[priority]
      if queue then queue[#queue + 1] = id else
        queues[priority] = { id }
        order[#order + 1] = priority
      end
      total = total + 1
      note(job, tick_text .. ' ' .. outcome)
      events[#events + 1] = '{"type":"queued","job":"' .. job .. '","run":"' .. id .. '","tick":' .. tick_text .. '}'
    end
  else
    verdict, detail = 'recorded', ''
    note(job, ledger_range(tick_text, outcome, until_text, ARGV[a + 3], '-', ARGV[a + 5]))
    events[#events + 1] = '{"type":"' .. outcome .. '","job":"' .. job .. '","tick":' .. tick_text .. ',"until":' .. until_text ..
      ',"count":' .. ARGV[a + 3] .. ',"reason":' .. cjson.encode(ARGV[a + 5]) .. '}'
  end
  if verdict == 'ran' or verdict == 'skipped' or verdict == 'recorded' then
    cursors[job] = tonumber(until_text)
    moved[job], timings[job] = until_text, ARGV[a + 7]
  end
  reply[#reply + 1] = verdict
  reply[#reply + 1] = detail
end

local set = {}
for job, cursor in pairs(moved) do
  set[#set + 1] = job
  set[#set + 1] = cursor .. ' ' .. timings[job]
end
if #set > 0 then variadic('HSET', KEYS[3], set) end
for job, ids in pairs(created) do variadic('SADD', P .. 'active:' .. job, ids) end
for job, list in pairs(entries) do record(job, list) end
for _, priority in ipairs(order) do enqueue(route, priority, queues[priority], 'LPUSH') end
if total > 0 then ring(route, total) end
publish(KEYS[4], KEYS[5], events)
return reply
