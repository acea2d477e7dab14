-- renew: all leases of a node, in one call.
--
-- KEYS: probe, leases
-- ARGV: prefix, lease ms, number of runs, then for each: run id, token
-- Returns: for each run "ok", "canceled" (renewed, and somebody called the run off) or "lost"
--       (another attempt holds it, or it ended).
-- Uses: common
local due, n = NOW + tonumber(ARGV[2]), tonumber(ARGV[3])
local reply, renewed, first = {}, {}, {}
for i = 1, n do
  local id = ARGV[2 + 2 * i]
  local h = redis.call('HMGET', P .. 'run:' .. id, 'status', 'token', 'attempt', 'renewed', 'cancel')
  if (h[1] == 'running' or h[1] == 'rolling_back') and h[2] == ARGV[3 + 2 * i] then
    reply[i] = 'ok'
    if h[5] and h[1] == 'running' then reply[i] = 'canceled' end
    renewed[#renewed + 1] = due
    renewed[#renewed + 1] = id
    if h[4] ~= h[3] then first[#first + 1] = { id = id, attempt = h[3] } end
  else
    reply[i] = 'lost'
  end
end
if #renewed > 0 then
  -- Redis at maxmemory refuses a script whose first write could need memory. This
  -- one needs none, and without it every running command would lose its lease.
  redis.call('DEL', KEYS[1])
  variadic('ZADD', KEYS[2], renewed)
end
-- The sweep counts a lost lease as a crash only if the attempt lived to renew it once.
for _, f in ipairs(first) do redis.call('HSET', P .. 'run:' .. f.id, 'renewed', f.attempt) end
return reply
