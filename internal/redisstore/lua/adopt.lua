-- adopt: the first act of a term and of a reload, before any tick is committed:
-- every scheduled job has a cursor, and a job whose timing changed starts anew.
--
-- KEYS: probe, leader, cursors, events, sequence, term, cluster, backfills
-- ARGV: prefix, token, 1 when this is the last call for the file, number of jobs, then for each
--       job: name, timing digest; then the names of jobs that have a cursor and are not in the file
-- Returns: {1, cursor ms of each job in order}; {0} when the token does not hold the seat.
-- After a loss of data (lua/amnesia.lua) all cursors start anew from when it was noticed,
-- and what is left of backfills is dropped: nobody can say what of it has run.
-- A cursor is "ms timing" or, for a job gone from the file, "ms timing gone-since-ms".
-- Uses: common, ledger
local GONE_KEEP_MS = 604800000 -- 7 days
local BEGINS_MS = 120000 -- for so long a term may need to begin

if redis.call('GET', KEYS[2]) ~= ARGV[2] then return { 0 } end

local n = tonumber(ARGV[4])
-- "id number since open kind heard ..."
local since, kind, heard = string.match(CLUSTER or '', '^%S+ %d+ (%d+) open (%a+) (%d+) ')
if since then since, heard = math.min(tonumber(since), NOW), tonumber(heard) end
local LOST = { empty = 'amnesia: Redis lost its data; what became of these ticks is not known',
  back = 'amnesia: Redis went back to an older state; what became of these ticks is not known' }
local reply, events = { 1 }, {}
if n > 0 then
  local names = {}
  for i = 1, n do names[i] = ARGV[3 + 2 * i] end
  local values = {}
  each(names, 800, function(l, from, to)
    for _, v in ipairs(redis.call('HMGET', KEYS[3], unpack(l, from, to))) do values[#values + 1] = v end
  end)
  local set = {}
  for i = 1, n do
    local name, timing = names[i], ARGV[4 + 2 * i]
    local at, had, gone
    if values[i] then at, had, gone = string.match(values[i], '^(%d+) (%S+) ?(%d*)$') end
    local keep = at and had == timing and gone == ''
    if since and (not at or keep and tonumber(at) < since) then
      local from = at and tonumber(at) + 1 or math.min(heard, since)
      local entries = { ledger_range(from, 'missed', since, 0, '-', LOST[kind]) }
      local first, last = redis.call('LINDEX', P .. 'backfill:' .. name, 0), redis.call('LINDEX', P .. 'backfill:' .. name, -1)
      if first then
        entries[2] = ledger_range(first, 'missed', last, redis.call('LLEN', P .. 'backfill:' .. name), '-', LOST[kind] .. ', and their backfill ends here')
        redis.call('DEL', P .. 'backfill:' .. name)
        redis.call('HDEL', KEYS[8], name)
      end
      record(name, entries)
      events[#events + 1] = '{"type":"missed","job":"' .. name .. '","tick":' .. from .. ',"until":' .. since .. ',"reason":"' .. LOST[kind] .. '"}'
      at = since
      set[#set + 1] = name
      set[#set + 1] = since .. ' ' .. timing
    elseif not keep then
      if at then
        local reason = 'schedule changed'
        if gone ~= '' then reason = 'not in schedule' end
        local from = math.min(tonumber(at) + 1, NOW) -- the tick at the cursor was decided
        record(name, { ledger_range(from, 'skipped', NOW, 0, '-', reason) })
        events[#events + 1] = '{"type":"skipped","job":"' .. name .. '","tick":' .. from .. ',"until":' .. NOW .. ',"reason":"' .. reason .. '"}'
      end
      -- No cursor goes back, even when the clock of Redis did: a tick would be decided twice.
      at = string.format('%.0f', math.max(NOW, tonumber(at or 0)))
      set[#set + 1] = name
      set[#set + 1] = at .. ' ' .. timing
    end
    reply[i + 1] = tonumber(at)
  end
  variadic('HSET', KEYS[3], set)
end

for i = 5 + 2 * n, #ARGV do
  local value = redis.call('HGET', KEYS[3], ARGV[i])
  if value then
    local at, timing, gone = string.match(value, '^(%d+) (%S+) ?(%d*)$')
    if gone == '' then
      redis.call('HSET', KEYS[3], ARGV[i], at .. ' ' .. timing .. ' ' .. NOW)
    elseif not gone or tonumber(gone) < NOW - GONE_KEEP_MS then
      redis.call('HDEL', KEYS[3], ARGV[i])
    end
  end
end
if since and ARGV[3] == '1' then redis.call('SET', KEYS[7], (string.gsub(CLUSTER, ' open ', ' done ', 1))) end
-- What followers watch: a term gets on that takes over many cursors. Not one that does so
-- again and again because its commits are refused.
local term = redis.call('HMGET', KEYS[6], 'since', 'decided')
local since = tonumber(term[1] or '0')
if NOW < since + BEGINS_MS and tonumber(term[2] or '0') < since then redis.call('HSET', KEYS[6], 'moved', NOW) end
publish(KEYS[4], KEYS[5], events)
return reply
