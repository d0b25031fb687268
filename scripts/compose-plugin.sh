#!/bin/sh
# Builds the docker compose plugin that go.mod names and prints a DOCKER_CONFIG
# directory that holds it. The host's own plugin, if any, is not used: tests
# compare with one known version.
set -eu
cd "$(dirname "$0")/.."
version=$(go list -m -f '{{.Version}}' github.com/docker/compose/v5)
config=$PWD/.build/compose-$version
plugin=$config/cli-plugins/docker-compose
if [ ! -x "$plugin" ]; then
	mkdir -p "$config/cli-plugins"
	# The version is compiled in because Compose stamps it on its containers. The
	# rename makes two callers at once harmless.
	go build -trimpath -o "$plugin.$$" \
		-ldflags "-s -w -X github.com/docker/compose/v5/internal.Version=$version" \
		github.com/docker/compose/v5/cmd >&2
	mv "$plugin.$$" "$plugin"
fi
echo "$config"
