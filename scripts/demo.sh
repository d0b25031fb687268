#!/usr/bin/env bash
# The main job, start to end: deploys the reference stack, fires five loads at it,
# deploys the whole stack anew meanwhile, shows what the clients saw and the receipt,
# cleans up. What stays is the receipt as a page, bin/receipt.html.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rate=${DEMO_RATE:-300}
seconds=${DEMO_SECONDS:-25}
API_PORT=${API_PORT:-18000}
REPORT_PORT=${REPORT_PORT:-18002}
export API_PORT REPORT_PORT

say() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }
[[ -t 2 && -z ${NO_COLOR-} ]] || say() { printf '\n%s\n' "$*" >&2; }

say "1/6 a Docker Engine"
scripts/engine.sh

say "2/6 the binary, the load, the stack's images"
mkdir -p bin
go build -o bin/steady ./cmd/steady
go build -o bin/rig ./test/rig
examples/gesalp/build.sh v1
examples/gesalp/build.sh v2

work=$(mktemp -d)
stack=$work/gesalp
mkdir "$stack"
cp examples/gesalp/docker-compose.prod.yml examples/gesalp/Dockerfile "$stack"
cp examples/gesalp/ENV_TEMPLATE.txt "$stack/.env"
export STEADY_SOCKET=$work/steady.sock COMPOSE_FILE=$stack/docker-compose.prod.yml COMPOSE_PROJECT_NAME=steady-demo
PATH=$PWD/bin:$PATH
daemon=''

clean_up() {
	local status=$?
	say "6/6 cleaning up"
	local proxy
	proxy=$(steady version --json 2>/dev/null | sed -n 's/.*"proxy": *\([0-9][0-9]*\).*/\1/p')
	steady down --volumes >/dev/null 2>&1 || true
	[[ -z $daemon ]] || { kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null || true; }
	[[ -z $proxy || $proxy == 0 ]] || kill "$proxy" 2>/dev/null || true
	if ((status)); then echo "the daemon's log: $work/daemon.log" >&2; else rm -rf "$work"; fi
	exit "$status"
}
trap clean_up EXIT

steady daemon --state "$work/state" --run-dir "$work/run" --socket "$STEADY_SOCKET" 2>"$work/daemon.log" &
daemon=$!
for _ in $(seq 200); do
	[[ $(steady version --json 2>/dev/null) == *'"proxy":'[1-9]* ]] && break
	kill -0 "$daemon" 2>/dev/null || { cat "$work/daemon.log" >&2; exit 1; }
	sleep 0.05
done

say "3/6 GESALP_TAG=v1 steady deploy all"
GESALP_TAG=v1 GESALP_RELEASE=1 steady deploy all -y

say "4/6 $rate requests/s for $seconds s, and meanwhile: GESALP_TAG=v2 steady deploy all"
rig -url "http://127.0.0.1:$API_PORT" -rate "$rate" -duration "${seconds}s" >"$work/load.txt" &
load=$!
sleep 3
GESALP_TAG=v2 GESALP_RELEASE=2 steady deploy all -y

say "5/6 what the clients saw; then steady status, steady receipt"
lost=0
wait "$load" || lost=1
cat "$work/load.txt"
echo
steady status
echo
steady receipt
echo
steady receipt --html bin/receipt.html
exit "$lost"
