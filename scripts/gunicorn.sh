#!/usr/bin/env bash
# Makes the guide's own API server, Gunicorn with Uvicorn workers, of Debian's
# packages, and prints the image's name. It is named for what it is made of, so it is
# made once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

base=$(scripts/debian.sh python gunicorn,python3-uvicorn,python3-fastapi,ca-certificates)
image=steady-test-gunicorn:$(cat test/gunicorn/Dockerfile test/gunicorn/main.py <(echo "$base") | sha256sum | cut -c1-12)

docker image inspect "$image" >/dev/null 2>&1 || docker build --quiet --build-arg "BASE=$base" --tag "$image" test/gunicorn >/dev/null
echo "$image"
