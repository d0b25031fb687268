# Two commands for a newcomer: make demo, make test. Each sets up all it needs.

GO ?= go
export GOFLAGS ?= -trimpath
# A process with the race detector sleeps a second before it exits, and the tests start hundreds.
export GORACE ?= atexit_sleep_ms=50
BIN := bin/steady

.PHONY: help build install demo test check unit packages e2e bench corpus soak lint setup clean

help: ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## the binary, bin/steady
	$(GO) build -o $(BIN) ./cmd/steady

install: build ## the binary, to /usr/local/bin
	install -m 0755 $(BIN) /usr/local/bin/steady

demo: ## deploy the reference stack twice under load and show the receipt
	@scripts/demo.sh

test: check ## everything that CI runs

check: setup lint packages e2e

setup:
	@scripts/engine.sh
	@scripts/packages.sh iproute2 iptables nginx busybox-static chromium
	@scripts/gunicorn.sh >/dev/null
	@scripts/databases.sh >/dev/null

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'run gofmt -w on these'; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	cd examples/gesalp && $(GO) vet ./...
	cd test/inner/client && $(GO) vet ./...

# Tests mostly wait, for clocks and for one another: more of one package run at a time than
# there are cores. Those that bear no company have no t.Parallel.
export PARALLEL ?= 8

PACKAGES = $$($(GO) list ./... | grep -v /test/e2e)

unit: ## the tests that need neither root nor an Engine, nginx or Chromium
	$(GO) test -short -race -shuffle=on -count=1 -parallel $(PARALLEL) -timeout 10m $(PACKAGES)
	cd examples/gesalp && $(GO) test -short -race -shuffle=on -count=1 -timeout 5m ./...

packages: # unit's tests and those of the same packages that need root, an Engine or nginx
	$(GO) test -race -shuffle=on -count=1 -parallel $(PARALLEL) -timeout 20m $(PACKAGES)
	cd examples/gesalp && $(GO) test -race -shuffle=on -count=1 -timeout 5m ./...

e2e:
	$(GO) test -race -shuffle=on -count=1 -timeout 60m ./test/e2e

bench: ## speed and memory, as ratios against peers in the same run
	@scripts/bench.sh

corpus: setup ## eight projects, container by container, beside what docker compose makes of them
	STEADY_E2E_CORPUS=all $(GO) test -race -count=1 -timeout 20m -run Corpus ./test/e2e ./test/corpus ./internal/check

CASES ?= 200000
soak: ## any plan with any failure, and the rollouts under load, many times over
	$(GO) test -race -count=1 -timeout 2h -run 'Plan_|Undo_' ./internal/plan -rapid.checks=$(CASES)
	$(GO) test -race -count=1 -timeout 2h -run HoweverItFails ./internal/rollout -rapid.checks=$(CASES)
	STEADY_E2E_ROLLOUTS=300 $(GO) test -race -count=1 -timeout 12h -run "UnderLoad|Lose|Hooks_|Quiet_" ./test/e2e

clean:
	rm -rf bin .build examples/gesalp/bin
