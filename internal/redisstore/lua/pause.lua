-- pause: ticks of a job are skipped until somebody resumes it.
--
-- KEYS: probe, paused, events, sequence
-- ARGV: prefix, job, who, note
-- Returns: {1, since ms}; {0, since ms, who, note} when it was paused before: that pause stays.
-- A paused job's field is {"since":ms,"by":who,"note":note}.
-- Uses: common
local was = redis.call('HGET', KEYS[2], ARGV[2])
if was then
  local p = cjson.decode(was)
  return { 0, p.since, p.by, p.note }
end
redis.call('HSET', KEYS[2], ARGV[2], '{"since":' .. NOW .. ',"by":' .. cjson.encode(ARGV[3]) .. ',"note":' .. cjson.encode(ARGV[4]) .. '}')
publish(KEYS[3], KEYS[4], { '{"type":"paused","job":"' .. ARGV[2] .. '","by":' .. cjson.encode(ARGV[3]) .. ',"reason":' .. cjson.encode(ARGV[4]) .. '}' })
return { 1, NOW }
