-- amnesia: a node has found that this Redis is not what it was: it is empty, or older than
-- what the node has seen. The first report begins a new life.
--
-- :cluster is "id number since-ms state kind heard-ms before after node". A Redis is in its first
-- life (number 1, kind first) until it loses data; each loss begins another one: since when,
-- kind empty (everything is gone) or back (it is older than it was), when the node that noticed
-- it had last heard of the life before, the number of the last message then, and that
-- of the last one that is left. state is open until a leader has started the cursors anew
-- (lua/adopt.lua), then done.
--
-- The clock of this Redis may be behind that of the one before: ticks that lie ahead of it may have
-- been decided. "until" in :term is up to when. A node that knows of later ones than the first
-- report said opens the life once more.
--
-- KEYS: probe, cluster, term, events, sequence
-- ARGV: prefix, node, id and number of the life that the node knows, number of the last message
--       it has seen, the highest epoch it has seen, when it last heard of that life in ms, an id for a new one,
--       since when the life it knows had lasted in ms, up to when ticks may have been decided in it, in ms of its clock
-- Returns: {the value of :cluster, the number of the last message, TIME in ms}. It is the life that the
--       node knows when nothing was lost, and another one's report when that came first.
-- A repeat answers as the first call.
-- Uses: common
local NEAR_MS = 1000 -- what two nodes say of one clock differs by less
local known, seen, heard = tonumber(ARGV[4]), tonumber(ARGV[5]), math.min(tonumber(ARGV[7]), NOW)
local value = redis.call('GET', KEYS[2])
local seq = tonumber(redis.call('GET', KEYS[5]) or '0')
local id, number, began
if value then id, number, began = string.match(value, '^(%S+) (%d+) (%d+) ') end
number = tonumber(number or '0')
if id == ARGV[3] and seq >= seen then return { value, seq, NOW } end

local before, until_ = tonumber(redis.call('HGET', KEYS[3], 'until') or '0'), tonumber(ARGV[10])
if until_ > math.max(before, NOW) then redis.call('HSET', KEYS[3], 'until', string.format('%.0f', until_)) end
if number > known then
  if until_ > math.max(before, NOW) + NEAR_MS and string.find(value, ' done ', 1, true) then
    value = string.gsub(value, ' done ', ' open ', 1)
    redis.call('SET', KEYS[2], value)
  end
  return { value, seq, NOW }
end

-- Somebody who had seen nothing may have begun to fill an empty Redis: as its first life.
local kind = 'back'
if not id or number == 1 and id ~= ARGV[3] and tonumber(began) >= tonumber(ARGV[9]) then kind = 'empty' end
value = ARGV[8] .. ' ' .. math.max(known, number) + 1 .. ' ' .. NOW .. ' open ' .. kind .. ' ' .. string.format('%.0f', heard) ..
  ' ' .. string.format('%.0f', seen) .. ' ' .. seq .. ' ' .. ARGV[2]
redis.call('SET', KEYS[2], value)
-- The clock of this Redis may be behind that of the one before.
local epoch = tonumber(redis.call('HGET', KEYS[3], 'epoch') or '0') or 0
if epoch < tonumber(ARGV[6]) then redis.call('HSET', KEYS[3], 'epoch', ARGV[6]) end
local reason = 'Redis lost its data'
if kind == 'back' and seq >= seen then -- another life counts its own messages
  reason = 'Redis went back to an older state, one from before an earlier loss or of another Redis'
elseif kind == 'back' then
  reason = 'Redis went back to an older state: message ' .. seq .. ' is the last that it knows, ' .. ARGV[5] .. ' the last that was seen'
end
publish(KEYS[4], KEYS[5], { '{"type":"store_amnesia","node":"' .. ARGV[2] .. '","reason":"' .. reason .. '"}' })
return { value, SEQ, NOW }
