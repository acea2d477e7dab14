#!/bin/sh
# The tests that touch a Redis, on another server than the one in the PATH:
# scripts/test-on.sh /path/to/redis-server [go test flags]
set -eu
cd "$(dirname "$0")/.."
. scripts/common.sh

[ $# -gt 0 ] && [ -n "$1" ] || die "which server? make test-on SERVER=/path/to/redis-server (or valkey-server)"
server=$1
shift
[ -x "$server" ] || die "$server is not a program"
"$server" --version

# Every package whose tests import redistest, so that none is forgotten.
packages=$(go list -f '{{$p := .ImportPath}}{{range .TestImports}}{{$p}} {{.}}
{{end}}{{range .XTestImports}}{{$p}} {{.}}
{{end}}' ./... | sed -n 's| carillon/internal/redistest$||p' | sort -u)

export CARILLON_REDIS_SERVER="$server"
# shellcheck disable=SC2086 # a list of words
exec go test -count=1 -p 1 -timeout 15m "$@" $packages
