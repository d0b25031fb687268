#!/usr/bin/env bash
# debian.sh NAME PACKAGES: makes an image of Debian packages (separated by commas) and
# prints its name. It is named for what it is made of, so each is made once per machine,
# in about a minute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name=$1 packages=$2
suite=bookworm
mirror=${DEBIAN_MIRROR:-} # empty: debootstrap's own
image=steady-test-$name:$suite-$(printf '%s %s' "$suite" "$packages" | sha256sum | cut -c1-12)

as_root=()
if ((EUID != 0)); then as_root=(sudo -n); fi

work=''
clean_up() { [[ -z $work ]] || "${as_root[@]}" rm -rf --one-file-system "$work"; }
trap clean_up EXIT

make_image() {
	scripts/packages.sh debootstrap debian-archive-keyring
	work=$(mktemp -d)
	echo "debian.sh: making $image, once" >&2
	# shellcheck disable=SC2086 # an empty mirror is no argument
	if ! "${as_root[@]}" env PATH="$PATH:/usr/sbin:/sbin" debootstrap --variant=minbase --include="$packages" "$suite" "$work/root" $mirror >"$work/log" 2>&1; then
		tail -n 20 "$work/log" >&2
		echo "debian.sh: error: debootstrap failed" >&2
		echo "debian.sh: hint: DEBIAN_MIRROR=URL names another mirror" >&2
		exit 1
	fi
	"${as_root[@]}" rm -rf --one-file-system "$work"/root/var/cache/apt "$work"/root/var/lib/apt/lists
	"${as_root[@]}" tar -C "$work/root" --one-file-system -c . | docker import - "$image" >&2
}

docker image inspect "$image" >/dev/null 2>&1 || make_image
echo "$image"
