package e2e

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady/test/inner"
)

// fast is how soon a connect to a port that nobody listens on must be over.
const fast = time.Second

const ways = `  caller:
    image: ` + clientImage + `
    command: [stay]
  plain:
    image: ` + serverImage + `
    x-steady:
      internal: "off"
      probe: { kind: http, port: 8000, path: /health }
  hosted:
    image: ` + clientImage + `
    command: [stay]
    network_mode: host
`

// waysHost has a service of two names, one without a holder by choice and one
// that cannot have one.
func waysHost(t *testing.T, project string) (h *host, network string) {
	t.Helper()
	h = newHost(t, project)
	withInner(t, h, "services:\n"+called("svc", "    networks: { default: { aliases: [svc-too] } }\n")+ways)
	return h, h.project + "_default"
}

func TestInner_NamesPortsAndComposeBehaveAsBefore(t *testing.T) {
	h, network := waysHost(t, "e2e-inner-ways")
	t.Run("the plan says who has no holder, and why", func(t *testing.T) {
		plan := h.steady("plan")
		for _, words := range []string{"x-steady.internal is off", "network_mode: host"} {
			if !strings.Contains(plan.out, words) {
				t.Errorf("the plan lacks %q:\n%s%s", words, plan.out, plan.err)
			}
		}
	})
	h.deploy(1)
	t.Run("a name is one address, and stays it", func(t *testing.T) { namesStay(t, h, network) })
	t.Run("the plan foretells who must connect again", func(t *testing.T) { foretold(t, h, network) })
	t.Run("every port works", func(t *testing.T) { everyPort(t, h, network) })
	t.Run("without a holder the name is the replica's", func(t *testing.T) {
		replica := addressOf(t, h.replicaOf("plain"), network)
		if got := lookup(t, network, "plain"); !slices.Equal(got, []string{replica}) {
			t.Errorf("plain is %v, want %s", got, replica)
		}
		if d := dialed(t, network, "plain:7000"); d.How != inner.Greeted {
			t.Errorf("a connect was %+v", d)
		}
	})
	t.Run("docker compose sees the replicas and nothing else", func(t *testing.T) { composeSees(t, h) })
	t.Run("docker compose down, and a deploy after it", func(t *testing.T) {
		h.compose("down")
		if left := leftovers(t, h.project); len(left) > 0 {
			t.Errorf("docker compose down left %v", left)
		}
		h.deploy(3)
		if d := dialed(t, network, "svc:7000"); d.How != inner.Greeted || d.Release != 3 {
			t.Errorf("a connect was %+v", d)
		}
	})
	t.Run("steady down leaves nothing", func(t *testing.T) {
		if r := h.steady("down", "--volumes"); r.code != 0 {
			t.Fatalf("down: exit %d\n%s", r.code, r.err)
		}
		if left := leftovers(t, h.project); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	})
}

// namesStay rolls out between two lookups, as getent would make them.
func namesStay(t *testing.T, h *host, network string) {
	before := lookup(t, network, "svc")
	if want := addressOf(t, h.holderOf("svc"), network); !slices.Equal(before, []string{want}) {
		t.Errorf("svc is %v, want the holder's %s", before, want)
	}
	if too := lookup(t, network, "svc-too"); !slices.Equal(too, before) {
		t.Errorf("its alias is %v, not %v", too, before)
	}
	h.deploy(2)
	if after := lookup(t, network, "svc"); !slices.Equal(after, before) {
		t.Errorf("svc was %v, is %v", before, after)
	}
	if d := dialed(t, network, "svc-too:7000"); d.How != inner.Greeted || d.Release != 2 {
		t.Errorf("a connect was %+v, want release 2", d)
	}
}

// foretold plans while a container that is nobody's service has connections open.
func foretold(t *testing.T, h *host, network string) {
	call(t, h.project+"-caller", network, "load", "-tcp", "svc:7000", "-long", "3", "-rate", "1")
	address := addressOf(t, h.project+"-caller", network)
	want := address + " (3 streams): what has not ended after 500ms must connect again"
	h.eventually("the plan foretells it", func() bool {
		plan := h.with(map[string]string{"GESALP_RELEASE": "9"}, "plan", "svc")
		return strings.Contains(plan.out, want)
	})
}

func everyPort(t *testing.T, h *host, network string) {
	if d := dialed(t, network, "svc:7001"); d.How != inner.Greeted {
		t.Errorf("an undeclared port: %+v", d)
	}
	for _, port := range []string{"9", "15001"} {
		d := dialed(t, network, "svc:"+port)
		if d.How != inner.Refused && d.How != inner.Reset || d.Took > fast {
			t.Errorf("port %s, on which nobody listens: %+v", port, d)
		}
	}
	if got := within[string](t, network, "udp", "svc:7002"); got != "hello release="+h.env["GESALP_RELEASE"] {
		t.Errorf("UDP: %q", got)
	}
}

func composeSees(t *testing.T, h *host) {
	var want []string
	for _, service := range []string{"svc", "caller", "plain", "hosted"} {
		want = append(want, h.replicaOf(service))
	}
	slices.Sort(want)
	got := strings.Fields(h.compose("ps", "--all", "--format", "{{.Name}}"))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("docker compose ps: %v, want %v", got, want)
	}
	if logs := h.compose("logs", "svc"); !strings.Contains(logs, "listening") {
		t.Errorf("docker compose logs:\n%s", logs)
	}
	if found := h.compose("exec", "-T", "caller", "/app", "lookup", "svc"); !strings.Contains(found, `"addrs":["`) {
		t.Errorf("docker compose exec: %s", found)
	}
	before := h.ids()
	said := h.compose("up", "-d")
	if after := h.ids(); !slices.Equal(before, after) {
		t.Errorf("docker compose up -d changed containers\nbefore %v\nafter  %v\n%s", before, after, said)
	}
}

// replicaOf names the one replica of the service.
func (h *host) replicaOf(service string) string {
	h.t.Helper()
	found := listed(h.t, "ps", "--filter", "label=com.docker.compose.project="+h.project,
		"--filter", "label=com.docker.compose.service="+service, "--filter", "label=com.docker.compose.oneoff=False", "--format", "{{.Names}}")
	if len(found) != 1 {
		h.t.Fatalf("replicas of %s: %v, want one", service, found)
	}
	return found[0]
}

// TestInner_NothingCrossesFromOneNetworkToAnother has a caller send straight to
// the holder what is meant for the holder's address in another network, as a
// container with NET_ADMIN can.
func TestInner_NothingCrossesFromOneNetworkToAnother(t *testing.T) {
	h := newHost(t, "e2e-inner-apart")
	withInner(t, h, "services:\n"+called("svc", "    networks: [left, right]\n")+called("right-only", "    networks: [right]\n")+
		"networks: { left: {}, right: {} }\n")
	h.deploy(1)
	left, right := h.project+"_left", h.project+"_right"
	holder := h.holderOf("svc")
	near, far := addressOf(t, holder, left), addressOf(t, holder, right)
	for network, want := range map[string]string{left: near, right: far} {
		if got := lookup(t, network, "svc"); !slices.Equal(got, []string{want}) {
			t.Errorf("in %s svc is %v, want %s", network, got, want)
		}
		if d := dialed(t, network, "svc:7000"); d.How != inner.Greeted {
			t.Errorf("in %s a connect was %+v", network, d)
		}
	}
	if got := lookup(t, left, "right-only"); len(got) > 0 {
		t.Errorf("in %s right-only is %v", left, got)
	}
	apart(t, left, near, far+":7000")
	apart(t, left, near, addressOf(t, h.holderOf("right-only"), right)+":7000")
	strangers(t, h)
}

// apart checks that the address does not answer a caller in the network, neither
// by itself nor with a route to it by way of a neighbour.
func apart(t *testing.T, network, via, addr string) {
	t.Helper()
	if d := dialed(t, network, addr); d.How == inner.Greeted {
		t.Errorf("from %s, %s answers", network, addr)
	}
	if d := smuggled(t, network, via, addr); d.How == inner.Greeted {
		t.Errorf("from %s, by way of %s, %s answers", network, via, addr)
	}
}

// smuggled dials the address from the network with a route by way of via.
func smuggled(t *testing.T, network, via, addr string) inner.Dialed {
	t.Helper()
	name := network + "-smuggler"
	call(t, name, network, "stay")
	pid := listed(t, "inspect", "-f", "{{.State.Pid}}", name)[0]
	host, _, _ := strings.Cut(addr, ":")
	out, err := exec.Command("nsenter", "-t", pid, "-n", "ip", "route", "add", host+"/32", "via", via).CombinedOutput()
	if err != nil {
		t.Fatalf("add the route: %v\n%s", err, out)
	}
	defer docker(t, "rm", "-f", name)
	return answerOf[map[string]inner.Dialed](t, exec.Command("docker", "exec", name, "/app", "dial", addr))[addr]
}

// strangers checks that a second project of the same daemon sees nothing of the
// first.
func strangers(t *testing.T, h *host) {
	t.Helper()
	other := map[string]string{"COMPOSE_PROJECT_NAME": h.project + "-other", "COMPOSE_FILE": "other.yml"}
	h.write("other.yml", "services:\n"+called("stranger", ""))
	if r := h.with(other, "deploy", "-y"); r.code != 0 {
		t.Fatalf("deploy the other project: exit %d\n%s", r.code, r.err)
	}
	defer func() {
		if r := h.with(other, "down", "--volumes"); r.code != 0 {
			t.Errorf("down: exit %d\n%s", r.code, r.err)
		}
	}()
	network := h.project + "-other_default"
	if got := lookup(t, network, "svc"); len(got) > 0 {
		t.Errorf("the other project finds svc at %v", got)
	}
	near := lookup(t, network, "stranger")
	if len(near) != 1 {
		t.Fatalf("stranger is %v", near)
	}
	apart(t, network, near[0], addressOf(t, h.holderOf("svc"), h.project+"_left")+":7000")
}

// TestInnerControl_AContainerInTwoNetworksIsABridge shows that smuggling works
// where nothing is done about it, or that test could not fail.
func TestInnerControl_AContainerInTwoNetworksIsABridge(t *testing.T) {
	needInner(t)
	const left, right, name = "e2e-inner-bridge-left", "e2e-inner-bridge-right", "e2e-inner-bridge"
	for _, network := range []string{left, right} {
		_ = exec.Command("docker", "network", "rm", network).Run() // of a run that was killed
		docker(t, "network", "create", network)
		t.Cleanup(func() { docker(t, "network", "rm", network) })
	}
	_ = exec.Command("docker", "rm", "-f", name).Run()
	docker(t, "run", "-d", "--name", name, "--network", left, serverImage)
	t.Cleanup(func() { docker(t, "rm", "-f", name) })
	docker(t, "network", "connect", right, name)
	near, far := addressOf(t, name, left), addressOf(t, name, right)
	answers(t, fmt.Sprintf("http://%s:8000", near))
	if d := smuggled(t, left, near, far+":7000"); d.How != inner.Greeted {
		t.Errorf("smuggling does not work: %+v", d)
	}
}
