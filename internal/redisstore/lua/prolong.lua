-- prolong: the token that was installed lives on.
--
-- KEYS: probe, leader
-- ARGV: prefix, token, ttl in ms
-- Returns: 1; 0 when another token is installed, or none.
-- Uses: common
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1
