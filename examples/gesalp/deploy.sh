#!/usr/bin/env bash
# The guide's deploy script, on steady.
#
#   ./deploy.sh all                     all services
#   ./deploy.sh api                     one, or several; nothing else is touched
#   ./deploy.sh api --dry-run           any flag of `steady deploy` may follow
#
# Images are built first. The exit status is steady's: 0 deployed, 3 not deployed
# and the old release serves, 10 no daemon answers; `steady deploy --help` has all.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

if (($# == 0)); then
	echo "usage: ./deploy.sh all | SERVICE..." >&2
	exit 2
fi
if ! command -v steady >/dev/null; then
	echo "deploy.sh: error: steady is not installed on this machine, or not in PATH" >&2
	echo "deploy.sh: hint: make build && sudo install -m 0755 bin/steady /usr/local/bin, then sudo steady daemon" >&2
	exit 127
fi

export COMPOSE_FILE=${COMPOSE_FILE:-docker-compose.prod.yml}
exec steady deploy --build "$@"
