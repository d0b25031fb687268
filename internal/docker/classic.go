package docker

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/go-archive"
	builders "github.com/moby/moby/api/types/build"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"gesalpai.ch/steady"
)

// outsideName is what a Dockerfile that lies outside its context is called in the
// archive that goes to the classic builder.
const outsideName = ".steady.dockerfile"

// classic has the Engine's own builder build, from an archive of the context.
func (e *Engine) classic(ctx context.Context, b *build) error {
	if len(b.Secrets) > 0 || len(b.Contexts) > 0 || b.remote() && b.dockerfile == "" {
		return steady.ErrUnsupported.With(b.spec.Ref()+" builds with secrets or further contexts, which need an Engine with BuildKit", "docker version")
	}
	opt, err := e.classicOptions(b)
	if err != nil {
		return err
	}
	var body io.ReadCloser
	if b.remote() {
		opt.RemoteContext, opt.Dockerfile = b.Context, b.dockerfile
	} else if body, opt.Dockerfile, err = b.archive(); err != nil {
		return err
	} else {
		defer body.Close()
	}
	res, err := e.api.ImageBuild(ctx, body, opt)
	if err != nil {
		return e.fail("build", err)
	}
	defer res.Body.Close()
	return b.messages(res.Body)
}

func (e *Engine) classicOptions(b *build) (client.ImageBuildOptions, error) {
	conf, err := e.credentials()
	if err != nil {
		return client.ImageBuildOptions{}, err
	}
	known, err := conf.GetAllCredentials()
	if err != nil {
		return client.ImageBuildOptions{}, fmt.Errorf("read the registries' credentials: %w", err)
	}
	opt := client.ImageBuildOptions{
		Tags: b.tags(), NoCache: b.NoCache, PullParent: b.Pull, Remove: true, ForceRemove: true, NetworkMode: b.Network,
		Labels: b.Labels, Target: b.Target, CacheFrom: b.CacheFrom, ExtraHosts: b.ExtraHosts, Version: builders.BuilderV1,
		BuildArgs: map[string]*string{}, AuthConfigs: map[string]registry.AuthConfig{},
	}
	for k, v := range b.Args {
		opt.BuildArgs[k] = &v
	}
	for host, a := range known {
		opt.AuthConfigs[host] = registry.AuthConfig{Username: a.Username, Password: a.Password, Auth: a.Auth,
			ServerAddress: a.ServerAddress, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken}
	}
	platform, err := platformOf(b.Platform)
	if platform != nil {
		opt.Platforms = []ocispec.Platform{*platform}
	}
	return opt, err
}

// archive packs the context without what .dockerignore leaves out, and gives the
// Dockerfile's name within.
func (b *build) archive() (io.ReadCloser, string, error) {
	left, err := b.ignored()
	if err != nil {
		return nil, "", err
	}
	name, err := filepath.Rel(b.Context, b.dockerfile)
	outside := err != nil || strings.HasPrefix(name, "..")
	if !outside { // the builder needs it, ignored or not
		left = append(left, "!"+filepath.ToSlash(name))
	}
	packed, err := archive.TarWithOptions(b.Context, &archive.TarOptions{ExcludePatterns: left, ChownOpts: &archive.ChownOpts{}})
	if err != nil {
		return nil, "", fmt.Errorf("pack the build context: %w", err)
	}
	if !outside {
		return packed, filepath.ToSlash(name), nil
	}
	text, err := os.ReadFile(b.dockerfile)
	if err != nil {
		packed.Close()
		return nil, "", fmt.Errorf("read the Dockerfile: %w", err)
	}
	return adding(packed, outsideName, text), outsideName, nil
}

// ignored reads what to leave out: from Dockerfile's own ignore file, or the
// context's.
func (b *build) ignored() ([]string, error) {
	for _, path := range []string{b.dockerfile + ".dockerignore", filepath.Join(b.Context, ".dockerignore")} {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read what the build ignores: %w", err)
		}
		patterns, err := ignorefile.ReadAll(f)
		f.Close()
		if err == nil {
			_, err = patternmatcher.New(patterns)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		return patterns, nil
	}
	return nil, nil
}

// adding is an archive with one more file. Closing it ends the goroutine that
// packs.
func adding(packed io.ReadCloser, name string, text []byte) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		defer packed.Close()
		w.CloseWithError(copyAdding(tar.NewWriter(w), tar.NewReader(packed), name, text))
	}()
	return r
}

func copyAdding(w *tar.Writer, r *tar.Reader, name string, text []byte) error {
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(w, r); err != nil {
			return err
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text))}); err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	return w.Close()
}

// messages tells what the builder writes, and gives its error.
func (b *build) messages(r io.Reader) error {
	for d := json.NewDecoder(r); ; {
		var m jsonstream.Message
		err := d.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the build's output: %w", err)
		case m.Error != nil:
			return m.Error
		case strings.HasPrefix(m.Stream, "Step "):
			b.step = strings.TrimSpace(m.Stream)
			b.say(b.step)
		default:
			b.out(m.Stream)
		}
	}
}
