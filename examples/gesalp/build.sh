#!/usr/bin/env bash
# Builds the stack's binaries, and its images unless told not to.
#
#   ./build.sh [TAG]        binaries and images gesalp-SERVICE:TAG (v1)
#   ./build.sh --binaries   binaries only, into bin/
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

services=(api synth-worker report-service queue)

binaries() {
	CGO_ENABLED=0 GOFLAGS='' go build -trimpath -buildvcs=false -ldflags='-s -w' -o bin/ ./cmd/...
}

# image NAME ARGUMENT... builds one image and says nothing but its name, unless
# it fails: without the buildx plugin docker complains at length each time.
image() {
	local name=$1 said
	shift
	if ! said=$(docker build --tag "$name" "$@" . 2>&1); then
		printf '%s\n' "$said" >&2
		return 1
	fi
	echo "$name"
}

images() {
	local tag=$1 service
	for service in "${services[@]}"; do
		image "gesalp-$service:$tag" --target service \
			--build-arg "SERVICE=$service" --build-arg "VERSION=$tag"
	done
	# The stand-in for an image that is not ours: it has one tag, and no part in
	# our releases.
	image gesalp-ollama:v1 --target ollama
}

case ${1-v1} in
--binaries) binaries ;;
-*)
	echo "usage: build.sh [TAG | --binaries]" >&2
	exit 2
	;;
*)
	binaries
	images "${1-v1}"
	;;
esac
