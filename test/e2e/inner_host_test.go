package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/test/image"
	"gesalpai.ch/steady/test/inner"
)

const (
	serverImage = "inner-server:e2e"
	clientImage = "inner-client:e2e"
)

// innerImages builds the images of test/inner, once.
var innerImages = sync.OnceValue(func() error {
	engine, err := client.New(client.FromEnv)
	if err != nil {
		return err
	}
	defer engine.Close()
	for tag, dir := range map[string]string{serverImage: "server", clientImage: "client", natsImage: "client/natsserver"} {
		if err := image.Build(context.Background(), engine, tag, filepath.Join(repo, "test/inner", dir)); err != nil {
			return err
		}
	}
	return nil
})

// withInner writes the Compose file in the stack's place and has the images.
func withInner(t testing.TB, h *host, file string) {
	t.Helper()
	needInner(t)
	h.write("docker-compose.prod.yml", file)
}

func needInner(t testing.TB) {
	t.Helper()
	if err := innerImages(); err != nil {
		t.Fatal(err)
	}
}

// called is a service that others call by name; more goes into it.
func called(name, more string) string {
	return `  ` + name + `:
    image: ` + serverImage + `
    expose: ["8000", "7000"]
    stop_grace_period: 5s
    environment: { RELEASE: "${GESALP_RELEASE:-1}" }
    x-steady:
      probe: { kind: http, port: 8000, path: /health }
      drain: { requests: 5s, streams: 500ms }
` + more
}

// caller is a container that calls by name until its report is asked for.
type caller struct {
	t    testing.TB
	name string
}

// call starts a load in the network, as a container that is nobody's service.
func call(t testing.TB, name, network string, args ...string) *caller {
	t.Helper()
	_ = exec.Command("docker", "rm", "-f", name).Run() // of a run that was killed
	docker(t, append([]string{"run", "-d", "--name", name, "--network", network, clientImage}, args...)...)
	t.Cleanup(func() { docker(t, "rm", "-f", "-v", name) })
	return &caller{t, name}
}

// report ends the load and reads what it counted.
func (c *caller) report() inner.Report {
	c.t.Helper()
	docker(c.t, "kill", "-s", "TERM", c.name)
	docker(c.t, "wait", c.name)
	var out, said bytes.Buffer
	cmd := exec.Command("docker", "logs", c.name)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		c.t.Fatal(err)
	}
	var r inner.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		c.t.Fatalf("%s gave no report: %v\n%s%s", c.name, err, &out, &said)
	}
	return r
}

// within runs the client in the network to its end and reads its answer.
func within[T any](t testing.TB, network string, args ...string) T {
	t.Helper()
	return answerOf[T](t, exec.Command("docker", append([]string{"run", "--rm", "--network", network, clientImage}, args...)...))
}

func answerOf[T any](t testing.TB, cmd *exec.Cmd) (answer T) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out, &said)
	}
	return answer
}

func lookup(t testing.TB, network, name string) []string {
	t.Helper()
	found := within[map[string]inner.Found](t, network, "lookup", name)[name]
	slices.Sort(found.Addrs)
	return found.Addrs
}

func dialed(t testing.TB, network, addr string) inner.Dialed {
	t.Helper()
	return within[map[string]inner.Dialed](t, network, "dial", addr)[addr]
}

// listed are the lines of a docker command.
func listed(t testing.TB, args ...string) []string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %v: %v\n%s", args, err, out)
	}
	lines := strings.Fields(string(out))
	slices.Sort(lines)
	return lines
}

// addressOf is a container's address in the network.
func addressOf(t testing.TB, container, network string) string {
	t.Helper()
	at := listed(t, "inspect", "-f", fmt.Sprintf("{{(index .NetworkSettings.Networks %q).IPAddress}}", network), container)
	if len(at) != 1 {
		t.Fatalf("%s has no address in %s", container, network)
	}
	return at[0]
}

// holderOf names the holder of the project's service.
func (h *host) holderOf(service string) string {
	h.t.Helper()
	found := listed(h.t, "ps", "-a", "--filter", "label=com.docker.compose.project="+h.project, "--filter", "label="+steady.LabelHolder,
		"--filter", "label=com.docker.compose.service="+service, "--format", "{{.Names}}")
	if len(found) != 1 {
		h.t.Fatalf("holders of %s: %v, want one", service, found)
	}
	return found[0]
}

// leftovers is all that the Engine still has of the project, holders and
// networks included.
func leftovers(t testing.TB, project string) []string {
	t.Helper()
	left := listed(t, "ps", "-a", "--filter", "label=com.docker.compose.project="+project, "--format", "{{.Names}}")
	left = append(left, listed(t, "ps", "-a", "--filter", "name=^"+project+"-", "--format", "{{.Names}}")...)
	left = append(left, listed(t, "network", "ls", "--filter", "label=com.docker.compose.project="+project, "--format", "{{.Name}}")...)
	return append(left, listed(t, "volume", "ls", "--filter", "label=com.docker.compose.project="+project, "--format", "{{.Name}}")...)
}

// table prints a report for a person.
func table(r inner.Report) string {
	var b strings.Builder
	for _, h := range r.HTTP {
		fmt.Fprintf(&b, "%-16s %6d sent %6d ok  lost %v, %d unsent, %d wrong; p50 %s p99 %s longest %s\n",
			h.Kind, h.Sent, h.OK, h.Lost, h.Unsent, h.Wrong, h.P50, h.P99, h.Longest)
		for _, e := range h.Errors {
			fmt.Fprintln(&b, "   ", e)
		}
	}
	for _, c := range r.TCP {
		fmt.Fprintf(&b, "%-16s %6d connects, failed %v; %d asked, lost %v; %d ended, %d wrong, slowest connect %s\n",
			c.Kind, c.Connects, c.Failed, c.Asked, c.Lost, len(c.Ends), c.Wrong, c.Slowest)
		for _, e := range c.Errors {
			fmt.Fprintln(&b, "   ", e)
		}
	}
	return b.String()
}
