package compose

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
)

// PluginHash asks the host's docker compose plugin for the config-hash of the
// services, so that a later `docker compose up` takes our containers for its own
// whatever version it is. The plugin is run once, on the first question; where
// there is none, every answer is an error.
func PluginHash(o Options) func(ctx context.Context, service string) (string, error) {
	var once sync.Once
	var hashes map[string]string
	var err error
	return func(ctx context.Context, service string) (string, error) {
		once.Do(func() { hashes, err = runHash(ctx, o) })
		if err != nil {
			return "", err
		}
		h, ok := hashes[service]
		if !ok {
			return "", fmt.Errorf("hash service %s: the plugin does not know it", service)
		}
		return h, nil
	}
}

func runHash(ctx context.Context, o Options) (map[string]string, error) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		return nil, fmt.Errorf("find docker: %w", err)
	}
	cmd := exec.CommandContext(ctx, docker, o.arguments()...)
	cmd.Dir = o.WorkingDir
	cmd.Env = o.Env
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ask docker compose for hashes: %w", err)
	}
	hashes := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, hash, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			hashes[name] = hash
		}
	}
	if len(hashes) == 0 {
		return nil, errors.New("ask docker compose for hashes: no answer")
	}
	return hashes, nil
}

// arguments are the options as flags of docker compose.
func (o Options) arguments() []string {
	args := []string{"compose"}
	flag := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				args = append(args, name, v)
			}
		}
	}
	flag("--file", o.Files...)
	flag("--project-name", o.ProjectName)
	flag("--project-directory", o.ProjectDir)
	flag("--profile", o.Profiles...)
	flag("--env-file", o.EnvFiles...)
	return append(args, "config", "--hash", "*")
}
