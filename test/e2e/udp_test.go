package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// dialUDP opens a UDP socket towards an address, from where a client is.
type dialUDP func(ctx context.Context, network, addr string) (net.Conn, error)

// datagramPatience is how long an answer may take: longer than a held rollout.
const datagramPatience = 10 * time.Second

// datagramLoad asks over UDP until it is stopped: on fresh sockets, and on some that
// are kept.
type datagramLoad struct {
	stop context.CancelFunc
	wait sync.WaitGroup

	mu          sync.Mutex
	fresh, kept datagramCount
	last        map[string]int // by release: kept sockets whose last answer is of it
}

type datagramCount struct {
	asked, lost int
	releases    map[string]int
}

const (
	freshEvery = 20 * time.Millisecond
	keptEvery  = 50 * time.Millisecond
	keptMany   = 3
)

func askDatagrams(t *testing.T, dial dialUDP, addr string) *datagramLoad {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &datagramLoad{stop: stop, fresh: datagramCount{releases: map[string]int{}}, kept: datagramCount{releases: map[string]int{}}, last: map[string]int{}}
	for range keptMany {
		c, err := dial(ctx, "udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		l.wait.Go(func() { l.keep(ctx, c) })
	}
	l.wait.Go(func() {
		tick := time.NewTicker(freshEvery)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			l.wait.Go(func() {
				c, err := dial(ctx, "udp", addr)
				if err != nil {
					return // it ends
				}
				defer c.Close()
				release := askedOnce(c, fmt.Sprint("fresh", n))
				l.mu.Lock()
				defer l.mu.Unlock()
				l.fresh.count(release)
			})
		}
	})
	t.Cleanup(func() { stop(); l.wait.Wait() })
	return l
}

// keep asks on one socket, over and over.
func (l *datagramLoad) keep(ctx context.Context, c net.Conn) {
	defer c.Close()
	release := ""
	for n := 0; ctx.Err() == nil; n++ {
		got := askedOnce(c, fmt.Sprint("kept", n))
		l.mu.Lock()
		l.kept.count(got)
		l.mu.Unlock()
		if got != "" {
			release = got
		}
		select {
		case <-ctx.Done():
		case <-time.After(keptEvery):
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[release]++
}

func (c *datagramCount) count(release string) {
	c.asked++
	if release == "" {
		c.lost++
		return
	}
	c.releases[release]++
}

// askedOnce sends one datagram and gives the release that answers; empty: none did.
func askedOnce(c net.Conn, word string) string {
	answer := answered(c, word)
	_, release, _ := strings.Cut(answer, " release=")
	return release
}

// answered sends one datagram and gives its answer; empty: there was none. Answers to
// earlier ones are passed over.
func answered(c net.Conn, word string) string {
	_ = c.SetDeadline(time.Now().Add(datagramPatience))
	if _, err := c.Write([]byte(word)); err != nil {
		return ""
	}
	b := make([]byte, 256)
	for {
		n, err := c.Read(b)
		if err != nil {
			return ""
		}
		if strings.HasPrefix(string(b[:n]), word+" ") {
			return string(b[:n])
		}
	}
}

// end stops the load and waits for what is under way.
func (l *datagramLoad) end() *datagramLoad {
	l.stop()
	l.wait.Wait()
	return l
}

func (l *datagramLoad) String() string {
	return fmt.Sprintf("fresh: %d asked, %d lost, answered by %v; kept: %d asked, %d lost, answered by %v, in the end by %v",
		l.fresh.asked, l.fresh.lost, l.fresh.releases, l.kept.asked, l.kept.lost, l.kept.releases, l.last)
}

// askOnce asks from a client's place.
func askOnce(t *testing.T, dial dialUDP, addr, word string) string {
	t.Helper()
	c, err := dial(t.Context(), "udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return answered(c, word)
}

// fromHere dials on this machine.
func fromHere(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// withDatagrams has two replicas of a service that answers UDP, on the same port as
// TCP, and one that writes to a volume.
func withDatagrams(t *testing.T, h *host, hold string) {
	t.Helper()
	h.env["ONE_PORT"] = freePort(t)
	withInner(t, h, `services:
`+called("names", `    ports: ["${API_PORT}:7002/udp", "${API_PORT}:7000/tcp"]
    deploy: { replicas: 2 }
`)+`  single:
    image: `+serverImage+`
    environment: { RELEASE: "${GESALP_RELEASE:-1}", START_DELAY: 500ms }
    ports: ["${ONE_PORT}:7002/udp"]
    volumes: ["data:/data"]
    x-steady:
      probe: { kind: http, port: 8000, path: /health }
`+hold+`volumes: { data: {} }
`)
}

func TestUDP_PublishedPortsLoseNothing(t *testing.T) {
	h := newHost(t, "e2e-udp")
	withDatagrams(t, h, "")
	h.deploy(1)
	visitors := visitorsNetwork(t)
	outside, inside := hostAddr+":"+h.env["API_PORT"], "127.0.0.1:"+h.env["API_PORT"]
	for where, got := range map[string]string{
		"outside": askOnce(t, visitors, outside, "who"), "loopback": askOnce(t, fromHere, inside, "who"),
		"v6": askOnce(t, fromHere, "[::1]:"+h.env["API_PORT"], "who"), "own address": askOnce(t, fromHere, outside, "who"),
	} {
		if !strings.HasPrefix(got, "who release=1 from=") {
			t.Errorf("%s: %q", where, got)
		}
		if where == "outside" && !strings.Contains(got, "from="+visitorAddr+":") {
			t.Errorf("outside: the sender's address is not kept: %q", got)
		}
	}
	if t.Failed() {
		out, _ := exec.Command("iptables-save").CombinedOutput()
		t.Logf("%s", out)
	}
	loads := map[string]*datagramLoad{
		"outside": askDatagrams(t, visitors, outside), "loopback": askDatagrams(t, fromHere, inside),
		"single, outside": askDatagrams(t, visitors, hostAddr+":"+h.env["ONE_PORT"]), "single, loopback": askDatagrams(t, fromHere, "127.0.0.1:"+h.env["ONE_PORT"]),
	}
	n := rollouts(t, 2)
	for release := 2; release <= n+1; release++ {
		r := h.deploy(release)
		t.Log(r.out, r.err)
	}
	last := fmt.Sprint(n + 1)
	for name, l := range loads {
		t.Logf("%s: %s", name, l.end())
		if l.fresh.lost > 0 || l.fresh.asked == 0 {
			t.Errorf("%s: %d of %d fresh questions were lost", name, l.fresh.lost, l.fresh.asked)
		}
		if l.last[last] != keptMany {
			t.Errorf("%s: kept sockets were answered in the end by %v", name, l.last)
		}
	}
}

// TestUDP_IsTakenOverOutlivesDaemonAndProxyAndGoesWithDown has docker compose publish
// UDP first. The control, which is replaced without being held, must lose.
func TestUDP_IsTakenOverOutlivesDaemonAndProxyAndGoesWithDown(t *testing.T) {
	h := swiftHost(t, "e2e-udp-ways")
	first := 14000 + os.Getpid()%5000 // no port that others are given
	h.env["MANY"], h.env["ONE_PORT"] = fmt.Sprintf("%d-%d", first, first+5), freePort(t)
	withInner(t, h, "services:\n"+called("svc", `    ports: ["${API_PORT}:7002/udp", "${MANY}:7002-7007/udp"]
`))
	h.compose("up", "-d")
	visitors := visitorsNetwork(t)
	outside := hostAddr + ":" + h.env["API_PORT"]
	h.eventually("what compose has made answers", func() bool { return strings.HasPrefix(askOnce(t, visitors, outside, "x"), "x release=1") })
	l := askDatagrams(t, visitors, outside)
	took := h.deploy(2)
	t.Logf("takeover: %s\n%s", l.end(), took.err)
	if l.fresh.lost > 0 || l.last["2"] != keptMany {
		t.Errorf("taken over: %d fresh questions lost, kept sockets were answered in the end by %v", l.fresh.lost, l.last)
	}
	for _, at := range []string{outside, fmt.Sprintf("%s:%d", hostAddr, first), "127.0.0.1:" + h.env["API_PORT"], fmt.Sprintf("[::1]:%d", first)} {
		dial := visitors
		if !strings.HasPrefix(at, hostAddr) {
			dial = fromHere
		}
		if got := askOnce(t, dial, at, "x"); got != "x release=2" {
			t.Errorf("%s: %q", at, got)
		}
	}
	if status := h.steady("status").out; !strings.Contains(status, fmt.Sprintf("%s->7002-7007/udp", h.env["MANY"])) {
		t.Errorf("status:\n%s", status)
	}
	udpOutlives(t, h, visitors, outside)
	udpTaken(t, h)
	h.write("override.yml", `services:
  single:
    image: `+serverImage+`
    environment: { RELEASE: "${GESALP_RELEASE:-1}", START_DELAY: 500ms }
    ports: ["${ONE_PORT}:7002/udp"]
    volumes: ["data:/data"]
    x-steady: { probe: { kind: http, port: 8000, path: /health }, hold: off }
volumes: { data: {} }
`)
	h.deploy(4)
	l = askDatagrams(t, visitors, hostAddr+":"+h.env["ONE_PORT"])
	h.deploy(5, "single")
	if t.Logf("the control: %s", l.end()); l.fresh.lost == 0 {
		t.Error("nothing was lost without a hold: the rig is blind")
	}
	if r := h.steady("down", "--volumes"); r.code != 0 {
		t.Fatalf("down: exit %d\n%s", r.code, r.err)
	}
	if out, err := exec.Command("iptables-save").CombinedOutput(); err != nil || strings.Contains(string(out), "STEADY-UDP") {
		t.Errorf("rules are left: %v\n%s", err, out)
	}
}

// udpOutlives ends the daemon, then the proxy, and starts both again.
func udpOutlives(t *testing.T, h *host, visitors dialUDP, outside string) {
	t.Helper()
	pid := h.proxyPID()
	h.stop()
	inside := "127.0.0.1:" + h.env["API_PORT"]
	for at, dial := range map[string]dialUDP{outside: visitors, inside: fromHere} {
		if got := askOnce(t, dial, at, "x"); got != "x release=2" {
			t.Errorf("without a daemon %s: %q", at, got)
		}
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := askOnce(t, visitors, outside, "x"); got != "x release=2" {
		t.Errorf("without a proxy: %q", got)
	}
	h.boot()
	if got := askOnce(t, fromHere, inside, "x"); got != "x release=2" {
		t.Errorf("with the next proxy: %q", got)
	}
	h.deploy(3)
	for at, dial := range map[string]dialUDP{outside: visitors, inside: fromHere} {
		if got := askOnce(t, dial, at, "x"); got != "x release=3" {
			t.Errorf("after one more rollout %s: %q", at, got)
		}
	}
}

// udpTaken deploys to a port that this process has.
func udpTaken(t *testing.T, h *host) {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	port := fmt.Sprint(c.LocalAddr().(*net.UDPAddr).Port)
	r := h.with(map[string]string{"API_PORT": port}, "deploy", "-y", "svc")
	want := fmt.Sprintf("port %s/udp: :%s/udp is taken by e2e.test (pid %d)", port, port, os.Getpid())
	if name, err := os.ReadFile("/proc/self/comm"); err == nil {
		want = strings.Replace(want, "e2e.test", strings.TrimSpace(string(name)), 1)
	}
	if r.code == 0 || !strings.Contains(r.err, want) {
		t.Errorf("exit %d, want %q\n%s", r.code, want, r.err)
	}
}
