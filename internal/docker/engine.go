// Package docker is rollout.Runtime on one Docker Engine: images, networks,
// containers in the shape that Compose gives them, their logs and events. It
// talks to any Engine from 20.10 (API 1.41) on and negotiates upwards. Nothing
// else in this module talks to an Engine.
package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"

	"gesalpai.ch/steady"
)

// Labels of Compose's, and those of our own that only this package reads.
const (
	labelProject = "com.docker.compose.project"
	labelService = "com.docker.compose.service"
	labelNumber  = "com.docker.compose.container-number"
	labelOneoff  = "com.docker.compose.oneoff"
	labelHook    = "com.docker.compose.hook"
	labelReplace = "com.docker.compose.replace"
	labelImage   = "com.docker.compose.image"

	labelRestart = "ch.gesalpai.steady.restart" // on a container: its policy while it serves
	labelStatic  = "ch.gesalpai.steady.static"  // on a container: networks in which the file fixes its address
	labelSubnet  = "ch.gesalpai.steady.subnet"  // on a network: declared, or probe while the Engine is asked for one
)

// apiManyEndpoints is the first API version (Engine 25) that takes more than one
// network, and a MAC address for each, when a container is created.
const apiManyEndpoints = "1.44"

// Options say which Engine, and how. The zero value is the Engine of this machine.
type Options struct {
	Host      string       // as in DOCKER_HOST; empty: DOCKER_HOST and its kin, then the default socket
	ConfigDir string       // where the docker client's config.json lies; empty: as the docker client finds it
	Log       *slog.Logger // nil: nothing is logged
}

// Engine is one Docker Engine. Its methods may be called from several goroutines.
// They give steady.ErrNoEngine when it does not answer.
type Engine struct {
	api       *client.Client
	configDir string
	log       *slog.Logger

	preparing sync.Mutex // one network is made at a time: two must not take the same name

	mu      sync.Mutex
	movable map[string]bool          // network ID → whether an endpoint can come back with its address
	turns   map[string]chan struct{} // service → who is at work on its holder
	ram     int64                    // of the Engine's host; 0: not asked yet
}

// New prepares to talk to an Engine. It talks to none yet: an Engine that is away
// is no error here.
func New(o Options) (*Engine, error) {
	opts := []client.Opt{client.FromEnv}
	if o.Host != "" {
		opts = append(opts, client.WithHost(o.Host))
	}
	api, err := client.New(opts...)
	if err != nil {
		return nil, steady.ErrNoEngine.With(fmt.Sprintf("the Docker Engine's address cannot be used: %v", err), "echo $DOCKER_HOST")
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Engine{api: api, configDir: o.ConfigDir, log: log, movable: map[string]bool{}, turns: map[string]chan struct{}{}}, nil
}

// Close gives up the idle connections to the Engine.
func (e *Engine) Close() error { return e.api.Close() }

// Version tells the Engine's version and the API version negotiated with it.
func (e *Engine) Version(ctx context.Context) (engine, api string, err error) {
	v, err := e.api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return "", "", e.fail("ask for the Engine's version", err)
	}
	return v.Version, e.api.ClientVersion(), nil
}

// before says whether the negotiated API is older than a version.
func (e *Engine) before(ctx context.Context, version string) (bool, error) {
	if _, err := e.api.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return false, e.fail("ping the Engine", err)
	}
	return versions.LessThan(e.api.ClientVersion(), version), nil
}

// fail says what was being done when the Engine refused, or that there is none.
func (e *Engine) fail(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, err)
	case client.IsErrConnectionFailed(err):
		return e.away(err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// away is the error of an Engine that does not answer, with its address.
func (e *Engine) away(err error) error {
	host := e.api.DaemonHost()
	if strings.Contains(err.Error(), "permission denied") {
		return steady.ErrNoEngine.With("permission denied on the Docker Engine's socket at "+host, "sudo usermod -aG docker $USER")
	}
	return steady.ErrNoEngine.With("no Docker Engine answers at "+host, "sudo systemctl start docker")
}

// noReplica is the error of a container that is not there.
func noReplica(name string) error {
	return steady.ErrNoReplica.With("there is no container "+name, "docker ps --all")
}

// gone says whether an error is about a container that is not there, and not about
// an image or a network that it needs.
func gone(err error) bool {
	return cerrdefs.IsNotFound(err) && strings.Contains(strings.ToLower(err.Error()), "no such container")
}
