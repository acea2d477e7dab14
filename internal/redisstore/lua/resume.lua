-- resume: ticks of a job count again from now.
--
-- KEYS: probe, paused, pauses, cursors, events, sequence
-- ARGV: prefix, job, who
-- Returns: {1, since ms, who had paused it, note}; {0} when it is not paused.
-- The pause is remembered as "since-until" while ticks of that time are undecided, so
-- that a leader who comes later does not catch them up.
-- Uses: common
local was = redis.call('HGET', KEYS[2], ARGV[2])
if not was then return { 0 } end
local p = cjson.decode(was)
redis.call('HDEL', KEYS[2], ARGV[2])
local cursor = redis.call('HGET', KEYS[4], ARGV[2])
local decided = cursor and tonumber(string.match(cursor, '^(%d+)')) or NOW
local spans = {}
for since, until_ in string.gmatch(redis.call('HGET', KEYS[3], ARGV[2]) or '', '(%d+)-(%d+)') do
  if tonumber(until_) > decided then spans[#spans + 1] = since .. '-' .. until_ end
end
if decided < NOW then spans[#spans + 1] = string.format('%.0f', p.since) .. '-' .. NOW end
while #spans > 50 do table.remove(spans, 1) end
if #spans > 0 then
  redis.call('HSET', KEYS[3], ARGV[2], table.concat(spans, ' '))
else
  redis.call('HDEL', KEYS[3], ARGV[2])
end
publish(KEYS[5], KEYS[6], { '{"type":"resumed","job":"' .. ARGV[2] .. '","by":' .. cjson.encode(ARGV[3]) .. '}' })
return { 1, p.since, p.by, p.note }
