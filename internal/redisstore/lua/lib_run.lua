-- lib_run: a run begins and ends here, whoever asks for it.
--
-- A spec is what the schedule file says about a job, as the scripts need it. It
-- comes as SPEC_WIDTH strings, in ARGV or in the list stamped on an upstream run:
--   job, timing, priority, overlap, max running or "0", group or "", group limit,
--   digest, route, every node (0 or 1), followers as JSON or "", crash retries or "",
--   delivery or "", unroutable after in ms or ""
-- Followers are [[when, spec], ...].

local SPEC_WIDTH = 14

local function spec_of(list, at)
  local followers = list[at + 10]
  if type(followers) == 'table' then followers = cjson.encode(followers) end -- from inside another list
  return {
    job = list[at], timing = list[at + 1], priority = list[at + 2], overlap = list[at + 3], max = tonumber(list[at + 4]),
    group = list[at + 5], limit = tonumber(list[at + 6]), digest = list[at + 7], route = list[at + 8],
    every = list[at + 9] == '1', followers = followers, crash_retries = list[at + 11], delivery = list[at + 12],
    unroutable = list[at + 13],
  }
end

-- settle(spec): a job that was renamed goes on under its new name, and so does a run that is made
-- from what its old name said. The run's id keeps the old name: nodes that know only that find it.
local function settle(spec)
  local now = redis.call('HGET', P .. 'renamed', spec.job)
  if now then spec.job, spec.alias = string.match(now, '^(%S+)'), true end
  return spec
end

-- plain(spec): nothing about the job needs a look at its end.
local function plain(spec)
  return spec.group == '' and spec.followers == '' and not spec.every and spec.overlap ~= 'queue' and spec.overlap ~= 'replace'
end

-- holds_back(job): whether a run of the job waits for its turn. One may although the overlap
-- is allow: it was another one when that run was made.
local held_back = {}
local function holds_back(job)
  if held_back[job] == nil then held_back[job] = redis.call('EXISTS', P .. 'waiting:' .. job) == 1 end
  return held_back[job]
end

-- common(spec): nothing about its runs is out of the ordinary. Asked once a call.
local function common(spec)
  if spec.common == nil then
    spec.common = plain(spec) and spec.route == 'any' and spec.crash_retries == '' and spec.delivery == '' and
      spec.unroutable == '' and not (spec.overlap == 'allow' and holds_back(spec.job))
  end
  return spec.common
end

-- rules(spec, add): what the schedule says of a run's life, where it is not the default, is stamped on
-- it by add(field, value). Returns whether its end concerns others.
local function rules(spec, add)
  if spec.route ~= 'any' then add('route', spec.route) end
  if spec.crash_retries ~= '' then add('crash_retries', spec.crash_retries) end
  if spec.delivery ~= '' then add('delivery', spec.delivery) end
  if spec.unroutable ~= '' then add('unroutable_ms', spec.unroutable) end
  if plain(spec) and not (spec.overlap == 'allow' and holds_back(spec.job)) then return false end
  add('linked', 1)
  if spec.group ~= '' then add('group', spec.group); add('group_limit', spec.limit) end
  if spec.followers ~= '' then add('followers', spec.followers) end
  return true
end

-- born(id, spec, trigger, more): writes the hash of a new run. more is a list of
-- further fields and values; that of a tick begins with its time.
local function born(id, spec, trigger, more)
  if #more == 2 and not spec.alias and common(spec) then -- what most runs are
    redis.call('HSET', P .. 'run:' .. id, 'status', 'queued', 'job', spec.job, 'trigger', trigger, 'attempt', 0,
      'priority', spec.priority, 'digest', spec.digest, 'queued_at', NOW, more[1], more[2])
    return
  end
  local fields = { 'status', 'queued', 'job', spec.job, 'trigger', trigger, 'attempt', 0, 'priority', spec.priority,
    'digest', spec.digest, 'queued_at', NOW }
  local n = #fields
  local function add(field, value)
    fields[n + 1], fields[n + 2] = field, value
    n = n + 2
  end
  local extra = spec.alias -- something that only some runs have: claim and finish look closer
  for i = 1, #more, 2 do
    add(more[i], more[i + 1])
    if more[i] == 'up_run' or more[i] == 'params' then extra = true end
  end
  if rules(spec, add) then extra = true end
  if extra then add('more', 1) end
  redis.call('HSET', P .. 'run:' .. id, unpack(fields))
end

-- unbound(key): nothing has happened of the run, so it is bound to no version of its job. One with
-- params is: they were checked against that. So is one that is for one node.
local function unbound(key)
  local h = redis.call('HMGET', key, 'status', 'attempt', 'pin', 'params')
  return h[1] == 'queued' and h[2] == '0' and not h[3] and not h[4]
end

-- rule(id, spec): a run that is unbound becomes one of that spec: what the schedule says of it, and
-- what it executes. Whose end it concerned it still does.
local function rule(id, spec)
  local key = P .. 'run:' .. id
  redis.call('HDEL', key, 'route', 'crash_retries', 'delivery', 'unroutable_ms', 'group', 'group_limit', 'followers',
    'parked_at', 'waits', 'unroutable')
  local fields = { 'digest', spec.digest, 'priority', spec.priority, 'more', 1 }
  rules(spec, function(field, value)
    fields[#fields + 1] = field
    fields[#fields + 1] = value
  end)
  redis.call('HSET', key, unpack(fields))
end

local function queued_event(job, id, tick)
  local at = ''
  if tick then at = ',"tick":' .. tick end
  return '{"type":"queued","job":"' .. job .. '","run":"' .. id .. '"' .. at .. '}'
end

-- known(id): whether Redis has that run. One whose hash is gone (thrown away by Redis,
-- deleted by hand) never ends any more: it is in nobody's way.
local function known(id) return redis.call('HEXISTS', P .. 'run:' .. id, 'status') == 1 end

-- full(set, limit): an unfinished run of the set when it has that many, else nil. Of a high
-- limit some are looked at. Runs that are gone leave the set, so many of them in one call; while
-- there are more, one of them is the answer.
local SOME, WEED, ROUNDS = 50, 500, 10
local function full(set, limit)
  local enough = math.min(limit, SOME)
  local ask, way = enough, nil
  for _ = 1, ROUNDS do
    local n, gone = 0, {}
    local ids = redis.call('SRANDMEMBER', set, ask)
    for _, id in ipairs(ids) do
      way = id
      if known(id) then n = n + 1 else gone[#gone + 1] = id end
      if n == enough and #gone == 0 then break end
    end
    if #gone > 0 then redis.call('SREM', set, unpack(gone)) end
    if n < enough and (#gone == 0 or #ids < ask) then return nil end
    if #gone == 0 then
      if limit > enough and redis.call('SCARD', set) < limit then return nil end
      return way
    end
    ask = WEED
  end
  return way
end

-- member(set): an unfinished run of the set, or nil.
local function member(set) return full(set, 1) end

-- in_the_way(spec, active): the unfinished run that keeps a new one of the job
-- from starting now, and why; nil when there is none.
local function in_the_way(spec, active)
  if spec.overlap == 'allow' then
    local way = spec.max > 0 and full(active, spec.max)
    if way then return way, 'overlap: max_running is ' .. spec.max end
  else
    local way = member(active)
    if way then return way, 'overlap: an earlier run is unfinished' end
  end
  if spec.group ~= '' then
    local way = full(P .. 'group:' .. spec.group, spec.limit)
    if way then return way, 'overlap: group ' .. spec.group .. ' is full' end
  end
  return nil
end

-- stand_in_line(group, job): the run of the job that waits has its turn in the group after
-- those that wait already. A job keeps its place when another run takes that one's.
local function stand_in_line(group, job)
  local line = P .. 'groupwait:' .. group
  local last = redis.call('ZREVRANGE', line, 0, 0, 'WITHSCORES')
  redis.call('ZADD', line, 'NX', tonumber(last[2] or '0') + 1, job)
end

local cancel_run, promote -- below

-- admit(id, spec, trigger, more, events): a new run of one job is queued, waits for
-- its turn, or is refused: "queued"; "waiting" and the run in the way; "skipped",
-- the run in the way and the reason. The caller has checked pauses and identity.
local function admit(id, spec, trigger, more, events, tick)
  local active = P .. 'active:' .. spec.job
  local way, why = in_the_way(spec, active)
  if way and (spec.overlap == 'queue' or spec.overlap == 'replace') then
    local waiting = P .. 'waiting:' .. spec.job
    -- Its turn may have come without a word: the run it waited for was lost by Redis.
    if redis.call('EXISTS', waiting) == 1 then promote(spec.job) end
    local held = redis.call('LINDEX', waiting, 0)
    if held and spec.overlap == 'queue' then return 'skipped', held, 'overlap: a run is waiting already' end
    born(id, spec, trigger, more)
    local older = redis.call('SMEMBERS', active)
    table.sort(older)
    for _, other in ipairs(older) do
      -- It may have been made when the job was another one and nobody waited for its end.
      if known(other) then redis.call('HSET', P .. 'run:' .. other, 'linked', 1, 'more', 1) end
    end
    if held then redis.call('RPOP', waiting) end -- its turn is the new run's
    redis.call('SADD', active, id)
    redis.call('LPUSH', waiting, id)
    held_back[spec.job] = true
    redis.call('HSET', P .. 'run:' .. id, 'waits', 'waits for ' .. way)
    if spec.group ~= '' then stand_in_line(spec.group, spec.job) end
    events[#events + 1] = queued_event(spec.job, id, tick)
    if held then cancel_run(held, 'carillon', 'replaced by ' .. id, events) end
    if spec.overlap == 'replace' then
      for _, other in ipairs(older) do
        if other ~= held then cancel_run(other, 'carillon', 'replaced by ' .. id, events) end
      end
    end
    return 'waiting', way
  end
  if way then return 'skipped', way, why end
  born(id, spec, trigger, more)
  redis.call('SADD', active, id)
  if spec.group ~= '' then redis.call('SADD', P .. 'group:' .. spec.group, id) end
  enqueue(spec.route, spec.priority, { id }, 'LPUSH')
  ring(spec.route, 1)
  events[#events + 1] = queued_event(spec.job, id, tick)
  return 'queued'
end

-- pin(id, spec, node, boot, trigger, more, events): one node's run of a job with
-- every_node, on that node's own route. It stands in :leases so that the sweep
-- notices when the node goes before it took the run.
local PIN_MS = 2000
local function pin(id, spec, node, boot, trigger, more, events, tick)
  if redis.call('EXISTS', P .. 'run:' .. id) == 1 then return 'repeated' end
  local active = P .. 'active:' .. spec.job .. ':' .. node
  if spec.overlap ~= 'allow' then
    local way = member(active)
    if way then return 'skipped', way, 'overlap: an earlier run on ' .. node .. ' is unfinished' end
  elseif spec.max > 0 then
    local way = full(active, spec.max)
    if way then return 'skipped', way, 'overlap: max_running is ' .. spec.max end
  end
  born(id, spec, trigger, more)
  redis.call('HSET', P .. 'run:' .. id, 'route', 'node=' .. boot, 'pin', boot, 'pinned_to', node)
  redis.call('SADD', active, id)
  local route = 'node=' .. boot
  enqueue(route, spec.priority, { id }, 'LPUSH')
  ring(route, 1)
  redis.call('ZADD', P .. 'leases', NOW + PIN_MS, id)
  events[#events + 1] = queued_event(spec.job, id, tick)
  return 'queued'
end

-- everywhere(id, spec, ...): one run for each live node that serves the route.
-- Returns how many were queued (now or by an earlier call), how many were refused, the last
-- refusal, and how many of the queued ones an earlier call had made.
local function everywhere(id, spec, trigger, more, events, tick)
  local queued, refused, way, why, repeated = 0, 0, nil, nil, 0
  for _, node in ipairs(fleet()) do
    if node.serves[spec.route] then
      local verdict, w, y = pin(id .. '@' .. node.name, spec, node.name, node.boot, trigger, more, events, tick)
      if verdict == 'repeated' then repeated = repeated + 1 end
      if verdict == 'skipped' then refused, way, why = refused + 1, w, y else queued = queued + 1 end
    end
  end
  return queued, refused, way, why, repeated
end

-- promote(job): the run that waits for its turn gets it, if it has come. Where others of
-- the job are unfinished it has not, unless their hashes are gone; of more than a few
-- that is not asked.
local MANY = 10
promote = function(job)
  local waiting = P .. 'waiting:' .. job
  local id = redis.call('LINDEX', waiting, 0)
  if not id then return end
  local key = P .. 'run:' .. id
  local h = redis.call('HMGET', key, 'status', 'priority', 'route', 'group', 'group_limit')
  if h[1] == 'queued' then
    local active = P .. 'active:' .. job
    local others = redis.call('SCARD', active) - 1 -- itself is one of them
    if others > MANY then return end
    for _, other in ipairs(others > 0 and redis.call('SMEMBERS', active) or {}) do
      if other ~= id and known(other) then return end
    end
    if h[4] then
      if full(P .. 'group:' .. h[4], tonumber(h[5])) then return end
      redis.call('SADD', P .. 'group:' .. h[4], id)
      redis.call('ZREM', P .. 'groupwait:' .. h[4], job)
    end
    redis.call('HDEL', key, 'waits')
    enqueue(h[3] or 'any', h[2], { id }, 'LPUSH')
    ring(h[3] or 'any', 1)
  end
  redis.call('RPOP', waiting)
end

-- paused(job): whether ticks and follow-on runs of the job are held off.
local function paused(job) return redis.call('HEXISTS', P .. 'paused', job) == 1 end

-- follow(id, job, state, failure, followers, events): what the end of a run starts,
-- as the schedule said when the run was made.
local function meets(when, state)
  if when == 'success' then return state == 'succeeded' end
  if when == 'failure' then return state == 'failed' or state == 'rolled_back' or state == 'rollback_failed' end
  return when == 'done'
end

local function follow(id, job, state, failure, followers, events)
  for _, f in ipairs(cjson.decode(followers)) do
    if meets(f[1], state) then
      local spec = spec_of(f[2], 1)
      local new = spec.job .. '@after-' .. id
      settle(spec)
      if redis.call('EXISTS', P .. 'run:' .. new) == 0 then
        local more = { 'up_job', job, 'up_run', id, 'up_status', state, 'up_error', failure }
        local way, why, queued
        if paused(spec.job) then
          why = 'paused'
        elseif spec.every then
          local n, refused
          n, refused, way, why = everywhere(new, spec, 'after', more, events)
          queued = n > 0
          if not queued and not why then why = 'no live node serves it' end
        else
          local verdict
          verdict, way, why = admit(new, spec, 'after', more, events)
          queued = verdict ~= 'skipped'
        end
        if not queued then
          record(spec.job, { ledger_range(string.format('%.0f', NOW), 'skipped', string.format('%.0f', NOW), 1, way or '-', why .. ' (after ' .. id .. ')') })
          events[#events + 1] = '{"type":"skipped","job":"' .. spec.job .. '","reason":' .. cjson.encode(why) .. '}'
        end
      end
    end
  end
end

-- leave_group(group, id): the run makes room for the next one.
local function leave_group(group, id)
  redis.call('SREM', P .. 'group:' .. group, id)
  for _, other in ipairs(redis.call('ZRANGE', P .. 'groupwait:' .. group, 0, -1)) do
    promote(other)
    if redis.call('EXISTS', P .. 'waiting:' .. other) == 0 then redis.call('ZREM', P .. 'groupwait:' .. group, other) end
  end
end

-- linked_end(id, job, state, events): the end of a run concerns others: runs that wait
-- for it, its group, and jobs that follow it.
local function linked_end(id, job, state, events)
  local h = redis.call('HMGET', P .. 'run:' .. id, 'group', 'followers', 'error', 'pinned_to')
  if h[4] then redis.call('SREM', P .. 'active:' .. job .. ':' .. h[4], id) end
  if redis.call('LREM', P .. 'waiting:' .. job, 0, id) == 0 then promote(job) end
  if h[1] then leave_group(h[1], id) end
  if h[2] then follow(id, job, state, h[3] or '', h[2], events) end
end

-- finished(id, job, state, linked, events): one run reached a final state, and its hash
-- says so. Scripts that end many runs at once call archive for all of a job, then
-- linked_end for each that needs it.
local function finished(id, job, state, linked, events)
  job = job_of(id, job)
  archive(job, { { id = id, ok = state == 'succeeded' } })
  remember(P .. 'recent', { id })
  if linked then linked_end(id, job, state, events) end
end

-- close_step(key, state, failed): the step that was under way has ended. The step's
-- field is "index status started-ms".
local function close_step(key, state, failed)
  local name = redis.call('HGET', key, 'recorded')
  if not name then return end
  local field = 'step:' .. name
  local value = redis.call('HGET', key, field)
  if not value then return end
  local index, status, started = string.match(value, '^(%d+) (%S+) (%d+)$')
  if status ~= 'running' then return end
  local now = 'failed'
  if state == 'succeeded' then now = 'succeeded' end
  redis.call('HSET', key, field, index .. ' ' .. now .. ' ' .. started)
end

-- undoable(id): whether something is left to undo.
local function undoable(id) return redis.call('EXISTS', P .. 'rollback:' .. id) == 1 end

-- back(id, failure, events, stays): the run is to be undone: it is queued for a node
-- to do that, in front of what has not begun. stays: it waits where it should already, in its
-- queue or parked for a node with its definition.
local function back(id, failure, events, stays)
  local key = P .. 'run:' .. id
  local h = redis.call('HMGET', key, 'job', 'priority', 'route', 'pin')
  redis.call('HSET', key, 'status', 'rolling_back', 'token', '', 'node', '', 'error', failure)
  if not stays then
    redis.call('ZREM', P .. 'leases', id)
    redis.call('HDEL', key, 'parked_at', 'retry_at', 'waits')
    enqueue(h[3] or 'any', h[2], { id }, 'RPUSH')
    ring(h[3] or 'any', 1)
    if h[4] then redis.call('ZADD', P .. 'leases', NOW + PIN_MS, id) end
  end
  events[#events + 1] = '{"type":"rolling_back","job":"' .. h[1] .. '","run":"' .. id .. '","error":' .. cjson.encode(failure) .. '}'
end

-- close(id, state, failure, events): a run that no attempt holds ends as failed or
-- canceled, or is undone first. stays as for back.
local function close(id, state, failure, events, stays)
  if undoable(id) then
    back(id, failure, events, stays)
    return 'rolling_back'
  end
  local key = P .. 'run:' .. id
  local h = redis.call('HMGET', key, 'job', 'linked')
  redis.call('ZREM', P .. 'leases', id)
  redis.call('HSET', key, 'status', state, 'error', failure, 'finished_at', NOW, 'token', '')
  redis.call('PEXPIRE', key, KEEP_MS)
  events[#events + 1] = '{"type":"' .. state .. '","job":"' .. h[1] .. '","run":"' .. id .. '","error":' .. cjson.encode(failure) .. '}'
  finished(id, h[1], state, h[2], events)
  return state
end

-- stuck(id, failure, events): a rollback that cannot go on by itself. Its list stays; when
-- nothing is left on it, everything was undone and only nobody said so.
local function stuck(id, failure, events)
  local key = P .. 'run:' .. id
  local h = redis.call('HMGET', key, 'job', 'linked')
  redis.call('ZREM', P .. 'leases', id)
  if not undoable(id) then
    redis.call('HSET', key, 'status', 'rolled_back', 'finished_at', NOW, 'token', '')
    redis.call('PEXPIRE', key, KEEP_MS)
    events[#events + 1] = '{"type":"rolled_back","job":"' .. h[1] .. '","run":"' .. id .. '"}'
    finished(id, h[1], 'rolled_back', h[2], events)
    return
  end
  redis.call('HSET', key, 'status', 'rollback_failed', 'rollback_error', failure, 'finished_at', NOW, 'token', '')
  redis.call('PEXPIRE', key, KEEP_MS)
  redis.call('PEXPIRE', P .. 'rollback:' .. id, KEEP_MS)
  events[#events + 1] = '{"type":"rollback_failed","job":"' .. h[1] .. '","run":"' .. id .. '","error":' .. cjson.encode(failure) .. '}'
  finished(id, h[1], 'rollback_failed', h[2], events)
end

-- cancel_run(id, by, why, events): calls a run off. Returns the answer of
-- lua/cancel.lua and the status the run has now.
cancel_run = function(id, by, why, events)
  local key = P .. 'run:' .. id
  local h = redis.call('HMGET', key, 'status', 'job', 'cancel')
  local status = h[1]
  if not status then return 'unknown', '' end
  local failure = 'canceled by ' .. by
  if why ~= '' then failure = failure .. ': ' .. why end
  if status == 'queued' or status == 'retrying' then
    redis.call('HSET', key, 'cancel', by)
    local now = close(id, 'canceled', failure, events, status == 'queued')
    if now == 'rolling_back' then return 'rolling_back', now end
    return 'canceled', now
  elseif status == 'running' then
    if not h[3] then
      redis.call('HSET', key, 'cancel', by, 'cancel_why', failure)
      events[#events + 1] = '{"type":"canceling","job":"' .. h[2] .. '","run":"' .. id .. '","by":' .. cjson.encode(by) .. '}'
    end
    redis.call('PUBLISH', P .. 'control', 'cancel ' .. id)
    return 'asked', status
  elseif status == 'rolling_back' then
    return 'undoing', status
  end
  return 'final', status
end
