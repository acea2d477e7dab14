# shellcheck shell=bash
# Commands beside the script that sources this: bash, for their process groups. None of
# them is left when the script ends, however it ends.

beside_logs="" # a folder, from the first command on
beside_lanes="" # GROUP:NAME each

# beside NAME COMMAND...: begins a command. What it says is kept for join.
beside() {
	local name=$1
	shift
	[ -n "$beside_logs" ] || beside_logs=$(mktemp -d)
	# In a process group of its own, to end it with all that it started.
	set -m
	"$@" >"$beside_logs/$name" 2>&1 </dev/null &
	beside_lanes="$beside_lanes $!:$name"
	set +m
}

# join: waits for all of them, says what they said, and fails if one of them failed.
join() {
	local lane failed=0
	for lane in $beside_lanes; do
		wait "${lane%%:*}" || failed=1
		cat "$beside_logs/${lane#*:}"
	done
	beside_lanes=""
	return "$failed"
}

# beside_end: kills what still runs.
beside_end() {
	local lane
	for lane in $beside_lanes; do
		kill -KILL -- "-${lane%%:*}" 2>/dev/null || true # it may have ended
	done
	[ -z "$beside_logs" ] || rm -rf "$beside_logs"
}
trap beside_end EXIT
