VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help
help: ## print these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: check
check: ## what CI runs: everything that must hold before a change is merged
	bash .ci/run

.PHONY: build
build: ## build the static binary ./docspace-nats
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.release=$(VERSION)" -o docspace-nats ./cmd/docspace-nats

.PHONY: image
image: ## build the container image docspace-nats:$(VERSION)
	docker build --build-arg VERSION=$(VERSION) -t docspace-nats:$(VERSION) .

.PHONY: test
test: ## run all tests with the race detector
	go test -race ./...

.PHONY: contract
contract: ## hold the event contract against ajv, the AsyncAPI parser and the CloudEvents SDKs; needs Node.js
	bash schema/testdata/contract/run

.PHONY: release-contract
release-contract: ## keep the version of the event contract in work as released, for ever
	go test ./schema -run TestReleaseTheContract -count=1 -release

CHAOS ?= 10m
MODE ?= atomic
SEED ?= 0

.PHONY: chaos
chaos: ## break a cluster and its connectors for CHAOS=10m, with MODE=atomic or dedup, as SEED says
	go test ./cmd/docspace-nats -run TestChaos -v -timeout 0 -chaos $(CHAOS) -chaos-mode $(MODE) -chaos-seed $(SEED)

SIEM ?= 100000

.PHONY: siem
siem: ## send SIEM=100000 rows through Bento, rsyslog, Telegraf and nats.js; as root it installs rsyslog and logrotate where they are missing
	@if command -v dpkg >/dev/null && ! dpkg -s rsyslog rsyslog-relp logrotate >/dev/null 2>&1; then \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends rsyslog rsyslog-relp logrotate; fi
	go test ./cmd/docspace-nats -run TestSIEM -v -timeout 0 -siem $(SIEM) -siem-seed $(SEED)

.PHONY: demo
demo: ## simulated portal, embedded NATS and the connector in one process
	go run ./cmd/docspace-nats demo

.PHONY: consumers
consumers: ## run the examples for consumers with nats, Go and Node.js; needs Node.js
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
		cp deploy/consume/package.json deploy/consume/package-lock.json "$$dir" && npm ci --prefix "$$dir" --no-audit --no-fund && \
		GOBIN="$$dir" go install github.com/nats-io/natscli/nats@v0.4.0 && \
		go test ./cmd/docspace-nats -run ExamplesForConsumers -consumers "$$dir"

.PHONY: bench
bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: generate
generate: ## rewrite generated code, the schemas and the README table
	go generate ./...
	go test ./cmd/docspace-nats -run 'TestTheReadme' -update

.PHONY: lint
lint: ## format, vet and staticcheck
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	go vet ./...
	go tool staticcheck ./...
