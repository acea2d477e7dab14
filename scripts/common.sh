# shellcheck shell=sh
# What the scripts of this folder share. POSIX sh; sourced, not run.

# have NAME: is this program in the PATH?
have() { command -v "$1" >/dev/null 2>&1; }

say() { printf '%s\n' "$*"; }

# die WORDS: the end, with a reason.
die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# redis_server: the redis-server to use, or nothing.
redis_server() {
	if [ -n "${CARILLON_REDIS_SERVER:-}" ]; then
		say "$CARILLON_REDIS_SERVER"
	else
		command -v redis-server || true
	fi
}

# install_packages PACKAGES: get them on this machine, by Debian's names. Root (which is
# what most CI runs as) installs them; anybody else is told what to type. This
# never calls sudo: the person at the machine decides.
install_packages() {
	if [ "$(id -u)" != 0 ] || ! have apt-get; then
		die "missing here: $*. To install: $(install_line "$@")"
	fi
	say "installing $*"
	DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null >/dev/null
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" </dev/null >/dev/null
}

# install_line PACKAGES: the line to type.
install_line() {
	if have apt-get; then
		say "sudo apt-get update && sudo apt-get install -y $*"
	elif have dnf; then
		say "sudo dnf install -y $(elsewhere "$@")"
	elif have brew; then
		say "brew install $(elsewhere "$@")"
	else
		say "the package manager of this system knows how"
	fi
}

# missing_for_tests: the packages that the tests want and that are not here.
missing_for_tests() {
	[ -n "$(redis_server)" ] || say redis-server # many tests want a real one
	have cc || have gcc || have clang || say gcc libc6-dev # the race detector wants cgo
}

# elsewhere PACKAGES: what they are called outside of Debian.
elsewhere() {
	say "$*" | sed 's/redis-server/redis/; s/libc6-dev/glibc-devel/'
}
