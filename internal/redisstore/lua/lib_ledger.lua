-- lib_ledger: what became of every tick, newest first.
--
-- An entry is "tick-ms outcome" for a tick that became a run (the run's id
-- follows from it), else "tick-ms outcome until-ms count run reason" with "-"
-- for no run; count 0 means the range was not enumerated.

local LEDGER_CAP = 2000 -- entries kept for each job
local LEDGER_KEEP_MS = 7776000000 -- 90 days after the last entry

local function ledger_range(tick, outcome, until_, count, run, reason)
  return tick .. ' ' .. outcome .. ' ' .. until_ .. ' ' .. count .. ' ' .. run .. ' ' .. reason
end

-- merged(old, new): one entry for two neighbours that met the same fate, or nil. A tick that
-- ran keeps its own: a backfill asks for it.
local function merged(old, new)
  local tick, outcome, _, count, fate = string.match(old, '^(%d+) (%a+) (%d+) (%d+) (.*)$')
  if not tick or count == '0' or outcome == 'ran' or outcome == 'late' then return nil end
  local _, outcome2, until2, count2, fate2 = string.match(new, '^(%d+) (%a+) (%d+) (%d+) (.*)$')
  if outcome ~= outcome2 or fate ~= fate2 or count2 == '0' then return nil end
  return tick .. ' ' .. outcome .. ' ' .. until2 .. ' ' .. (tonumber(count) + tonumber(count2)) .. ' ' .. fate
end

-- record(job, entries): appends entries, the oldest first.
local function record(job, entries)
  local key = P .. 'ledger:' .. job
  local first = 1
  if string.find(entries[1], '^%d+ %a+ ') then
    local head = redis.call('LINDEX', key, 0)
    local one = head and merged(head, entries[1])
    if one then
      redis.call('LSET', key, 0, one)
      first = 2
    end
  end
  local list = {}
  for i = first, #entries do
    local one = #list > 0 and string.find(entries[i], '^%d+ %a+ ') and merged(list[#list], entries[i])
    if one then list[#list] = one else list[#list + 1] = entries[i] end
  end
  if #list > 0 then
    if variadic('LPUSH', key, list) > LEDGER_CAP then redis.call('LTRIM', key, 0, LEDGER_CAP - 1) end
  end
  redis.call('PEXPIRE', key, LEDGER_KEEP_MS)
end
