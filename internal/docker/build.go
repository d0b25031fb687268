package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// buildTail is how many of the last lines of a failed build its error carries.
const buildTail = 20

// Build makes spec.Image, and its further tags, from spec.Build: with BuildKit
// where the Engine has it, else with the classic builder. steady.ErrBuild, with the
// last lines of output, when it fails.
func (e *Engine) Build(ctx context.Context, spec steady.Spec, say func(string)) (steady.Image, error) {
	if spec.Build == nil {
		return steady.Image{}, steady.ErrBuild.With(spec.Ref()+" has no build section", "docker compose config "+spec.Service)
	}
	b, err := e.readBuild(spec, say)
	if err != nil {
		return steady.Image{}, err
	}
	defer b.cleanup()
	if err := e.build(ctx, b); err != nil {
		return steady.Image{}, b.failed(ctx, err)
	}
	return e.Image(ctx, spec.Image)
}

func (e *Engine) build(ctx context.Context, b *build) error {
	kit, err := e.buildKit(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		e.log.Info("classic builder: the Engine has no BuildKit", "err", err)
		return e.classic(ctx, b)
	}
	defer kit.Close()
	return e.solve(ctx, kit, b)
}

// build is one build on its way.
type build struct {
	steady.Build
	spec       steady.Spec
	dockerfile string // absolute path
	inline     string // directory of a Dockerfile that stood in the Compose file
	say        func(string)
	step       string   // the step that runs, or the one that failed
	tail       []string // last lines
}

func (e *Engine) readBuild(spec steady.Spec, say func(string)) (*build, error) {
	b := &build{Build: *spec.Build, spec: spec, say: say}
	if b.Platform == "" {
		b.Platform = spec.Platform
	}
	if b.remote() {
		b.dockerfile = b.Dockerfile
		return b, nil
	}
	if fi, err := os.Stat(b.Context); err != nil || !fi.IsDir() {
		return nil, steady.ErrBuild.With(fmt.Sprintf("%s: the build context %s is no directory", spec.Ref(), b.Context), "ls "+b.Context)
	}
	if b.DockerfileInline != "" {
		return b, b.writeInline()
	}
	b.dockerfile = b.Dockerfile
	if b.dockerfile == "" {
		b.dockerfile = "Dockerfile"
	}
	if !filepath.IsAbs(b.dockerfile) {
		b.dockerfile = filepath.Join(b.Context, b.dockerfile)
	}
	if _, err := os.Stat(b.dockerfile); err != nil {
		return nil, steady.ErrBuild.With(fmt.Sprintf("%s: there is no Dockerfile at %s", spec.Ref(), b.dockerfile), "ls "+filepath.Dir(b.dockerfile))
	}
	return b, nil
}

// remote says whether the context is a repository or an archive for the builder to
// fetch.
func (b *build) remote() bool { return !filepath.IsAbs(b.Context) }

func (b *build) writeInline() error {
	dir, err := os.MkdirTemp("", "steady-build-")
	if err != nil {
		return fmt.Errorf("write the inline Dockerfile: %w", err)
	}
	b.inline, b.dockerfile = dir, filepath.Join(dir, "Dockerfile")
	if err := os.WriteFile(b.dockerfile, []byte(b.DockerfileInline), 0o600); err != nil {
		b.cleanup()
		return fmt.Errorf("write the inline Dockerfile: %w", err)
	}
	return nil
}

func (b *build) cleanup() {
	if b.inline != "" {
		os.RemoveAll(b.inline)
	}
}

// tags are all the names of the image.
func (b *build) tags() []string {
	return slices.Concat([]string{b.spec.Image}, b.Tags)
}

// out takes output of the build.
func (b *build) out(text string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			continue
		}
		b.say(line)
		b.tail = append(b.tail, line)
		if len(b.tail) > buildTail {
			b.tail = b.tail[1:]
		}
	}
}

// failed makes one sentence of what went wrong. An Engine that is away, a build
// that was given up and what is not supported are no failed builds.
func (b *build) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("build %s: %w", b.spec.Ref(), err)
	}
	if errors.Is(err, steady.ErrNoEngine) || errors.Is(err, steady.ErrUnsupported) {
		return err
	}
	text := fmt.Sprintf("%s does not build: %v", b.spec.Ref(), err)
	if b.step != "" {
		text = fmt.Sprintf("%s does not build: %s: %v", b.spec.Ref(), b.step, err)
	}
	hint := "docker build " + b.Context
	if b.dockerfile != "" && b.inline == "" {
		hint = fmt.Sprintf("docker build -f %s %s", b.dockerfile, b.Context)
	}
	out := steady.ErrBuild.With(text, hint)
	out.Service, out.Tail = b.spec.Service, b.tail
	return out
}
