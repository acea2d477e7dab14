-- vote: a lock Redis has its part in the epoch of a term. It runs on the Redises of
-- --lock-redis, not on that of the data.
--
-- KEYS: probe, lock, lock_epoch
-- ARGV: prefix, token, epoch to record or 0 to propose one, floor: what a proposal is above
-- Returns: {1, epoch} when the lock holds the token and the epoch is now the highest
--       known here; {0, highest epoch known here} otherwise
-- A repeat answers the same.
-- Uses: common
local known = redis.call('HMGET', KEYS[3], 'epoch', 'token')
local epoch = tonumber(known[1] or '0') or 0
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return { 0, epoch } end

local wanted, floor = tonumber(ARGV[3]), tonumber(ARGV[4])
local ours = known[2] == ARGV[2]
if wanted == 0 then
  if ours and epoch > floor then return { 1, epoch } end
  wanted = math.max(epoch + 1, floor + 1, NOW)
elseif epoch > wanted or (epoch == wanted and not ours) then
  return { 0, epoch }
end
redis.call('HSET', KEYS[3], 'epoch', string.format('%.0f', wanted), 'token', ARGV[2])
return { 1, wanted }
