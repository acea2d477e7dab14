-- lib_archive: what happens to a run that reached a final state.

local HISTORY_CAP = 100 -- runs kept for each job
local FAILURES_CAP = 50 -- of those that did not succeed, kept beyond the history
local RECENT_CAP = 1000 -- runs in the list over all jobs
local KEEP_MS = 2592000000 -- 30 days: finished runs, and the lists that name them
local LOG_CAP = 4194304 -- bytes of output kept for each job
local LOGS_CAP = 200 -- logs that count against it
local LOG_KEEP_MS = 604800000 -- 7 days after the run or its attempt ended

-- forget(ids): a run that no list names any more takes its hash and log along.
local function forget(ids)
  if #ids == 0 then return end
  local keys = {}
  for _, id in ipairs(ids) do
    keys[#keys + 1] = P .. 'run:' .. id
    keys[#keys + 1] = P .. 'log:' .. id
    keys[#keys + 1] = P .. 'rollback:' .. id
  end
  each(keys, 800, function(l, from, to) redis.call('DEL', unpack(l, from, to)) end)
end

-- shorten_failures(history, failures, length), shorten_history(history, failures, length): what is over the
-- cap goes, and with it the runs that neither list names any more. The length is that of the list to shorten.
local function shorten_failures(history, failures, length)
  local over = length - FAILURES_CAP
  if over <= 0 then return end
  local gone = {}
  for _, id in ipairs(redis.call('RPOP', failures, over)) do
    -- Still among the latest runs: it goes when the history drops it.
    if not redis.call('LPOS', history, id) then gone[#gone + 1] = id end
  end
  forget(gone)
end

local function shorten_history(history, failures, length)
  local over = length - HISTORY_CAP
  if over <= 0 then return end
  local dropped = redis.call('RPOP', history, over)
  local kept = {}
  for _, id in ipairs(redis.call('LRANGE', failures, 0, -1)) do kept[id] = true end
  local gone = {}
  for _, id in ipairs(dropped) do
    if not kept[id] then gone[#gone + 1] = id end
  end
  forget(gone)
end

-- called(job): the name that the job has now. Whether any was renamed is asked once a call.
local names
local function called(job)
  if names == nil then names = redis.call('EXISTS', P .. 'renamed') == 1 and {} end
  if not names then return job end
  names[job] = names[job] or string.match(redis.call('HGET', P .. 'renamed', job) or job, '^%S+')
  return names[job]
end

-- job_of(id, job): the name that the job of a run has now. One that a rename (lua/rename.lua) has not
-- come to yet is taken along here.
local function job_of(id, job)
  local now = called(job)
  if now ~= job then
    redis.call('HSET', P .. 'run:' .. id, 'job', now, 'more', 1)
    redis.call('SREM', P .. 'active:' .. job, id)
    local node = redis.call('HGET', P .. 'run:' .. id, 'pinned_to')
    if node then redis.call('SREM', P .. 'active:' .. job .. ':' .. node, id) end
  end
  return now
end

-- archive(job, done): done is a list of {id=, ok=} that just became final, the
-- oldest first. Takes them out of the active set and into the history.
local function archive(job, done)
  local history, failures, active = P .. 'history:' .. job, P .. 'failures:' .. job, P .. 'active:' .. job
  local ids, bad = {}, {}
  for i, d in ipairs(done) do
    ids[i] = d.id
    if not d.ok then bad[#bad + 1] = d.id end
  end
  variadic('SREM', active, ids)
  local length = variadic('LPUSH', history, ids)
  redis.call('PEXPIRE', history, KEEP_MS)
  if #bad > 0 then
    local failed = variadic('LPUSH', failures, bad)
    redis.call('PEXPIRE', failures, KEEP_MS)
    shorten_failures(history, failures, failed)
  end
  shorten_history(history, failures, length)
end

-- remember(recent, ids): the list over all jobs, newest first.
local function remember(recent, ids)
  if variadic('LPUSH', recent, ids) > RECENT_CAP then redis.call('LTRIM', recent, 0, RECENT_CAP - 1) end
  redis.call('PEXPIRE', recent, KEEP_MS)
end

-- shorten_logs(logs, size_key, entries, total, spare): the oldest logs make room, but for that of
-- one run.
local function shorten_logs(logs, size_key, entries, total, spare)
  while total > LOG_CAP or entries > LOGS_CAP do
    local oldest = redis.call('RPOP', logs)
    if not oldest then
      redis.call('DEL', size_key)
      return
    end
    entries = entries - 1
    local size, owner = string.match(oldest, '^(%d+) (.*)$')
    if owner ~= spare then redis.call('DEL', P .. 'log:' .. owner) end
    total = redis.call('DECRBY', size_key, size)
  end
end

-- account_log(job, id, bytes): output has a budget for each job.
local function account_log(job, id, bytes)
  local logs, size_key = P .. 'logs:' .. job, P .. 'logsize:' .. job
  redis.call('PEXPIRE', P .. 'log:' .. id, LOG_KEEP_MS)
  local entries = redis.call('LPUSH', logs, bytes .. ' ' .. id)
  redis.call('PEXPIRE', logs, KEEP_MS)
  local total = redis.call('INCRBY', size_key, bytes)
  redis.call('PEXPIRE', size_key, KEEP_MS)
  shorten_logs(logs, size_key, entries, total, id)
end
