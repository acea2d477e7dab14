#!/bin/sh
# The tests, as `make test` and CI run them: installs or asks for what is
# missing, vets, and runs every test with the race detector, the examples among
# them. Arguments go to `go test`: scripts/test.sh -run TestCommit ./internal/...
set -eu
cd "$(dirname "$0")/.."
. scripts/common.sh

have go || die "there is no go here: install Go $(sed -n 's/^go //p' go.mod) or newer"

missing=
[ -n "$(redis_server)" ] || missing=redis-server # many tests want a real one
have cc || have gcc || have clang || missing="$missing gcc libc6-dev" # the race detector wants cgo
# shellcheck disable=SC2086 # a list of words
[ -z "$missing" ] || install $missing

say "go vet ./..."
go vet ./...

# Two test binaries at a time: many of them start servers and processes of their
# own and look at the clock, so more would only fight for the same cores.
[ $# -gt 0 ] || set -- ./...
say "go test -race $*"
CGO_ENABLED=1 exec go test -race -p 2 -timeout 8m "$@"
