-- depose: a follower finds the leader silent. Its vote goes into its own record, and when the
-- majority of the live followers that have the leader's schedule has voted, the seat is vacant.
--
-- KEYS: probe, leader, term, nodes, node (the voter's), control, events, sequence
-- ARGV: prefix, token of the leader, voter, its boot, since when it finds the leader silent in
--       ms, why
-- Returns: {answer, votes, voters, ms}. "gone": the token does not hold the seat. "unheard":
--       the voter has no live record. "noted": no majority yet, or no follower has the
--       leader's schedule (voters 0). "nobody": no other live node would lead. "respite": the
--       leader before was deposed too and this one has decided nothing since, so not before
--       that time. "deposed", at that time. A repeat of "deposed" answers the same.
-- Uses: common
local LIVE_MS = 6000
local RESPITE_MS = 600000 -- for so long a deposed node is not one that would lead
local EPISODE_MS = 60000 -- votes further apart than this are another silence
local BACKOFF_MS, BACKOFF_MOST_MS = 60000, 3600000

local token, voter = ARGV[2], ARGV[3]
local term = redis.call('HMGET', KEYS[3], 'token', 'node', 'since', 'decided', 'deposed', 'accused')
local deposals, deposed_at, had_votes, had_voters, who = string.match(term[5] or '', '^(%d+) (%d+) (%d+) (%d+) (%S+)$')
if redis.call('GET', KEYS[2]) ~= token or term[1] ~= token then
  if who == token then return { 'deposed', tonumber(had_votes), tonumber(had_voters), tonumber(deposed_at) } end
  return { 'gone', 0, 0, 0 }
end
local leader = term[2]

-- of(name): what the record of a node says.
local function of(name)
  local v = redis.call('HMGET', P .. 'node:' .. name, 'boot', 'schedules', 'zoneinfo', 'no_lead', 'silent', 'deposed')
  local schedule = string.match(v[2] or '', '^%S+')
  local node = { boot = v[1], schedule = schedule and schedule .. ' ' .. (v[3] or ''), leads = v[4] ~= '1' }
  local finds, _, at = string.match(v[5] or '', '^(%S+) (%d+) (%d+)$')
  node.votes = finds == token and tonumber(at) > NOW - LIVE_MS
  local once, when = string.match(v[6] or '', '^(%S+) (%d+)$')
  if once and v[1] and string.find(once, ':' .. v[1] .. ':', 1, true) and tonumber(when) > NOW - RESPITE_MS then node.leads = false end
  return node
end

local live, mine = redis.call('ZRANGEBYSCORE', KEYS[4], NOW - LIVE_MS, '+inf'), false
local accused = of(leader)
local known = accused.boot and string.sub(token, 1, #leader + #accused.boot + 2) == leader .. ':' .. accused.boot .. ':'
local votes, voters, heirs = 0, 0, 0
for _, name in ipairs(live) do
  if name ~= leader then
    local node = of(name)
    if name == voter then
      if node.boot ~= ARGV[4] then return { 'unheard', 0, 0, 0 } end
      mine, node.votes = true, true
    end
    if node.leads then heirs = heirs + 1 end
    if known and node.schedule and node.schedule == accused.schedule then
      voters = voters + 1
      if node.votes then votes = votes + 1 end
    end
  end
end
if not mine then return { 'unheard', 0, 0, 0 } end

redis.call('HSET', KEYS[5], 'silent', token .. ' ' .. ARGV[5] .. ' ' .. NOW)
local events = {}
local whom, when = string.match(term[6] or '', '^(%S+) (%d+)$')
if whom ~= token or tonumber(when) < NOW - EPISODE_MS then
  events[1] = '{"type":"silent_leader","node":"' .. leader .. '","by":"' .. voter .. '","reason":' .. cjson.encode(ARGV[6]) .. '}'
end
redis.call('HSET', KEYS[3], 'accused', token .. ' ' .. NOW)

local answer, at = 'noted', 0
if votes * 2 > voters then
  -- A leader that decided something was not the fault of whatever silenced the one before.
  local row = tonumber(deposals or '0')
  if tonumber(term[4] or '0') > tonumber(term[3]) then row = 0 end
  if row > 0 then at = tonumber(deposed_at) + math.min(BACKOFF_MS * 2 ^ math.min(row - 1, 10), BACKOFF_MOST_MS) end
  if heirs == 0 then
    answer, at = 'nobody', 0
  elseif NOW < at then
    answer = 'respite'
  else
    answer, at = 'deposed', NOW
    redis.call('DEL', KEYS[2])
    redis.call('HSET', KEYS[3], 'deposed', (row + 1) .. ' ' .. NOW .. ' ' .. votes .. ' ' .. voters .. ' ' .. token)
    if known then redis.call('HSET', P .. 'node:' .. leader, 'deposed', token .. ' ' .. NOW) end
    redis.call('PUBLISH', KEYS[6], 'vacant')
    events[#events + 1] = '{"type":"deposed","node":"' .. leader .. '","by":"' .. voter .. '","reason":"' .. votes .. ' of ' .. voters ..
      ' followers with its schedule found it silent"}'
  end
end
publish(KEYS[7], KEYS[8], events)
return { answer, votes, voters, at }
