#!/bin/sh
# Walks through the README.md beside this file and checks what it says.
set -eu
cd "$(dirname "$0")"
example=rollback
. ../lib.sh

state="$dir/carillon-rollback"
up one

# All goes well: nothing is undone.
show 0 trigger release
expect "succeeded"
[ -e "$state/balancer" ] && [ -e "$state/schema" ] || fail "the steps have left nothing"
rm -f "$state"/*

# The last step fails: what was done is undone, the last step first.
show 6 trigger release --param broken=true
expect "undoing, because verify failed"
expect "rolled back: step \"verify\": exit status 1"
[ ! -e "$state/balancer" ] && [ ! -e "$state/schema" ] || fail "something was not undone"
show 0 run "$(newest release)"
expect "rolled_back"

# An undo fails, and is mended by hand.
: >"$state/locked"
show 6 trigger release --param broken=true
expect "the schema is locked"
expect "rollback failed"
expect "migrate, drain"
[ -e "$state/schema" ] || fail "the schema is gone"
rm "$state/locked"
show 0 rollback "$(newest release)"
expect "rolled back"
[ ! -e "$state/balancer" ] && [ ! -e "$state/schema" ] || fail "something was not undone"

# Somebody calls a run off that hangs.
show 0 trigger release --param slow=true --detach
run=$out
tries=0
until [ -e "$state/schema" ]; do
	tries=$((tries + 1))
	[ "$tries" -lt 50 ] || fail "the run does not come to its second step"
	sleep 0.1
done
show 0 cancel "$run" --reason "wrong branch"
expect "wrong branch"
expect "rolled back"
[ ! -e "$state/balancer" ] && [ ! -e "$state/schema" ] || fail "something was not undone"

the_end
