-- backfill: past ticks of a job are to run after all. The leader feeds them (feed.lua).
--
-- KEYS: probe, cursors, ledger, backfill, backfills, events, sequence
-- ARGV: prefix, job, who, 1 to take ticks older than the ledger else 0, tick ms...
-- Returns: {"ok", queued, ran before or waiting already}; {"undecided", cursor ms} when a tick is
--       not decided yet; {"old", oldest ms} when the ledger no longer says whether a tick ran;
--       {"full", most}. A repeat queues nothing twice.
-- Uses: common
local MOST = 10000 -- ticks waiting, for each job
local job, who, force = ARGV[2], ARGV[3], ARGV[4] == '1'
local cursor = redis.call('HGET', KEYS[2], job)
local decided = cursor and tonumber(string.match(cursor, '^(%d+)')) or 0
local known, oldest = {}, nil
for _, entry in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
  local tick, outcome = string.match(entry, '^(%d+) (%a+)')
  if outcome == 'ran' or outcome == 'late' then known[tick] = true end
  local ms = tonumber(tick)
  if not oldest or ms < oldest then oldest = ms end
end
for _, tick in ipairs(redis.call('LRANGE', KEYS[4], 0, -1)) do known[tick] = true end

local new = {}
for i = 5, #ARGV do
  local ms = tonumber(ARGV[i])
  if ms > decided then return { 'undecided', decided } end
  if not force and (not oldest or ms < oldest) then return { 'old', oldest or 0 } end
  if not known[ARGV[i]] then
    new[#new + 1] = ARGV[i]
    known[ARGV[i]] = true
  end
end
local before = #ARGV - 4 - #new
if #new == 0 then return { 'ok', 0, before } end
if redis.call('LLEN', KEYS[4]) + #new > MOST then return { 'full', MOST } end
variadic('RPUSH', KEYS[4], new)
redis.call('HSET', KEYS[5], job, who)
publish(KEYS[6], KEYS[7], { '{"type":"backfill","job":"' .. job .. '","by":' .. cjson.encode(who) .. ',"count":' .. #new .. '}' })
return { 'ok', #new, before }
