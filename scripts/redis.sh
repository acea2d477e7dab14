#!/bin/sh
# A redis-server to play with, in the foreground, that keeps nothing on disk.
# Another port than Redis's own: PORT=6380 make redis.
set -eu
cd "$(dirname "$0")/.."
. scripts/common.sh

server=$(redis_server)
[ -n "$server" ] || die "there is no redis-server here. To install it: $(install_line redis-server)"

port=${PORT:-6379}
say "In other terminals, as often as you like:"
say "    go run ./cmd/carillon up --redis redis://127.0.0.1:$port/0"
exec "$server" --bind 127.0.0.1 --port "$port" --save '' --appendonly no
