-- rename: what jobs had under an old name becomes the new name's, before the jobs of the file are
-- adopted. Runs keep their ids; what moves is what lists and counts them.
--
-- KEYS: probe, leader, cursors, renamed, paused, pauses, backfills, nodes, events, sequence
-- ARGV: prefix, token, of how many unfinished runs this call may write the hash, then for each job: old
--       name, new name ("" to forget that there was a rename)
-- Returns: {1, 1 when hashes are left that say an old name else 0}; {0} when the token does not
--       hold the seat. A repeat goes on with those, and finds nothing else to move.
-- A field of :renamed is "new-name since-ms".
-- Uses: common, queue, ledger, archive, run, iso
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return { 0 } end
local budget, left, events = tonumber(ARGV[3]), 0, {}
local nodes = { '' } -- what follows a job in the names of its sets
for _, node in ipairs(redis.call('ZRANGE', KEYS[8], 0, -1)) do nodes[#nodes + 1] = ':' .. node end

-- carry(kind, from, to, late, keep, change): the list of the old name joins that of the new one, both the newest
-- first. What came after the rename is newer than what is there. Returns the key of the joined list and its
-- length, 0 when nothing was carried.
local function carry(kind, from, to, late, keep, change)
  local source, target = P .. kind .. ':' .. from, P .. kind .. ':' .. to
  local list = redis.call('LRANGE', source, 0, -1)
  if #list == 0 then return target, 0 end
  if change then
    for i, v in ipairs(list) do list[i] = change(v) end
  end
  if late then
    local turned = {}
    for i = #list, 1, -1 do turned[#turned + 1] = list[i] end
    list = turned
  end
  local length = variadic(late and 'LPUSH' or 'RPUSH', target, list)
  redis.call('DEL', source)
  if keep then redis.call('PEXPIRE', target, keep) end
  return target, length
end

-- join(set, into): what is unfinished under the old name is in the way of the new one's runs at
-- once, all of it: 60 ms for 100,000 of them, and with their hashes half a second. The old set is from
-- then on the list of those whose hashes say the old name still.
local function join(set, into)
  variadic('SADD', into, redis.call('SMEMBERS', set))
end

-- take(set, into, to): the hashes of runs, as many as this call may still write. One that has ended
-- meanwhile is unfinished under no name.
local function take(set, into, to)
  local ids = redis.call('SRANDMEMBER', set, budget)
  budget = budget - #ids
  for _, id in ipairs(ids) do
    if known(id) and redis.call('SISMEMBER', into, id) == 1 then redis.call('HSET', P .. 'run:' .. id, 'job', to, 'more', 1) end
  end
  variadic('SREM', set, ids)
  if redis.call('EXISTS', set) == 1 then left = 1 end
end

-- take_all(from, to): the same for all sets of the job.
local function take_all(from, to)
  for _, node in ipairs(nodes) do take(P .. 'active:' .. from .. node, P .. 'active:' .. to .. node, to) end
end

-- wait_on(from, to): the run that waits for its turn waits for that of the new name.
local function wait_on(from, to)
  local id = redis.call('LPOP', P .. 'waiting:' .. from)
  if not id then return end
  local key, active = P .. 'run:' .. id, P .. 'active:' .. to
  if not known(id) then return end
  redis.call('HSET', key, 'job', to, 'more', 1, 'linked', 1)
  redis.call('SREM', P .. 'active:' .. from, id)
  redis.call('SADD', active, id)
  local group = redis.call('HGET', key, 'group')
  local turn = group and redis.call('ZSCORE', P .. 'groupwait:' .. group, from)
  if turn then redis.call('ZREM', P .. 'groupwait:' .. group, from) end
  local other = redis.call('LINDEX', P .. 'waiting:' .. to, 0)
  if other then
    cancel_run(id, 'carillon', 'replaced by ' .. other .. ': ' .. from .. ' is ' .. to .. ' now', events)
    return
  end
  redis.call('LPUSH', P .. 'waiting:' .. to, id)
  if turn then redis.call('ZADD', P .. 'groupwait:' .. group, 'NX', turn, to) end
  for _, before in ipairs(redis.call('SMEMBERS', active)) do
    if known(before) then redis.call('HSET', P .. 'run:' .. before, 'linked', 1, 'more', 1) end -- their ends concern it
  end
  promote(to)
end

local function cursor_of(name)
  local value = redis.call('HGET', KEYS[3], name)
  if not value then return nil end
  local at, timing, gone = string.match(value, '^(%d+) (%S+) ?(%d*)$')
  return at and { at = tonumber(at), timing = timing, gone = gone }
end

-- decided(from, to): the cursor. A job that the last file had under both names decided its own ticks;
-- else what was decided under either is decided.
local function decided(from, to)
  local a, b = cursor_of(from), cursor_of(to)
  if not a then return end
  redis.call('HDEL', KEYS[3], from)
  if b and b.gone == '' then return end
  if b and b.timing == a.timing then a.at = math.max(a.at, b.at) end
  local value = string.format('%.0f', a.at) .. ' ' .. a.timing
  if a.gone ~= '' then value = value .. ' ' .. a.gone end
  redis.call('HSET', KEYS[3], to, value)
end

-- mark(from, to): from here on the old name means the new one. Returns whether it did already.
local function mark(from, to)
  local was, back = redis.call('HGET', KEYS[4], from), redis.call('HGET', KEYS[4], to)
  if back and string.match(back, '^(%S+)') == from then
    -- The other way round: what is on the list of hashes is in the sets of the name that it had.
    for _, node in ipairs(nodes) do redis.call('DEL', P .. 'active:' .. to .. node) end
  end
  redis.call('HDEL', KEYS[4], to)
  names = nil -- called() has to ask anew
  if was and string.match(was, '^(%S+)') == to then return true end
  redis.call('HSET', KEYS[4], from, to .. ' ' .. NOW)
  local all = redis.call('HGETALL', KEYS[4])
  for i = 1, #all, 2 do
    local name, since = string.match(all[i + 1], '^(%S+) (%d+)$')
    if name == from then redis.call('HSET', KEYS[4], all[i], to .. ' ' .. since) end
  end
  return false
end

local function move(from, to)
  local late = mark(from, to)

  local told = cursor_of(from) or redis.call('EXISTS', P .. 'history:' .. from, P .. 'ledger:' .. from) > 0
  for _, node in ipairs(nodes) do
    local set = P .. 'active:' .. from .. node
    if redis.call('EXISTS', set) == 1 then
      told = true
      if not late then join(set, P .. 'active:' .. to .. node) end
    end
  end
  take_all(from, to)
  wait_on(from, to)
  decided(from, to)

  local list, n = carry('ledger', from, to, late, LEDGER_KEEP_MS, function(entry)
    local tick, outcome = string.match(entry, '^(%d+) (%a+)$')
    if not tick then return entry end
    -- The id of its run no longer follows from the job and the tick.
    return ledger_range(tick, outcome, tick, 1, from .. '@' .. iso(tonumber(tick)), '')
  end)
  if n > LEDGER_CAP then redis.call('LTRIM', list, 0, LEDGER_CAP - 1) end
  local failures, history
  failures, n = carry('failures', from, to, late, KEEP_MS)
  history = P .. 'history:' .. to
  if n > 0 then shorten_failures(history, failures, n) end
  history, n = carry('history', from, to, late, KEEP_MS)
  if n > 0 then shorten_history(history, failures, n) end
  local logs
  logs, n = carry('logs', from, to, late, KEEP_MS)
  if n > 0 then
    local size = P .. 'logsize:' .. to
    local total = redis.call('INCRBY', size, redis.call('GET', P .. 'logsize:' .. from) or 0)
    redis.call('PEXPIRE', size, KEEP_MS)
    redis.call('DEL', P .. 'logsize:' .. from)
    shorten_logs(logs, size, n, total)
  end

  local pause = redis.call('HGET', KEYS[5], from)
  if pause then
    redis.call('HSETNX', KEYS[5], to, pause)
    redis.call('HDEL', KEYS[5], from)
  end
  local spans = redis.call('HGET', KEYS[6], from)
  if spans then
    local theirs = redis.call('HGET', KEYS[6], to)
    if theirs then spans = theirs .. ' ' .. spans end
    redis.call('HSET', KEYS[6], to, spans)
    redis.call('HDEL', KEYS[6], from)
  end
  local list = redis.call('LRANGE', P .. 'backfill:' .. from, 0, -1)
  if #list > 0 then
    variadic('RPUSH', P .. 'backfill:' .. to, list)
    redis.call('DEL', P .. 'backfill:' .. from)
    redis.call('HSETNX', KEYS[7], to, redis.call('HGET', KEYS[7], from) or '')
  end
  redis.call('HDEL', KEYS[7], from)

  if late or not told then return end -- in a new Redis there is nothing to tell
  events[#events + 1] = '{"type":"renamed","job":"' .. to .. '","reason":"was ' .. from .. '"}'
end

for i = 4, #ARGV, 2 do
  if ARGV[i + 1] ~= '' then
    move(ARGV[i], ARGV[i + 1])
  else
    local now = string.match(redis.call('HGET', KEYS[4], ARGV[i]) or '', '^%S+')
    if now then take_all(ARGV[i], now) end
    if left == 0 then redis.call('HDEL', KEYS[4], ARGV[i]) end
  end
end
publish(KEYS[9], KEYS[10], events)
return { 1, left }
