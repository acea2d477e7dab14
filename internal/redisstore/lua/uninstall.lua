-- uninstall: a leader that resigns removes its token.
--
-- KEYS: probe, leader
-- ARGV: prefix, token
-- Returns: 1; 0 when another token is installed, or none.
-- Uses: common
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[2])
return 1
