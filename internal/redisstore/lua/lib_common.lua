-- lib_common: what every script begins with. It is put in front of each script
-- when the scripts are loaded, after a table MOVES that is generated from
-- jobs/state.go and holds every legal move of a run.
--
-- KEYS[1] is a key of the hash tag that never exists, ARGV[1] the prefix of all
-- keys ("{namespace}:"). Fixed keys come in KEYS. The keys of one job, run or
-- route are built from the prefix: they share the hash tag, so they live in the
-- slot of KEYS[1].

-- A migrating cluster slot answers this read with an error: before anything was
-- popped or written.
redis.call('EXISTS', KEYS[1])

local P = ARGV[1]
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

-- calls COMMAND key element... in slices.
local function variadic(command, key, list)
  each(list, 800, function(l, from, to)
    redis.call(command, key, unpack(l, from, to))
  end)
end

-- publish(channel, sequence key, events): one message for the whole batch.
-- An event is a JSON object without "seq" and "at".
local function publish(channel, sequence, events)
  if #events == 0 then return end
  local seq = redis.call('INCR', sequence)
  redis.call('PUBLISH', channel, '{"seq":' .. seq .. ',"at":' .. NOW .. ',"events":[' .. table.concat(events, ',') .. ']}')
end
