-- cancel: somebody calls a run off.
--
-- KEYS: probe, run, events, sequence
-- ARGV: prefix, run id, who, why or ""
-- Returns: {answer, status}: "canceled" (it had not started: over), "rolling_back" (it had
--       not started again, and is undone now), "asked" (its node ends it), "undoing", "final", "unknown".
-- A repeat answers how things stand.
-- Uses: common, queue, ledger, archive, run
local events = {}
local answer, status = cancel_run(ARGV[2], ARGV[3], ARGV[4], events)
publish(KEYS[3], KEYS[4], events)
return { answer, status }
