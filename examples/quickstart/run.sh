#!/bin/sh
# Walks through the README.md beside this file and checks what it says: starts
# a node, waits for two ticks, triggers jobs, looks at what became of them, and
# stops the node. Needs Go and nothing else; takes some ten seconds.
# CARILLON names a binary to use instead of building one.
set -eu
cd "$(dirname "$0")"

dir=$(mktemp -d)
node=
cleanup() {
	[ -z "$node" ] || kill -KILL "$node" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
	printf 'quickstart: %s\n' "$*" >&2
	[ ! -s "$dir/up.log" ] || sed 's/^/  node | /' "$dir/up.log" >&2
	exit 1
}

# show WORDS: what a person would type, and what comes back (kept in $out).
show() {
	printf '\n$ carillon %s\n' "$*"
	out=$("$carillon" "$@" 2>"$dir/stderr") || {
		status=$?
		cat "$dir/stderr" >&2
		fail "carillon $* ended with exit code $status"
	}
	printf '%s\n' "$out"
}

# expect TEXT: the last command must have said so.
expect() {
	case $out in
	*"$1"*) ;;
	*) fail "expected \"$1\" in the output above" ;;
	esac
}

# Nothing of the caller's own settings may lead these jobs to a real Redis.
unset CARILLON_REDIS CARILLON_LOCK_REDIS CARILLON_NAMESPACE CARILLON_FILE CARILLON_ZONEINFO
carillon=${CARILLON:-$dir/carillon}
[ -n "${CARILLON:-}" ] || go build -o "$carillon" ../../cmd/carillon

show validate

: >"$dir/up.log" # it is read below before the node may have been started
# Port 0 is any free one, so that this can run beside a node on the usual port.
"$carillon" up --node quickstart --embedded 127.0.0.1:0 --dev >"$dir/up.log" 2>&1 </dev/null &
node=$!
address=
until [ -n "$address" ]; do
	kill -0 "$node" 2>/dev/null || fail "the node did not start"
	address=$(sed -n 's/^  redis  *\(127\.0\.0\.1:[0-9]*\) .*/\1/p' "$dir/up.log")
	sleep 0.1
done

show next clock --count 2
show trigger greet --param name=Ada --embedded "$address"
expect "Hello, Ada!"
show trigger flaky --embedded "$address"
expect "better luck at attempt 2"

tries=0
until [ "$("$carillon" runs --job clock --status succeeded --no-headers --embedded "$address" 2>/dev/null | wc -l)" -ge 2 ]; do
	tries=$((tries + 1))
	[ "$tries" -lt 150 ] || fail "the clock has not run twice"
	sleep 0.2
done
show runs --embedded "$address"
expect "clock@"
expect "greet@manual-"
show ledger clock --embedded "$address"
expect "ran"
show nodes --embedded "$address"
expect "quickstart"

kill -TERM "$node"
status=0
wait "$node" || status=$?
node=
[ "$status" = 0 ] || fail "the node ended with exit code $status"
printf '\nquickstart: all as the README says\n'
