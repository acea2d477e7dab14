# What there is to do here. `make help` lists it.

GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## a node with schedule.yaml, on a Redis of its own in memory
	go run ./cmd/carillon up

.PHONY: three
three: ## three nodes on one redis-server; Ctrl-C ends all
	@sh scripts/three.sh

.PHONY: redis
redis: ## a redis-server to play with, on PORT (6379)
	@sh scripts/redis.sh

.PHONY: build
build: ## bin/carillon: one static binary
	CGO_ENABLED=0 go build -buildvcs=auto -trimpath -ldflags '-s -w' -o bin/carillon ./cmd/carillon

.PHONY: test
test: ## go vet, every test with the race detector, the examples
	@bash scripts/test.sh

.PHONY: quick
quick: ## the tests without the race detector
	go vet ./... && go test -timeout 8m ./...

.PHONY: race
race: ## tests with the race detector, not from the cache: make race PKG=./leader
	@bash scripts/test.sh -count=1 $(or $(PKG),./...)

.PHONY: test-on
test-on: ## the tests that touch a Redis, on another one: make test-on SERVER=/path/to/valkey-server
	@sh scripts/test-on.sh "$(SERVER)"

.PHONY: leader-storm
leader-storm: ## kill -9 the leader again and again, and account for every tick
	go test ./e2e -run LeaderStorm -storm 2m -v -count=1 -timeout 10m

.PHONY: storm
storm: ## every fault there is, against real processes, for TIME (5m); docs/storm.md
	go test ./faults -run 'Storm$$' -storm $(or $(TIME),5m) -v -count=1 -timeout 24h $(STORM)

.PHONY: faults
faults: ## the faults of docs/faults.md at full length: half an hour
	go test . ./e2e -run 'TestFault|TestRedisGoesBackAMinute' -faults -v -count=1 -timeout 90m

SEEDS = 1000
SEED =

.PHONY: sim
sim: ## simulated clusters: make sim SEEDS=100000, or one of them, with its story: make sim SEED=42
	go test ./sim -run 'TestSim$$' $(if $(SEED),-seed $(SEED),-seeds $(SEEDS)) -v -count=1 -timeout 0
	$(if $(SEED),,go test ./scheduler -run TestYears -years $(SEEDS) -v -count=1 -timeout 0)

.PHONY: fuzz
fuzz: ## every fuzz target for TIME (20s)
	@sh scripts/fuzz.sh

BENCH = .

.PHONY: bench
bench: ## the benchmarks, on redis-servers of their own: make bench BENCH=Lives
	cd bench && go test -run '^$$' -bench '$(BENCH)' -benchtime 3s -timeout 60m .

.PHONY: lint
lint: ## golangci-lint; the first time it is built, which takes minutes
	go run $(GOLANGCI_LINT) run

.PHONY: fmt
fmt: ## gofmt, in place
	gofmt -l -w $$(git ls-files '*.go')

.PHONY: ci
ci: ## what CI does
	bash .ci/run
