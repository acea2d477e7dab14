-- lib_common: what every script begins with. It is put in front of each script
-- when the scripts are loaded, after a table MOVES that is generated from
-- jobs/state.go and holds every legal move of a run.
--
-- KEYS[1] is a key of the hash tag that never exists, ARGV[1] the prefix of all
-- keys ("{namespace}:"). Fixed keys come in KEYS. The keys of one job, run or
-- route are built from the prefix: they share the hash tag, so they live in the
-- slot of KEYS[1].
--
-- A node puts what it has seen of this Redis behind the prefix: the id of its life
-- (lua/amnesia.lua) and the number of the last message. One that has not seen the like
-- has lost data: the call is refused with FORGOT before it did anything.

-- A migrating cluster slot answers this read with an error: before anything was
-- popped or written.
redis.call('EXISTS', KEYS[1])

local P, SEQ, CLUSTER = ARGV[1], 0, nil
do
  local prefix, id, seen = string.match(ARGV[1], '^(%S+) (%S+) (%d+)$')
  if prefix then
    P = prefix
    local now = redis.call('MGET', P .. 'cluster', P .. 'sequence')
    CLUSTER, SEQ = now[1], tonumber(now[2] or '0')
    if not CLUSTER or string.sub(CLUSTER, 1, #id + 1) ~= id .. ' ' or SEQ < tonumber(seen) then
      return redis.error_reply('FORGOT this Redis has lost data that this node has seen')
    end
  end
end
local TIME = redis.call('TIME')
local NOW = TIME[1] * 1000 + math.floor(TIME[2] / 1000) -- ms; 13 digits, exact in a double and in tostring

local function can_move(from, to)
  return MOVES[from] ~= nil and MOVES[from][to] == true
end

-- each(list, n, f): f(list, from, to) over slices of at most n elements, for
-- variadic commands (unpack has a limit).
local function each(list, n, f)
  local from = 1
  while from <= #list do
    local to = math.min(from + n - 1, #list)
    f(list, from, to)
    from = to + 1
  end
end

-- calls COMMAND key element... in slices; the answer is that to the last of them.
local function variadic(command, key, list)
  local answer
  each(list, 800, function(l, from, to)
    answer = redis.call(command, key, unpack(l, from, to))
  end)
  return answer
end

-- since_loss(): when this Redis was found to have lost data, in ms; 0 when it never was.
local function since_loss()
  local number, since = string.match(CLUSTER or '', '^%S+ (%d+) (%d+) ')
  if not number or number == '1' then return 0 end
  return tonumber(since)
end

-- unsettled(): the nodes are still telling what this Redis has lost (lua/recall.lua).
local SETTLE_MS = 3000
local function unsettled()
  local loss = since_loss()
  return loss > 0 and NOW < loss + SETTLE_MS
end

-- publish(channel, sequence key, events): one message for the whole batch.
-- An event is a JSON object without "seq" and "at".
local function publish(channel, sequence, events)
  if #events == 0 then return end
  SEQ = redis.call('INCR', sequence)
  redis.call('PUBLISH', channel, '{"seq":' .. SEQ .. ',"at":' .. NOW .. ',"events":[' .. table.concat(events, ',') .. ']}')
end
