-- announce: an event that no other script publishes.
--
-- KEYS: probe, events, sequence
-- ARGV: prefix, event as a JSON object without "seq" and "at"
-- Returns: 1
-- Uses: common
publish(KEYS[2], KEYS[3], { ARGV[2] })
return 1
