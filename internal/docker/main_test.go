package docker_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"go.uber.org/goleak"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/docker"
	"gesalpai.ch/steady/internal/docker/runtimetest"
	"gesalpai.ch/steady/internal/rollout"
)

var _ rollout.Runtime = (*docker.Engine)(nil)

// Images of the tests, made once per run.
var (
	serveImage = fmt.Sprintf("steady-docker-serve:%d", os.Getpid())
	exitImage  = fmt.Sprintf("steady-docker-exit:%d", os.Getpid())
	appBinary  string
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	flag.Parse()
	if testing.Short() { // none of them needs the images
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "steady-docker-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := makeImages(dir); err != nil {
		fmt.Fprintln(os.Stderr, "make the test images:", err)
		return 1
	}
	defer dropImages()
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func makeImages(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	appBinary = filepath.Join(dir, "app")
	compile := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", appBinary, "./testdata/app")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	eng, err := docker.New(docker.Options{})
	if err != nil {
		return err
	}
	defer eng.Close()
	for image, mode := range map[string]string{serveImage: "serve", exitImage: "exit"} {
		text := "FROM scratch\nCOPY app /app\nENTRYPOINT [\"/app\"]\nCMD [\"" + mode + "\"]\n"
		if err := os.WriteFile(filepath.Join(dir, "Dockerfile."+mode), []byte(text), 0o600); err != nil {
			return err
		}
		spec := steady.Spec{Project: "steady-docker", Service: mode, Image: image,
			Build: &steady.Build{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile."+mode)}}
		if _, err := eng.Build(ctx, spec, func(string) {}); err != nil {
			return err
		}
	}
	return nil
}

func dropImages() {
	api, err := client.New(client.FromEnv)
	if err != nil {
		return
	}
	defer api.Close()
	for _, image := range []string{serveImage, exitImage} {
		_, _ = api.ImageRemove(context.Background(), image, client.ImageRemoveOptions{Force: true})
	}
}

// bench is an Engine, a bare client beside it to look with, and a project that is
// cleaned away after the test.
type bench struct {
	*docker.Engine
	api     *client.Client
	project string
}

var projects atomic.Int64

func newBench(t *testing.T) *bench {
	t.Helper()
	if testing.Short() {
		t.Skip("it needs a Docker Engine: make test runs it")
	}
	eng, err := docker.New(docker.Options{ConfigDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	api, err := client.New(client.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Engine: eng, api: api, project: fmt.Sprintf("steady-docker-%d-%d", os.Getpid(), projects.Add(1))}
	t.Cleanup(func() {
		b.sweep(t)
		b.Engine.Close()
		api.Close()
	})
	return b
}

// sweep removes what is left of the project.
func (b *bench) sweep(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	of := client.Filters{}.Add("label", "com.docker.compose.project="+b.project)
	left, err := b.api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: of})
	if err != nil {
		t.Errorf("sweep: %v", err)
	}
	for _, c := range left.Items {
		if c.Labels[steady.LabelHolder] != "" { // Clean takes it and its image away
			continue
		}
		if err := b.Remove(ctx, c.ID); err != nil {
			t.Errorf("sweep: %v", err)
		}
	}
	if err := b.Clean(ctx, b.project, true); err != nil {
		t.Errorf("sweep: %v", err)
	}
}

func (b *bench) subject() runtimetest.Subject {
	return runtimetest.Subject{
		Runtime: b.Engine, Project: b.project, Serve: serveImage, Exit: exitImage,
		Missing: "127.0.0.1:9/steady-docker/nothing:1", Names: b.names,
	}
}

func (b *bench) names(ctx context.Context, network, name string) ([]string, error) {
	c, err := b.api.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if err != nil {
		return nil, err
	}
	ep := c.Container.NetworkSettings.Networks[network]
	if ep == nil {
		return nil, fmt.Errorf("%s is not in network %s", name, network)
	}
	return slices.Concat(ep.Aliases, ep.DNSNames), nil
}

// release is a release of a service of the project.
func (b *bench) release(t *testing.T, service string, number int) steady.Release {
	t.Helper()
	return b.releaseOf(t, runtimetest.Spec(b.project, service, serveImage), number)
}

func (b *bench) releaseOf(t *testing.T, spec steady.Spec, number int) steady.Release {
	t.Helper()
	img, err := b.Image(t.Context(), spec.Image)
	if err != nil {
		t.Fatal(err)
	}
	return steady.Release{Project: b.project, Service: spec.Service, Number: number, Spec: spec, Image: img}
}

// started is a replica that runs.
func (b *bench) started(t *testing.T, rel steady.Release) steady.Replica {
	t.Helper()
	if err := b.Prepare(t.Context(), rel.Spec); err != nil {
		t.Fatal(err)
	}
	c, err := b.Create(t.Context(), rel, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context(), c.Name); err != nil {
		t.Fatal(err)
	}
	if c, err = b.Replica(t.Context(), c.Name); err != nil {
		t.Fatal(err)
	}
	return c
}

// lookup asks for a name from within a container.
func (b *bench) lookup(t *testing.T, from, name string) string {
	t.Helper()
	code, out, err := b.Exec(t.Context(), from, []string{"/app", "lookup", name})
	if err != nil {
		t.Fatal(err)
	}
	if code != 0 {
		return ""
	}
	return strings.TrimSpace(out)
}

func TestEngine_IsARuntime(t *testing.T) {
	runtimetest.Run(t, func(t *testing.T) runtimetest.Subject { return newBench(t).subject() })
}
