-- term: the winner of the election begins its term.
--
-- KEYS: probe, leader, term, events, sequence
-- ARGV: prefix, token, node
-- Returns: {1, epoch, since ms}; {0, holder} when the token does not hold the seat.
-- A repeat answers with the same epoch.
-- Uses: common
local holder = redis.call('GET', KEYS[2])
if holder ~= ARGV[2] then return { 0, holder or '' } end

local old = redis.call('HMGET', KEYS[3], 'epoch', 'token', 'since')
if old[2] == ARGV[2] then return { 1, tonumber(old[1]), tonumber(old[3]) } end

-- The clock is in it so that an epoch never goes back, even after Redis lost its data.
local epoch = math.max((tonumber(old[1] or '0') or 0) + 1, NOW)
redis.call('HSET', KEYS[3], 'epoch', epoch, 'node', ARGV[3], 'since', NOW, 'token', ARGV[2], 'moved', NOW)
publish(KEYS[4], KEYS[5], { '{"type":"leader","node":"' .. ARGV[3] .. '","epoch":' .. epoch .. '}' })
return { 1, epoch, NOW }
