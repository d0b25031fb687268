#!/usr/bin/env bash
# Makes sure of a Docker Engine and says on stdout which one it is.
#
#   scripts/engine.sh
#
# One that answers is used as it is. On Debian and Ubuntu, as root or with sudo,
# a missing one is installed, and one that does not run is started: by systemd
# where that is PID 1, else by hand. Nothing is ever stopped. Safe to run again.
#
#   DOCKER_HOST      asked first, as by docker itself. One that is no local
#                    socket can be asked, not started.
#   ENGINE_STATE     directory for the log of an Engine started by hand
#                    (/var/lib/steady-engine)
#   ENGINE_PIDFILE   its PID file, by which dockerd itself refuses to run twice
#                    (/var/run/docker.pid)
#   ENGINE_WAIT      seconds to wait for it to answer (60)
#   DOCKERD_FLAGS    more flags for it, split at spaces. A second Engine on one
#                    machine wants a network namespace of its own: it would take
#                    the first one's docker0, --bridge none even removes it.
set -euo pipefail

default=unix:///var/run/docker.sock
host=${DOCKER_HOST:-$default}
state=${ENGINE_STATE:-/var/lib/steady-engine}
pidfile=${ENGINE_PIDFILE:-/var/run/docker.pid}
wait=${ENGINE_WAIT:-60}
PATH=$PATH:/usr/sbin:/sbin # where Debian keeps dockerd; not in every user's PATH

say() { printf '%s\n' "$*" >&2; }

die() {
	say "engine.sh: error: $1"
	say "engine.sh: hint: $2"
	exit 1
}

# version prints the Engine's version, or fails: the client alone exits 0 even
# where no Engine answers, so it is the answer that counts.
version() {
	command -v docker >/dev/null || return 1
	local v
	v=$(timeout 10 docker info --format '{{.ServerVersion}}' 2>/dev/null) && [[ -n $v ]] && printf '%s' "$v"
}

# report ends the script when an Engine answers.
report() {
	local v
	v=$(version) || return 0
	echo "Docker Engine $v, $1"
	exit 0
}

# root runs a command as root.
root() {
	if ((EUID == 0)); then
		"$@"
	else
		sudo -n "$@"
	fi
}

debian() {
	[[ -r /etc/os-release ]] && (
		# shellcheck source=/dev/null
		. /etc/os-release
		[[ " ${ID-} ${ID_LIKE-} " == *" debian "* || " ${ID-} ${ID_LIKE-} " == *" ubuntu "* ]]
	)
}

may_be_root() { ((EUID == 0)) || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }; }

systemd() { [[ $(cat /proc/1/comm) == systemd ]]; }

install_engine() {
	command -v dockerd >/dev/null && command -v docker >/dev/null && command -v iptables >/dev/null && return
	say "engine.sh: installing docker.io"
	local log
	log=$(mktemp)
	# Debian starts the service by itself where systemd runs.
	if ! root env DEBIAN_FRONTEND=noninteractive sh -c '
		apt-get -qq update &&
		apt-get -qq install -y --no-install-recommends docker.io iptables' >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		die "docker.io could not be installed, log in $log" "install Docker Engine yourself, then run this again"
	fi
	rm -f "$log"
}

# alive says whether the dockerd of the PID file runs: it may still be starting.
alive() {
	local pid
	pid=$(root cat "$pidfile" 2>/dev/null) || return 1
	[[ -n $pid && $(cat "/proc/$pid/comm" 2>/dev/null) == dockerd ]]
}

start_by_hand() {
	alive && return
	# shellcheck disable=SC2206 # to be split
	local flags=(--host "$host" --pidfile "$pidfile" ${DOCKERD_FLAGS-})
	root mkdir -p "$state"
	# The redirections must be root's, and the daemon must outlive this script and
	# its terminal.
	# shellcheck disable=SC2016 # expanded by the inner shell
	root setsid --fork sh -c 'log=$1; shift; exec dockerd "$@" >>"$log" 2>&1 </dev/null' sh \
		"$state/dockerd.log" "${flags[@]}"
}

await() {
	local deadline=$((SECONDS + wait))
	until version >/dev/null; do
		((SECONDS < deadline)) || return 1
		sleep 0.2
	done
}

report "found"

[[ $host == unix://* ]] ||
	die "no Docker Engine answers at $host" "start it there, or unset DOCKER_HOST to use one on this machine"
if ! debian || ! may_be_root; then
	die "no Docker Engine answers at $host, and one can be installed only as root on Debian or Ubuntu" \
		"start Docker, or install it: https://docs.docker.com/engine/install/"
fi

# One that answers root and not us is not to be started a second time.
if ((EUID != 0)) && root docker info >/dev/null 2>&1; then
	die "a Docker Engine runs, but $(id -un) may not use it" \
		"sudo usermod -aG docker $(id -un), then log in again"
fi

install_engine
report "installed"

if systemd && [[ $host == "$default" ]]; then
	root systemctl start docker || die "docker.service did not start" "journalctl -u docker"
	await || die "no Docker Engine answers $wait s after its start" "journalctl -u docker"
	report "started by systemd"
fi

start_by_hand
if ! await; then
	root tail -n 10 "$state/dockerd.log" >&2 || true # there is none if another one was starting
	die "no Docker Engine answers at $host $wait s after its start" "see $state/dockerd.log"
fi
report "started by hand, log in $state/dockerd.log"
