package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// compose runs the real docker compose plugin on the stack, with the same files
// and environment.
func (h *host) compose(args ...string) string {
	h.t.Helper()
	cmd := exec.Command("docker", append([]string{"compose"}, args...)...)
	cmd.Dir = h.dir
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+plugin(h.t), "COMPOSE_PROJECT_NAME="+h.project, "COMPOSE_FILE="+h.files())
	for k, v := range h.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("docker compose %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// plugin is a DOCKER_CONFIG directory with the plugin that go.mod names.
func plugin(t testing.TB) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(repo, "scripts/compose-plugin.sh")).Output()
	if err != nil {
		t.Fatalf("build the docker compose plugin: %v", err)
	}
	return strings.TrimSpace(string(out))
}

func (h *host) ids() []string {
	out, err := exec.Command("docker", "ps", "-aq", "--no-trunc", "--filter", "label=com.docker.compose.project="+h.project).Output()
	if err != nil {
		h.t.Fatal(err)
	}
	ids := strings.Fields(string(out))
	slices.Sort(ids)
	return ids
}

func TestInterop_DockerComposeSeesOurContainersAndChangesNothing(t *testing.T) {
	h := newHost(t, "e2e-interop")
	h.deploy(1, "all")
	h.deploy(2, "api")
	h.env["GESALP_RELEASE"] = "1" // what the files said when the others were deployed
	h.deploy(1, "all")

	ps := h.compose("ps", "--all")
	for _, s := range []string{"api", "synth-worker", "report-service", "ollama", "queue"} {
		if !strings.Contains(ps, h.project+"-"+s+"-") {
			t.Errorf("docker compose ps lacks %s:\n%s", s, ps)
		}
	}
	if top := h.compose("top", "api"); !strings.Contains(top, "/app") {
		t.Errorf("docker compose top:\n%s", top)
	}
	answers(t, h.api())
	if logs := h.compose("logs", "queue"); !strings.Contains(logs, "queue") {
		t.Errorf("docker compose logs:\n%s", logs)
	}
	before := h.ids()
	said := h.compose("up", "-d")
	if after := h.ids(); !slices.Equal(before, after) {
		t.Errorf("docker compose up -d changed containers\nbefore %v\nafter  %v\n%s", before, after, said)
	}
	if strings.Contains(said, "Recreate") || strings.Contains(said, "Created") {
		t.Errorf("docker compose up -d did something:\n%s", said)
	}
	answers(t, h.api())
}
