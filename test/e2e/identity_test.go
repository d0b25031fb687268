package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/process"
)

// What web and admin say they are.
const (
	isWeb   = "100"
	isAdmin = "200"
)

// twoServices deploys one that the public sees and one that it must never see.
func twoServices(t *testing.T, h *host) {
	t.Helper()
	file := "services:\n"
	for name, at := range map[string]string{"web": "${API_PORT}:8000\"]\n    environment: { RELEASE: \"" + isWeb, "admin": "127.0.0.1:${REPORT_PORT}:8000\"]\n    environment: { RELEASE: \"" + isAdmin} {
		file += "  " + name + ":\n    image: " + serverImage + "\n    stop_grace_period: 5s\n    ports: [\"" + at + "\" }\n"
	}
	withInner(t, h, file)
	h.deploy(1)
	if got := answers(t, h.api()); got != isWeb {
		t.Fatalf("web's port answers as %s", got)
	}
}

func (h *host) replica(service string) string { return h.project + "-" + service + "-1-1" }

// swap has the Engine give web's address to admin and admin's to web.
func (h *host) swap() {
	h.t.Helper()
	network := h.project + "_default"
	web, admin := h.replica("web"), h.replica("admin")
	was := addressOf(h.t, web, network)
	first, second := admin, web
	if was > addressOf(h.t, admin, network) {
		first, second = web, admin // who starts first gets the lowest
	}
	docker(h.t, "stop", web, admin)
	docker(h.t, "start", first)
	docker(h.t, "start", second)
	if addressOf(h.t, admin, network) != was {
		h.t.Fatalf("the addresses were not swapped: admin has %s, web had %s", addressOf(h.t, admin, network), was)
	}
}

// killAll kills daemon and proxy, as a power cut would.
func (h *host) killAll() {
	h.t.Helper()
	proxy := h.proxyPID()
	_ = h.daemon.Process.Kill()
	<-h.exited
	if err := syscall.Kill(proxy, syscall.SIGKILL); err != nil {
		h.t.Fatal(err)
	}
	h.eventually("the proxy is gone", func() bool { return syscall.Kill(proxy, 0) != nil })
}

// pageviews ask web's port until they are ended, and count who answers.
type pageviews struct {
	web, admin, nobody atomic.Int64
	end                func()
}

func view(url string, n int) *pageviews {
	v := &pageviews{}
	ctx, cancel := context.WithCancel(context.Background())
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				<-tick.C
				v.ask(client, url)
			}
		})
	}
	v.end = func() { cancel(); wg.Wait() }
	return v
}

func (v *pageviews) ask(client *http.Client, url string) {
	res, err := client.Get(url + "/echo")
	if err != nil {
		v.nobody.Add(1)
		return
	}
	res.Body.Close()
	switch res.Header.Get("X-Release") {
	case isWeb:
		v.web.Add(1)
	case isAdmin:
		v.admin.Add(1)
	default:
		v.nobody.Add(1)
	}
}

func (v *pageviews) String() string {
	return fmt.Sprintf("%d answered by web, %d by admin, %d by nobody", v.web.Load(), v.admin.Load(), v.nobody.Load())
}

// TestIdentity_AProxyThatStartsAloneServesNobodyElse is a reboot after which the
// containers started in another order, and the proxy before the daemon.
func TestIdentity_AProxyThatStartsAloneServesNobodyElse(t *testing.T) {
	h := newHost(t, "e2e-identity")
	twoServices(t, h)
	h.killAll()
	proxy := h.supervise()
	if got := answers(t, h.api()); got != isWeb {
		t.Errorf("nothing has changed, and a proxy alone answers as %s", got)
	}
	_ = proxy.Process.Kill()
	h.swap()
	h.supervise()
	v := view(h.api(), 4)
	h.eventually("visitors have come", func() bool { return v.nobody.Load()+v.admin.Load()+v.web.Load() >= 8 })
	v.end()
	if v.admin.Load() > 0 || v.web.Load() > 0 {
		t.Errorf("a proxy that knows nobody: %s", v)
	}
	waits := make(chan string, 1)
	go func() {
		got, err := ask(t.Context(), h.api()+"/echo")
		if err != nil {
			got = err.Error()
		}
		waits <- got
	}()
	h.boot()
	if got := <-waits; got != isWeb {
		t.Errorf("who has waited was answered by %s", got)
	}
	if got := dialed(t, h.project+"_default", "web:7000"); fmt.Sprint(got.Release) != isWeb {
		t.Errorf("by its name web is %+v", got)
	}
}

// TestIdentity_ControlATableThatNamesTheWrongProcessesShowsAdmin is what the other
// would see if addresses were trusted: the rig is not blind.
func TestIdentity_ControlATableThatNamesTheWrongProcessesShowsAdmin(t *testing.T) {
	h := newHost(t, "e2e-identity-control")
	twoServices(t, h)
	h.killAll()
	h.swap()
	trustAddresses(t, h)
	h.supervise()
	if got := answers(t, h.api()); got != isAdmin {
		t.Errorf("web's port answers as %s", got)
	}
	h.boot()
}

// trustAddresses has the proxy's table name for each address whoever has it now.
func trustAddresses(t *testing.T, h *host) {
	t.Helper()
	path := filepath.Join(h.state, "table.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Table steady.Table `json:"table"`
		Bound []uint16     `json:"bound"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	now := map[netip.Addr]steady.Process{}
	for _, service := range []string{"web", "admin"} {
		at := netip.MustParseAddr(addressOf(t, h.replica(service), h.project+"_default"))
		pid, err := strconv.Atoi(listed(t, "inspect", "-f", "{{.State.Pid}}", h.replica(service))[0])
		if err != nil {
			t.Fatal(err)
		}
		if now[at], err = process.Identify(pid, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range file.Table.Pools {
		for i, u := range p.Upstreams {
			if at, err := netip.ParseAddrPort(u.Addr); err == nil {
				p.Upstreams[i].Process = now[at.Addr()]
			}
		}
	}
	if b, err = json.Marshal(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, fs.FileMode(0o600)); err != nil {
		t.Fatal(err)
	}
}

// TestIdentity_OnAFullDiskUnderLoadAddressesAreMended moves the containers' addresses
// while the daemon can write neither its store nor the proxy's table.
func TestIdentity_OnAFullDiskUnderLoadAddressesAreMended(t *testing.T) {
	full := tmpfs(t, "2m") // unmounted after the host is torn down
	h := newHost(t, "e2e-identity-full")
	h.killAll()
	h.state = full
	h.boot()
	twoServices(t, h)
	fill(t, h.state)
	v := view(h.api(), 4)
	for range 3 {
		h.swap()
		so := v.web.Load()
		h.eventually("web answers at its new address", func() bool { return v.web.Load() > so+20 })
		docker(t, "restart", "-t", "1", h.replica("web"))
	}
	v.end()
	t.Log(v)
	if v.admin.Load() > 0 {
		t.Errorf("%s", v)
	}
	if err := os.Remove(filepath.Join(h.state, "filler")); err != nil {
		t.Fatal(err)
	}
	if got := answers(t, h.api()); got != isWeb {
		t.Errorf("web's port answers as %s", got)
	}
}
