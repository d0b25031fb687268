package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	buildkit "github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth/authprovider"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	digest "github.com/opencontainers/go-digest"
	"github.com/tonistiigi/fsutil"

	"gesalpai.ch/steady"
)

// buildKit opens a connection to the BuildKit within the Engine, or says why there
// is none.
func (e *Engine) buildKit(ctx context.Context) (*buildkit.Client, error) {
	dial := func(ctx context.Context, proto, path string, meta map[string][]string) (net.Conn, error) {
		return e.api.DialHijack(ctx, path, proto, meta)
	}
	kit, err := buildkit.New(ctx, "",
		buildkit.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return dial(ctx, "h2c", "/grpc", nil)
		}),
		buildkit.WithSessionDialer(func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return dial(ctx, proto, "/session", meta)
		}))
	if err != nil {
		return nil, err
	}
	workers, err := kit.ListWorkers(ctx)
	if err == nil && len(workers) == 0 {
		err = errors.New("BuildKit has no worker")
	}
	if err != nil {
		kit.Close()
		return nil, err
	}
	return kit, nil
}

// solve has BuildKit build, and waits for the last of its output.
func (e *Engine) solve(ctx context.Context, kit *buildkit.Client, b *build) error {
	opt, err := e.solveOpt(b)
	if err != nil {
		return err
	}
	status := make(chan *buildkit.SolveStatus)
	var reader sync.WaitGroup
	reader.Go(func() { b.follow(status) })
	_, err = kit.Solve(ctx, nil, opt, status)
	reader.Wait()
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "unsupported frontend capability"):
		return steady.ErrUnsupported.With(
			b.spec.Ref()+" builds with further contexts, which need Docker Engine 23.0", "docker version")
	}
	return errors.New(plainly(err))
}

func (e *Engine) solveOpt(b *build) (buildkit.SolveOpt, error) {
	attached, err := e.attachables(b)
	if err != nil {
		return buildkit.SolveOpt{}, err
	}
	opt := buildkit.SolveOpt{
		Exports:       []buildkit.ExportEntry{{Type: "moby", Attrs: map[string]string{"name": strings.Join(b.tags(), ",")}}},
		Frontend:      "dockerfile.v0",
		FrontendAttrs: b.attrs(),
		Session:       attached,
	}
	for _, ref := range b.CacheFrom {
		opt.CacheImports = append(opt.CacheImports, cacheFrom(ref))
	}
	if b.Network == "host" {
		opt.AllowedEntitlements = []string{"network.host"}
	}
	opt.LocalMounts, err = b.mounts(opt.FrontendAttrs)
	return opt, err
}

// attrs are the build's options in the words of the Dockerfile frontend.
func (b *build) attrs() map[string]string {
	a := map[string]string{}
	for k, v := range b.Args {
		a["build-arg:"+k] = v
	}
	for k, v := range b.Labels {
		a["label:"+k] = v
	}
	set := func(key, value string) {
		if value != "" {
			a[key] = value
		}
	}
	set("target", b.Target)
	set("platform", b.Platform)
	if b.Network != "default" {
		set("force-network-mode", b.Network)
	}
	if b.NoCache {
		a["no-cache"] = ""
	}
	if b.Pull {
		a["image-resolve-mode"] = "pull"
	}
	var hosts []string
	for _, h := range b.ExtraHosts {
		name, ip, _ := strings.Cut(h, ":")
		if n, i, ok := strings.Cut(h, "="); ok {
			name, ip = n, i
		}
		hosts = append(hosts, name+"="+ip)
	}
	set("add-hosts", strings.Join(hosts, ","))
	if b.dockerfile != "" {
		a["filename"] = filepath.Base(b.dockerfile)
	}
	return a
}

// mounts are the directories that BuildKit reads from, by the names under which
// attrs speaks of them.
func (b *build) mounts(attrs map[string]string) (map[string]fsutil.FS, error) {
	dirs := map[string]string{}
	if b.remote() {
		attrs["context"] = b.Context
		if b.dockerfile != "" {
			attrs["filename"] = b.dockerfile
		}
	} else {
		dirs["context"], dirs["dockerfile"] = b.Context, filepath.Dir(b.dockerfile)
	}
	for name, from := range b.Contexts {
		if filepath.IsAbs(from) {
			dirs["context-"+name], from = from, "local:context-"+name
		}
		attrs["context:"+name] = from
		attrs["frontend.caps"] = "moby.buildkit.frontend.contexts" // refuse rather than look for an image of that name
	}
	out := map[string]fsutil.FS{}
	for name, dir := range dirs {
		fs, err := fsutil.NewFS(dir)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", dir, err)
		}
		out[name] = fs
	}
	return out, nil
}

// attachables answer BuildKit's questions during the build: for credentials and
// secrets.
func (e *Engine) attachables(b *build) ([]session.Attachable, error) {
	conf, err := e.credentials()
	if err != nil {
		return nil, err
	}
	out := []session.Attachable{authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{
		AuthConfigProvider: authprovider.LoadAuthConfig(conf),
	})}
	if len(b.Secrets) == 0 {
		return out, nil
	}
	var files []secretsprovider.Source
	for _, id := range slices.Sorted(maps.Keys(b.Secrets)) {
		files = append(files, secretsprovider.Source{ID: id, FilePath: b.Secrets[id]})
	}
	store, err := secretsprovider.NewStore(files)
	if err != nil {
		return nil, fmt.Errorf("read the build's secrets: %w", err)
	}
	return append(out, secretsprovider.NewSecretProvider(store)), nil
}

// cacheFrom reads an entry of cache_from: a reference, or type=…,key=value,….
func cacheFrom(entry string) buildkit.CacheOptionsEntry {
	if !strings.Contains(entry, "=") {
		return buildkit.CacheOptionsEntry{Type: "registry", Attrs: map[string]string{"ref": entry}}
	}
	out := buildkit.CacheOptionsEntry{Type: "registry", Attrs: map[string]string{}}
	for field := range strings.SplitSeq(entry, ",") {
		k, v, _ := strings.Cut(field, "=")
		if k == "type" {
			out.Type = v
			continue
		}
		out.Attrs[k] = v
	}
	return out
}

// follow tells each step as it begins, and what it writes.
func (b *build) follow(status <-chan *buildkit.SolveStatus) {
	begun := map[digest.Digest]bool{}
	for s := range status {
		for _, v := range s.Vertexes {
			if v.Started != nil && !begun[v.Digest] && !strings.HasPrefix(v.Name, "[internal]") {
				begun[v.Digest] = true
				b.say(v.Name)
			}
			if v.Error != "" && !strings.HasSuffix(v.Error, "context canceled") {
				b.step = v.Name
			}
		}
		for _, l := range s.Logs {
			b.out(string(l.Data))
		}
	}
}

// solvePrefix is what BuildKit's client and its solver put before what happened.
var solvePrefix = regexp.MustCompile(`^(rpc error: code = \w+ desc = |failed to solve( with frontend [\w.]+)?: |failed to build LLB: |executor failed running \[.*\]: |process ".*" did not complete successfully: )+`)

// plainly is an error of BuildKit's without the layers it came through.
func plainly(err error) string {
	return solvePrefix.ReplaceAllString(err.Error(), "")
}
