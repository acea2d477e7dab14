#!/bin/sh
# Walks through the README.md beside this file and checks what it says.
set -eu
cd "$(dirname "$0")"
example=retries
. ../lib.sh

up one

show 0 trigger busy
expect "attempt 2: busy"
expect "attempt 3: done"
expect "(attempt 3)"

show 6 trigger wrong
expect "exit status 2"
refute "attempt 2"

show 0 trigger slow
expect "quick enough"
expect "(attempt 2)"

show 0 trigger transfer
expect "cannot load"
expect "fetched, in attempt 1"
refute "fetched, in attempt 2"
expect "loaded, in attempt 2"

# What failed for good can be started again, as a new run.
show 6 retry "$(newest wrong)"
expect "no such table"
show 0 runs --job wrong
[ "$(ask runs --job wrong --no-headers | wc -l)" -eq 2 ] || fail "two runs of wrong were expected"

the_end
