package compose

import (
	_ "github.com/compose-spec/compose-go/v2/types"
	_ "github.com/docker/cli/cli/command"
	_ "github.com/docker/compose/v5/pkg/compose"
	_ "github.com/moby/buildkit/client"
	_ "github.com/moby/moby/api/types/container"
	_ "github.com/moby/moby/client"
	_ "github.com/google/go-containerregistry/pkg/registry"
	_ "github.com/coder/websocket"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "go.uber.org/goleak"
	_ "pgregory.net/rapid"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/HdrHistogram/hdrhistogram-go"
	_ "github.com/spf13/cobra"
	_ "modernc.org/sqlite"
	_ "golang.org/x/sys/unix"
	_ "github.com/docker/cli/cli/config"
	_ "github.com/moby/buildkit/session/auth/authprovider"
	_ "github.com/moby/buildkit/session/secrets/secretsprovider"
)
