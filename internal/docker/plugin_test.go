package docker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/docker/runtimetest"
)

// pluginDir is where the docker client finds the docker compose of go.mod.
var pluginDir = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("../../scripts/compose-plugin.sh").Output()
	return strings.TrimSpace(string(out)), err
})

// plugin runs docker compose on a project whose one service is api.
func (b *bench) plugin(t *testing.T, args ...string) (string, error) {
	t.Helper()
	config, err := pluginDir()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "compose.yaml")
	write(t, file, "services:\n  api:\n    image: "+serveImage+"\n")
	cmd := exec.CommandContext(t.Context(), "docker", append([]string{"compose", "-p", b.project, "-f", file}, args...)...)
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+config)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// beside has docker compose start api, and brings the holder beside it.
func (b *bench) beside(t *testing.T) steady.Holder {
	t.Helper()
	if out, err := b.plugin(t, "up", "-d"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h, err := b.Hold(t.Context(), runtimetest.Held(b.project, "api", serveImage))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHolder_DockerComposeDoesNotSeeIt(t *testing.T) {
	b := newBench(t)
	h := b.beside(t)
	for _, args := range [][]string{
		{"ps"}, {"ps", "--all"}, {"ps", "--all", "--orphans"}, {"logs", "--no-color"}, {"top"}, {"port", "api", "8000"},
		{"exec", "-T", "api", "/app", "lookup", b.project + "-api-1"},
		{"up", "-d"}, {"up", "-d", "--remove-orphans"}, {"up", "-d", "--scale", "api=2"}, {"up", "-d", "--force-recreate"},
		{"restart"}, {"pause"}, {"unpause"}, {"stop"}, {"start"}, {"kill"}, {"rm", "-f", "-s"},
	} {
		out, err := b.plugin(t, args...)
		if err != nil && args[0] != "port" {
			t.Errorf("docker compose %v: %v: %s", args, err, out)
		}
		if strings.Contains(out, "steady/holder") || strings.Contains(out, "api-steady") || strings.Contains(out, "orphan") {
			t.Errorf("docker compose %v says %s", args, out)
		}
		held, err := b.Holders(t.Context(), b.project)
		if err != nil || len(held) != 1 {
			t.Fatalf("after docker compose %v the holders are %v: %v", args, held, err)
		}
		if d := cmp.Diff(h, held[0]); d != "" {
			t.Errorf("docker compose %v changed it:\n%s", args, d)
		}
	}
}

func TestHolder_DockerComposeDownTakesItAndTheNetworkAway(t *testing.T) {
	b := newBench(t)
	b.beside(t)
	out, err := b.plugin(t, "down")
	if err != nil || strings.Contains(out, "in use") {
		t.Errorf("down says %v: %s", err, out)
	}
	b.nothing(t)
}

// nothing verifies that nothing of the project is left.
func (b *bench) nothing(t *testing.T) {
	t.Helper()
	of := client.Filters{}.Add("label", "com.docker.compose.project="+b.project)
	containers, err := b.api.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: of})
	nets, nerr := b.api.NetworkList(t.Context(), client.NetworkListOptions{Filters: of})
	if err := errors.Join(err, nerr); err != nil || len(containers.Items) > 0 || len(nets.Items) > 0 {
		t.Errorf("left: %v, %v, %v", containers.Items, nets.Items, err)
	}
}

func TestClean_LeavesNothingOfHolders(t *testing.T) {
	b := newBench(t)
	var image string
	for i := range 3 {
		h := b.hold(t, runtimetest.Held(b.project, fmt.Sprint("s", i), serveImage))
		image = b.inspect(t, h.Name).Config.Image
	}
	if err := b.Clean(t.Context(), b.project, true); err != nil {
		t.Fatal(err)
	}
	b.nothing(t)
	others, err := b.Holders(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Image(t.Context(), image); err == nil && len(others) == 0 {
		t.Errorf("image %s is left", image)
	}
}

// The Engine gives a container's hostname to its networks as a name, and nobody can forbid
// it: where it is one of the service's names, the replica is found by it.
func TestCreate_AHostnameIsANameThatNoHolderCanTake(t *testing.T) {
	b := newBench(t)
	rel := b.held(t, "api", 1)
	rel.Spec.Container = json.RawMessage(strings.Replace(string(rel.Spec.Container), `{`, `{"Hostname":"api",`, 1))
	h := b.hold(t, rel.Spec)
	c := b.started(t, rel)
	net := b.project + "_default"
	got := b.lookup(t, b.started(t, b.held(t, "asker", 1)).Name, "api")
	if !strings.Contains(got, c.Addresses[net]) || !strings.Contains(got, h.Addresses[net]) {
		t.Errorf("api resolves to %q, want holder %s and replica %s", got, h.Addresses[net], c.Addresses[net])
	}
}
