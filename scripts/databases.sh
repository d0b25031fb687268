#!/usr/bin/env bash
# Makes an image of Debian's PostgreSQL and Redis, and prints its name. It is named for
# what it is made of, so it is made once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

base=$(scripts/debian.sh databases postgresql,redis-server)
image=steady-test-databases:$(cat test/databases/Dockerfile test/databases/start.sh <(echo "$base") | sha256sum | cut -c1-12)

docker image inspect "$image" >/dev/null 2>&1 || docker build --quiet --build-arg "BASE=$base" --tag "$image" test/databases >/dev/null
echo "$image"
