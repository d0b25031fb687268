# Two commands for a newcomer: make demo, make test. Each sets up all it needs.

GO ?= go
export GOFLAGS ?= -trimpath
# A process with the race detector sleeps a second before it exits, and the tests start hundreds.
export GORACE ?= atexit_sleep_ms=50
BIN := bin/steady

.PHONY: help build install demo test check unit machine packages e2e bench corpus soak lint setup clean

help: ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## the binary, bin/steady
	$(GO) build -o $(BIN) ./cmd/steady

install: build ## the binary, to /usr/local/bin
	install -m 0755 $(BIN) /usr/local/bin/steady

demo: ## deploy the reference stack twice under load and show the receipt
	@scripts/demo.sh

test: check ## everything that CI runs

# Two and two side by side: the linters compute while the tests of containers wait, and
# test/e2e waits most of its time. What one of them says comes in one piece, at its end;
# each fails the run. What uses the Engine or the machine's own nat table does not run
# beside test/e2e, which does.
SIDE_BY_SIDE = $(MAKE) --no-print-directory --jobs=2 --output-sync=line

check: setup
	@echo 'side by side: lint, and the packages that use the Engine or the nat table'
	@$(SIDE_BY_SIDE) lint machine
	@echo 'side by side: all other packages, and test/e2e'
	@$(SIDE_BY_SIDE) packages e2e

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

ALL = $$($(GO) list ./... | grep -v /test/e2e)
OF_MACHINE = /(internal/(compose|daemon|docker|listen)|test/(collector|control|corpus|doctor))$$$$
# vet is lint's, and not done once more here.
TEST = $(GO) test -race -shuffle=on -count=1 -vet=off

unit: ## the tests that need neither root nor an Engine, nginx or Chromium
	$(GO) test -short -race -shuffle=on -count=1 -parallel $(PARALLEL) -timeout 10m $(ALL)
	cd examples/gesalp && $(GO) test -short -race -shuffle=on -count=1 -timeout 5m ./...

machine: # the tests, also those that need root, of the packages that use the Engine or the machine's nat table
	$(TEST) -parallel $(PARALLEL) -timeout 20m $$($(GO) list ./... | grep -E '$(OF_MACHINE)')

packages: # those of all others
	$(TEST) -parallel $(PARALLEL) -timeout 20m $$($(GO) list ./... | grep -v /test/e2e | grep -vE '$(OF_MACHINE)')
	cd examples/gesalp && $(TEST) -timeout 5m ./...

e2e:
	$(TEST) -timeout 60m ./test/e2e

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
