-- leave: a node says goodbye.
--
-- KEYS: probe, nodes, node, events, sequence
-- ARGV: prefix, node, boot
-- Returns: 1, or 0 when the record is another process's. A repeat answers 0.
-- Uses: common
if redis.call('HGET', KEYS[3], 'boot') ~= ARGV[3] then return 0 end
redis.call('DEL', KEYS[3])
redis.call('ZREM', KEYS[2], ARGV[2])
publish(KEYS[4], KEYS[5], { '{"type":"node_down","node":"' .. ARGV[2] .. '","reason":"stopped"}' })
return 1
