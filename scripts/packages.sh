#!/usr/bin/env bash
# Makes sure that Debian packages are there: scripts/packages.sh NAME...
# Installs what is missing, as root or with sudo; else says what to do.
set -euo pipefail

missing=()
for p in "$@"; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then as_root=(sudo -n); fi
log=$(mktemp)
# shellcheck disable=SC2016 # "$@" belongs to the inner shell
if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get -qq update && apt-get -qq install -y --no-install-recommends "$@"' sh "${missing[@]}" >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "packages.sh: error: ${missing[*]} could not be installed, log in $log" >&2
	echo "packages.sh: hint: install ${missing[*]}, then run this again" >&2
	exit 1
fi
rm -f "$log"
