#!/bin/sh
# Three nodes on one Redis, in one terminal: a redis-server on a free port and
# the nodes a, b and c with their names before each line. Ctrl-C ends it all.
# Kill a node from another terminal to see the others take over; its process id
# is in its first line. Arguments go to each `carillon up`.
set -eu
cd "$(dirname "$0")/.."
. scripts/common.sh

server=$(redis_server)
[ -n "$server" ] || die "there is no redis-server here. To install it: $(install_line redis-server)"

dir=$(mktemp -d)
redis='' nodes='' readers=''

# cleanup ends the nodes first: they want to say goodbye to a Redis that is there.
cleanup() {
	trap '' INT TERM
	for pid in $nodes; do kill -TERM "$pid" 2>/dev/null || true; done
	for pid in $nodes $readers; do wait "$pid" 2>/dev/null || true; done
	[ -z "$redis" ] || kill -KILL "$redis" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Every child gets a process group of its own where the shell can do that, so
# that Ctrl-C reaches this script alone and the order above holds.
set -m 2>/dev/null || true

# start_redis PORT: is there a redis-server on that port now, and is it ours?
start_redis() {
	"$server" --bind 127.0.0.1 --port "$1" --save '' --appendonly no --dir "$dir" >"$dir/redis.log" 2>&1 </dev/null &
	redis=$!
	while kill -0 "$redis" 2>/dev/null; do
		if grep -q 'Ready to accept connections' "$dir/redis.log"; then
			return 0
		fi
		sleep 0.1
	done
	redis=''
	return 1
}

port=6400
until start_redis "$port"; do
	port=$((port + 1))
	[ "$port" -lt 6420 ] || die "no redis-server starts: $(cat "$dir/redis.log")"
done
url=redis://127.0.0.1:$port/0
say "redis-server: $url, process $redis"

go build -o "$dir/carillon" ./cmd/carillon
for name in a b c; do
	mkfifo "$dir/$name"
	while IFS= read -r line; do printf '%s | %s\n' "$name" "$line"; done <"$dir/$name" &
	readers="$readers $!"
	"$dir/carillon" up --redis "$url" --node "$name" "$@" >"$dir/$name" 2>&1 </dev/null &
	nodes="$nodes $!"
	say "$name | process $!"
done
for pid in $nodes; do wait "$pid" || true; done
