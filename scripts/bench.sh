#!/usr/bin/env bash
# Speed and memory, each figure a ratio or a difference within one run. Nothing
# else should run meanwhile: the machine is the yardstick.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/engine.sh
scripts/packages.sh nginx-light caddy wrk iproute2

echo
echo '== a rollout beyond the unavoidable (goal: median 150 ms), readiness seen (goal: 100 ms)'
go test -run '^$' -bench 'BenchmarkRollout|BenchmarkIdleMemory' -benchtime "${BENCH_ROLLOUTS:-20}x" -timeout 20m ./test/e2e
echo
echo '== a call by name through a holder beside a direct one, memory of a holder (goal: 2 MiB), fifty services'
go test -run '^$' -bench BenchmarkInner -benchtime 1x -timeout 20m ./test/e2e
echo
echo '== readiness seen, without an Engine'
go test -run '^$' -bench BenchmarkReadySeen -benchtime 100x ./internal/probe
echo
echo '== lookup and shift with 10, 1,000 and 10,000 routes (flat)'
go test -run '^$' -bench 'BenchmarkLookup|BenchmarkShift' ./internal/proxy
echo
echo '== the proxy beside nginx (goal: 0.45 of it) and Caddy (goal: above it), and its memory'
go build -o bin/steady ./cmd/steady
go run ./test/proxybench -check -proxy-cmd "$PWD/bin/steady proxy --run-dir {} --state {}"
echo
echo '== the site that steady writes: nginx before steady beside nginx alone'
go run ./test/proxybench -front -proxy-cmd "$PWD/bin/steady proxy --run-dir {} --state {}"
