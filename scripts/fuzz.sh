#!/bin/sh
# Every fuzz target of the module for a while each: TIME=1m scripts/fuzz.sh.
# What a target finds lands in its testdata/fuzz and is run by `go test` from
# then on.
set -eu
cd "$(dirname "$0")/.."
. scripts/common.sh

for pkg in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...); do
	for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
		say "$pkg $target, ${TIME:-20s}"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${TIME:-20s}" "$pkg"
	done
done
