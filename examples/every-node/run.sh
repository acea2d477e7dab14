#!/bin/sh
# Walks through the README.md beside this file and checks what it says.
set -eu
cd "$(dirname "$0")"
example=every-node
. ../lib.sh

up paris --label zone=eu
up berlin --label zone=eu
up boston --label zone=us
show 0 nodes
expect "zone=us"

show 0 trigger roll-call
expect "paris is here"
expect "berlin is here"
expect "boston is here"
show 0 runs --job roll-call
expect "@boston"

show 0 trigger rotate
expect "of paris"
expect "of berlin"
refute "boston"

show 0 trigger archive
expect "archived by"
refute "boston"

# Nobody has what it asks for: it waits, and says so.
show 0 trigger train --detach
run=$out
show 0 run "$run"
expect "queued"
up oslo --pool gpu
await "oslo has taken it" runs --job train --status succeeded --no-headers
show 0 logs "$run"
expect "trained by oslo"

the_end
