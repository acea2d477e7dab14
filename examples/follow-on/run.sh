#!/bin/sh
# Walks through the README.md beside this file and checks what it says.
set -eu
cd "$(dirname "$0")"
example=follow-on
. ../lib.sh

up one

# One that succeeds: report, then publish; and tidy.
show 0 trigger backup
run=$(newest backup)
await "publish has run" runs --job publish --status succeeded --no-headers
await "tidy has run" runs --job tidy --status succeeded --no-headers
show 0 logs "report@after-$run"
expect "the report on $run"
show 0 logs "publish@after-report@after-$run"
expect "published, from report"
show 0 logs "tidy@after-$run"
expect "backup succeeded"
[ -z "$(ask runs --job alarm --no-headers)" ] || fail "there was no reason for an alarm"

# One that fails: alarm; and tidy.
show 6 trigger backup --param broken=true
run=$(newest backup)
await "alarm has run" runs --job alarm --status succeeded --no-headers
show 0 logs "alarm@after-$run"
expect "alarm, backup failed (exit status 1)"
[ "$(ask runs --job report --no-headers | wc -l)" -eq 1 ] || fail "there was nothing to report on"

# A follow-on job can be paused like any other.
show 0 pause report --note "nobody reads it in August"
show 0 trigger backup
run=$(newest backup)
await "the ledger says so" ledger report --no-headers
show 0 ledger report
expect "paused (after $run)"

show 0 runs
the_end
