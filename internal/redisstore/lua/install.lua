-- install: the winner of the lock quorum begins its term. Its token takes the place of
-- the lock: the scripts of a leader check it.
--
-- KEYS: probe, leader, term, events, sequence
-- ARGV: prefix, token, node, epoch, ttl in ms
-- Returns: {1, since ms}; {0, epoch installed last, token that is installed or ""} when
--       that epoch is not lower.
-- A repeat answers with the same time.
-- Uses: common
local holder = redis.call('GET', KEYS[2]) or ''
local old = redis.call('HMGET', KEYS[3], 'epoch', 'token', 'since')
if holder == ARGV[2] and old[2] == ARGV[2] and old[1] == ARGV[4] then return { 1, tonumber(old[3]) } end

local last = tonumber(old[1] or '0') or 0
if tonumber(ARGV[4]) <= last then return { 0, last, holder } end

redis.call('HSET', KEYS[3], 'epoch', ARGV[4], 'node', ARGV[3], 'since', NOW, 'token', ARGV[2], 'moved', NOW)
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[5])
publish(KEYS[4], KEYS[5], { '{"type":"leader","node":"' .. ARGV[3] .. '","epoch":' .. ARGV[4] .. '}' })
return { 1, NOW }
