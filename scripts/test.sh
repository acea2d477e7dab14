#!/usr/bin/env bash
# The tests, as `make test` and CI run them: installs or asks for what is
# missing, vets, and runs every test with the race detector, the examples among
# them. Arguments go to `go test` instead of all that:
# scripts/test.sh -run TestCommit ./internal/...
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/common.sh
. scripts/common.sh
# shellcheck source=scripts/beside.sh
. scripts/beside.sh

have go || die "there is no go here: install Go $(sed -n 's/^go //p' go.mod) or newer"
missing=$(missing_for_tests)
# shellcheck disable=SC2086 # a list of words
[ -z "$missing" ] || install_packages $missing
export CGO_ENABLED=1 # for the race detector

if [ $# -gt 0 ]; then
	exec go test -race -p 2 -timeout 8m "$@"
fi

say "go vet ./..."
go vet ./...
go vet -tags failpoint ./...
go build -race ./... # once, for all of the following, which begin at the same time

# Most tests wait for servers, leases and ticks, and look at the clock. What only
# computes is beside them, and takes what they leave of the processor.
computes='^carillon/(jobs|scheduler|sim|internal/(forecast|importer))$'
whole='^carillon/(e2e|examples)$'
apart='^carillon/faults$'

# shellcheck disable=SC2317 # beside calls it
computing() {
	local failed=0
	# shellcheck disable=SC2046 # a list of words
	nice go test -race -p 1 -timeout 15m $(go list ./... | grep -E "$computes") || failed=1
	nice go test -race -tags failpoint ./internal/failpoint || failed=1
	return "$failed"
}

status=0
beside computing computing
beside faults go test -race -timeout 15m ./faults # a storm of a minute
say "go test -race, package by package"
# Two test binaries at a time: many start servers and processes of their own, so more
# of them would only fight for the same cores.
# shellcheck disable=SC2046
go test -race -p 2 -timeout 8m $(go list ./... | grep -Ev "$computes|$whole|$apart") || status=1
say "go test -race, the whole: real processes, and the examples"
# shellcheck disable=SC2046
go test -race -p 2 -timeout 8m $(go list ./... | grep -E "$whole") || status=1
join || status=1
exit $status
