-- adopt: the first act of a term and of a reload, before any tick is committed:
-- every scheduled job has a cursor, and a job whose timing changed starts anew.
--
-- KEYS: probe, leader, cursors, events, sequence, term, cluster, backfills
-- ARGV: prefix, token, 1 when this is the last call for the file, number of jobs, then for each
--       job: name, timing digest; then the names of jobs that have a cursor and are not in the file
-- Returns: {1, cursor ms of each job in order}; {0} when the token does not hold the seat.
-- After a loss of data (lua/amnesia.lua) all cursors start anew from when it was noticed, or from
-- where the clock of the life before was, if this one is behind that; and what is left of
-- backfills is dropped: nobody can say what of it has run.
-- A cursor is "ms timing" or, for a job gone from the file, "ms timing gone-since-ms".
-- Uses: common, ledger
local GONE_KEEP_MS = 604800000 -- 7 days
local BEGINS_MS = 120000 -- for so long a term may need to begin

if redis.call('GET', KEYS[2]) ~= ARGV[2] then return { 0 } end

local n = tonumber(ARGV[4])
-- "id number since state kind heard ..."
local since, state, kind, heard = string.match(CLUSTER or '', '^%S+ %d+ (%d+) (%a+) (%a+) (%d+) ')
local open, heard = state == 'open', tonumber(heard)
-- Up to there ticks may have been decided in a life before.
local decided = tonumber(redis.call('HGET', KEYS[6], 'until') or '0')
if open then
  since = math.min(tonumber(since), NOW)
  decided = math.max(decided, since)
end
local LOST = { empty = 'amnesia: Redis lost its data; what became of these ticks is not known',
  back = 'amnesia: Redis went back to an older state; what became of these ticks is not known' }
local lost = LOST[kind] or LOST.empty
local reply, events = { 1 }, {}

-- drop(name): what is left of the job's backfill, as an entry of its ledger; nil when nothing is.
local function drop(name)
  local list = P .. 'backfill:' .. name
  local first, last, left = redis.call('LINDEX', list, 0), redis.call('LINDEX', list, -1), redis.call('LLEN', list)
  if left == 0 then return end
  redis.call('DEL', list)
  redis.call('HDEL', KEYS[8], name)
  return ledger_range(first, 'missed', last, left, '-', lost .. ', and their backfill ends here')
end

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
    local entries = {}
    at = tonumber(at)
    if open and (at or 0) < decided then
      local from = at and at + 1 or math.min(heard, since)
      entries[1] = ledger_range(from, 'missed', decided, 0, '-', lost)
      events[#events + 1] = '{"type":"missed","job":"' .. name .. '","tick":' .. from .. ',"until":' .. decided .. ',"reason":"' .. lost .. '"}'
      at, keep = decided, false
    elseif not keep then
      local now = NOW
      if at then
        now = math.max(NOW, decided)
        local reason = 'schedule changed'
        if gone ~= '' then reason = 'not in schedule' end
        local from = math.min(at + 1, now) -- the tick at the cursor was decided
        entries[1] = ledger_range(from, 'skipped', now, 0, '-', reason)
        events[#events + 1] = '{"type":"skipped","job":"' .. name .. '","tick":' .. from .. ',"until":' .. now .. ',"reason":"' .. reason .. '"}'
      end
      -- No cursor goes back, even when the clock of Redis did: a tick would be decided twice.
      at = math.max(now, at or 0)
    end
    if open then entries[#entries + 1] = drop(name) end
    if #entries > 0 then record(name, entries) end
    if not keep then
      set[#set + 1] = name
      set[#set + 1] = string.format('%.0f', at) .. ' ' .. timing
    end
    reply[i + 1] = at
  end
  variadic('HSET', KEYS[3], set)
end

for i = 5 + 2 * n, #ARGV do
  local value = redis.call('HGET', KEYS[3], ARGV[i])
  if value then
    local left = open and drop(ARGV[i])
    if left then record(ARGV[i], { left }) end
    local at, timing, gone = string.match(value, '^(%d+) (%S+) ?(%d*)$')
    if gone == '' then
      redis.call('HSET', KEYS[3], ARGV[i], at .. ' ' .. timing .. ' ' .. NOW)
    elseif not gone or tonumber(gone) < NOW - GONE_KEEP_MS then
      redis.call('HDEL', KEYS[3], ARGV[i])
    end
  end
end
if open and ARGV[3] == '1' then redis.call('SET', KEYS[7], (string.gsub(CLUSTER, ' open ', ' done ', 1))) end
-- What followers watch: a term gets on that takes over many cursors. Not one that does so
-- again and again because its commits are refused.
local term = redis.call('HMGET', KEYS[6], 'since', 'decided')
local began = tonumber(term[1] or '0')
if NOW < began + BEGINS_MS and tonumber(term[2] or '0') < began then redis.call('HSET', KEYS[6], 'moved', NOW) end
publish(KEYS[4], KEYS[5], events)
return reply
