# What the run.sh of the examples share: a binary, nodes on an embedded server, and
# commands whose output is shown and checked. Sourced by a script that has set
# $example and stands in its folder. CARILLON names a binary to use instead of
# building one.

dir=$(mktemp -d)
nodes=
address=
out=
cleanup() {
	for pid in $nodes; do kill -KILL "$pid" 2>/dev/null || true; done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
	printf '%s: %s\n' "$example" "$*" >&2
	for log in "$dir"/*.log; do
		[ ! -s "$log" ] || sed "s/^/  $(basename "$log" .log) | /" "$log" >&2
	done
	exit 1
}

# Nothing of the caller's own settings may lead these jobs to a real Redis.
unset CARILLON_REDIS CARILLON_LOCK_REDIS CARILLON_NAMESPACE CARILLON_FILE CARILLON_ZONEINFO
carillon=${CARILLON:-$dir/carillon}
[ -n "${CARILLON:-}" ] || go build -o "$carillon" ../../cmd/carillon

# The jobs write below $TMPDIR, which is one of the few variables that a command gets.
export TMPDIR="$dir"

# up NAME [FLAGS]: a node. The first one serves the embedded Redis on a free port, the
# others join it.
up() {
	name=$1
	shift
	: >"$dir/$name.log" # it is read below before the node may have been started
	"$carillon" up --node "$name" --embedded "${address:-127.0.0.1:0}" --dev "$@" >"$dir/$name.log" 2>&1 </dev/null &
	pid=$!
	nodes="$nodes $pid"
	until grep -q 'is up$' "$dir/$name.log"; do
		kill -0 "$pid" 2>/dev/null || fail "node $name did not start"
		sleep 0.1
	done
	until [ -n "$address" ]; do
		address=$(sed -n 's/^  redis  *\(127\.0\.0\.1:[0-9]*\) .*/\1/p' "$dir/$name.log")
		sleep 0.1
	done
}

# ask WORDS: the output of a command, not shown.
ask() { "$carillon" "$@" --embedded "$address" 2>/dev/null; }

# show CODE WORDS: what a person would type, what comes back (kept in $out, what it says
# on stderr included), and the exit code that it has to end with.
show() {
	want=$1
	shift
	printf '\n$ carillon %s\n' "$*"
	status=0
	out=$("$carillon" "$@" --embedded "$address" 2>&1) || status=$?
	printf '%s\n' "$out"
	[ "$status" = "$want" ] || fail "carillon $* ended with exit code $status, not $want"
}

# expect TEXT: the last command must have said so. refute TEXT: and not that.
expect() {
	case $out in
	*"$1"*) ;;
	*) fail "expected \"$1\" in the output above" ;;
	esac
}
refute() {
	case $out in
	*"$1"*) fail "did not expect \"$1\" in the output above" ;;
	esac
}

# await WHAT WORDS: repeats a command until it prints something, for ten seconds.
await() {
	what=$1
	shift
	tries=0
	until [ -n "$(ask "$@")" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 50 ] || fail "$what: still not so after ten seconds"
		sleep 0.2
	done
}

# newest JOB: the id of the newest run of a job.
newest() { ask runs --job "$1" --limit 1 --no-headers | awk '{print $1}'; }

# the_end: all nodes hand over and end.
the_end() {
	for pid in $nodes; do kill -TERM "$pid"; done
	for pid in $nodes; do
		status=0
		wait "$pid" || status=$?
		[ "$status" = 0 ] || fail "a node ended with exit code $status"
	done
	nodes=
	printf '\n%s: all as the README says\n' "$example"
}
