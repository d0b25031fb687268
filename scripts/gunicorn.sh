#!/usr/bin/env bash
# Makes the guide's own API server, Gunicorn with Uvicorn workers, of Debian's
# packages, and prints the image's name. Both images are named for what they are
# made of, so each is made once per machine: the base takes about a minute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

suite=bookworm
packages=gunicorn,python3-uvicorn,python3-fastapi,ca-certificates
mirror=${DEBIAN_MIRROR:-} # empty: debootstrap's own

hash() { sha256sum | cut -c1-12; }
base=steady-test-python:$suite-$(printf '%s %s' "$suite" "$packages" | hash)
image=steady-test-gunicorn:$(cat test/gunicorn/Dockerfile test/gunicorn/main.py <(echo "$base") | hash)

there() { docker image inspect "$1" >/dev/null 2>&1; }

as_root=()
if ((EUID != 0)); then as_root=(sudo -n); fi

work=''
clean_up() { [[ -z $work ]] || "${as_root[@]}" rm -rf --one-file-system "$work"; }
trap clean_up EXIT

make_base() {
	scripts/packages.sh debootstrap debian-archive-keyring
	work=$(mktemp -d)
	echo "gunicorn.sh: making $base, once" >&2
	# shellcheck disable=SC2086 # an empty mirror is no argument
	if ! "${as_root[@]}" env PATH="$PATH:/usr/sbin:/sbin" debootstrap --variant=minbase --include="$packages" "$suite" "$work/root" $mirror >"$work/log" 2>&1; then
		tail -n 20 "$work/log" >&2
		echo "gunicorn.sh: error: debootstrap failed" >&2
		echo "gunicorn.sh: hint: DEBIAN_MIRROR=URL names another mirror" >&2
		exit 1
	fi
	"${as_root[@]}" rm -rf --one-file-system "$work"/root/var/cache/apt "$work"/root/var/lib/apt/lists
	"${as_root[@]}" tar -C "$work/root" --one-file-system -c . | docker import - "$base" >&2
}

there "$base" || make_base
there "$image" || docker build --quiet --build-arg "BASE=$base" --tag "$image" test/gunicorn >/dev/null
echo "$image"
