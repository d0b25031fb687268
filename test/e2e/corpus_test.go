package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
	"gesalpai.ch/steady/test/corpus"
)

// deployed are the projects of the corpus that are deployed with stub images. The
// first of them are in every run; STEADY_E2E_CORPUS=all takes all.
var deployed = []string{
	"hardened", "nested-networks",
	"assembled", "legacy-links", "mongo-replica-set", "monitoring", "nextcloud-fpm", "rabbit-pair",
}

const alwaysDeployed = 2

// TestCorpus_ContainersAreWhatComposeMakes deploys each project twice with docker
// compose up and twice with steady deploy. Each container must be what Compose made
// but for what docs/compose.md documents.
func TestCorpus_ContainersAreWhatComposeMakes(t *testing.T) {
	projects := deployed[:alwaysDeployed]
	if os.Getenv("STEADY_E2E_CORPUS") == "all" {
		projects = deployed
	}
	stub := compileStub(t)
	for _, name := range projects {
		t.Run(name, func(t *testing.T) {
			s := newStacked(t, name, stub)
			first, second := s.byCompose()
			if !slices.ContainsFunc(differing(first, second), func(d difference) bool { return d.field == "Config.Env" }) {
				t.Fatal("the variable that differs between the deploys is not seen: the comparison would hold of nothing")
			}
			s.same("first", first, s.bySteady(1))
			s.same("second", second, s.bySteady(2))
		})
	}
}

// stacked is a project of the corpus on a host of its own.
type stacked struct {
	*host
	specs []steady.Spec
}

func newStacked(t *testing.T, name string, stub []byte) *stacked {
	t.Helper()
	h := newHost(t, "corpus-"+name)
	for _, key := range []string{"API_PORT", "REPORT_PORT", "GESALP_RELEASE", "LOAD_TIME"} {
		delete(h.env, key)
	}
	_ = os.Remove(filepath.Join(h.dir, ".env"))
	corpus.Unpack(t, name, h.dir)
	if err := os.Rename(filepath.Join(h.dir, "compose.yaml"), filepath.Join(h.dir, "docker-compose.prod.yml")); err != nil {
		t.Fatal(err)
	}
	p, err := compose.Load(t.Context(), compose.Options{WorkingDir: h.dir, ProjectName: h.project, Files: []string{"docker-compose.prod.yml"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &stacked{host: h, specs: p.Specs}
	s.images(stub)
	s.override(1)
	return s
}

// stubOf is the stub's name for a service: of another registry, as the Engine is
// shared.
func stubOf(s steady.Spec) string { return "corpus.test/" + s.Project + "/" + path.Base(s.Image) }

// images makes a stub image for each one that the project names.
func (s *stacked) images(stub []byte) {
	s.t.Helper()
	ports, links := map[string][]string{}, []string{"/bin/sh"}
	for _, spec := range s.specs {
		ref := stubOf(spec)
		for _, p := range spec.Ports {
			ports[ref] = append(ports[ref], fmt.Sprint(p.Target))
		}
		if spec.Probe.Port != 0 {
			ports[ref] = append(ports[ref], fmt.Sprint(spec.Probe.Port))
		}
		ports[ref] = append(ports[ref], "7")
		links = append(links, programs(s.t, spec)...)
	}
	layer := layerOf(s.t, stub, links)
	for ref, listens := range ports {
		slices.Sort(listens)
		cmd := exec.Command("docker", "import", "--change", `ENTRYPOINT ["/app"]`, "--change", "ENV PATH=/bin STUB_PORTS="+strings.Join(slices.Compact(listens), ","), "-", ref)
		cmd.Stdin = bytes.NewReader(layer)
		if out, err := cmd.CombinedOutput(); err != nil {
			s.t.Fatalf("import %s: %v\n%s", ref, err, out)
		}
		s.t.Cleanup(func() { _ = exec.Command("docker", "rmi", "-f", ref).Run() })
	}
}

// programs are those that a service's healthcheck and entrypoint run.
func programs(t testing.TB, spec steady.Spec) []string {
	t.Helper()
	var made container.CreateRequest
	if err := json.Unmarshal(spec.Container, &made); err != nil {
		t.Fatal(err)
	}
	var out []string
	if len(made.Config.Entrypoint) > 0 {
		out = append(out, made.Config.Entrypoint[0])
	}
	if h := made.Config.Healthcheck; h != nil && len(h.Test) > 1 && h.Test[0] == "CMD" {
		out = append(out, h.Test[1])
	}
	return out
}

// layerOf is a file system with the stub at /app, and under the names of others.
func layerOf(t testing.TB, stub []byte, links []string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	headers := []*tar.Header{{Name: "app", Mode: 0o755, Size: int64(len(stub))}}
	slices.Sort(links)
	for _, name := range slices.Compact(links) {
		if !path.IsAbs(name) {
			name = "/bin/" + name
		}
		headers = append(headers, &tar.Header{Name: name[1:], Typeflag: tar.TypeSymlink, Linkname: "/app"})
	}
	for _, h := range headers {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write(stub); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func compileStub(t testing.TB) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "stub")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, "./test/corpus/stub")
	cmd.Dir, cmd.Env = repo, append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile the stub: %v\n%s", err, said)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// override gives each service its stub image, a variable that names the deploy, and
// healthchecks that do not keep docker compose waiting.
func (s *stacked) override(deploy int) {
	s.t.Helper()
	services := map[string]any{}
	for _, spec := range s.specs {
		var made container.CreateRequest
		if err := json.Unmarshal(spec.Container, &made); err != nil {
			s.t.Fatal(err)
		}
		service := map[string]any{"image": stubOf(spec), "environment": map[string]string{"DEPLOY": fmt.Sprint(deploy)}}
		if made.Config.Healthcheck != nil {
			service["healthcheck"] = map[string]string{"interval": "500ms"}
		}
		if made.HostConfig.Privileged { // more than the machine that runs the tests may have
			service["privileged"] = false
		}
		services[spec.Service] = service
	}
	b, err := json.Marshal(map[string]any{"services": services})
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("override.yml", string(b))
}

// byCompose deploys twice with the real docker compose, and takes all away again.
func (s *stacked) byCompose() (first, second map[string]made) {
	s.t.Helper()
	defer s.compose("down", "--volumes", "--timeout", "5")
	s.compose("up", "-d", "--quiet-pull")
	first = s.inspect()
	s.override(2)
	s.compose("up", "-d", "--quiet-pull")
	return first, s.inspect()
}

func (s *stacked) bySteady(deploy int) map[string]made {
	s.t.Helper()
	s.override(deploy)
	s.must("deploy", "-y", "--progress", "plain", "all")
	return s.inspect()
}
