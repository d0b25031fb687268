package proxy_test

import (
	"io"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// container is a process that the upstream of an address is said to be.
type container struct {
	steady.Upstream
	end func()
}

func contain(t *testing.T, u steady.Upstream) container {
	t.Helper()
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	c := container{Upstream: u, end: func() {
		if !ended {
			ended = true
			in.Close()
			_ = cmd.Wait()
		}
	}}
	t.Cleanup(c.end)
	c.Process = processAt(cmd.Process.Pid, u.Addr)
	return c
}

// An address outlives its container: what answers there afterwards is another one,
// and nobody is sent to it.
func TestIdentity_AnAddressWhoseProcessHasEndedGetsNothing(t *testing.T) {
	admin := backend(t, "admin", 1, says("admin"))
	web := contain(t, admin)
	r := newRig(t, steady.HTTP, proxy.Limits{}, web.Upstream)
	if code, body := r.get("/"); code != http.StatusOK || body != "admin" {
		t.Fatalf("%d %q while its process lives", code, body)
	}
	web.end()
	c := r.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	r.waiting(1)
	r.serve(steady.HTTP, backend(t, "web", 1, says("web")))
	res := c.response()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || string(body) != "web" {
		t.Errorf("%d %q, want what the next table names", res.StatusCode, body)
	}
	if gates := r.status().Gates; len(gates) > 0 && gates[0].Shut {
		t.Errorf("still shut: %+v", gates)
	}
}

// What a proxy finds in its file is in force where the process lives, at once, and
// nowhere else.
func TestIdentity_AProxyThatStartsServesOnlyWhomItKnows(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "web", 1, says("web")))
	r.stop()
	r.start()
	if code, body := r.get("/"); code != http.StatusOK || body != "web" {
		t.Errorf("%d %q: nothing has changed meanwhile", code, body)
	}
	rebooted, untold := backend(t, "a", 1, says("admin")), backend(t, "b", 1, says("admin"))
	rebooted.Process.Boot = "another"
	untold.Process = steady.Process{}
	for name, u := range map[string]steady.Upstream{"another boot": rebooted, "no process": untold} {
		r.serve(steady.HTTP, u)
		r.stop()
		r.start()
		c := r.dial()
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		r.waiting(1)
		c.Close()
		if now, err := r.client.Table(t.Context()); err != nil || now.Pools[0].Upstreams[0].Process == (steady.Process{}) {
			t.Errorf("%s: %+v, %v: whoever compares it takes it for served", name, now.Pools, err)
		}
	}
}

// Of several replicas those that live answer, whatever a cookie, a split or the
// load would say.
func TestIdentity_ReplicasThatLiveAnswerForThoseThatEnded(t *testing.T) {
	a := backend(t, "a", 1, says("a"))
	live := backend(t, "b", 1, says("b"))
	for name, pool := range map[string]steady.Pool{
		"load":   {},
		"sticky": {Sticky: &steady.Sticky{Cookie: "s"}},
		"split":  {Split: &steady.Split{Release: 1, Percent: 100}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, steady.HTTP, proxy.Limits{}, live)
			dead := contain(t, a)
			tab := r.table(steady.HTTP)
			pool.Name, pool.Upstreams = poolName, []steady.Upstream{dead.Upstream, live}
			tab.Pools[0] = pool
			if err := r.client.Serve(t.Context(), tab); err != nil {
				t.Fatal(err)
			}
			dead.end()
			for range 20 {
				c := r.dial()
				c.send("GET / HTTP/1.1\r\nHost: x\r\nCookie: s=" + steady.StickyToken(dead.ID) + "\r\nConnection: close\r\n\r\n")
				res := c.response()
				if body, _ := io.ReadAll(res.Body); string(body) != "b" {
					t.Fatalf("%d %q", res.StatusCode, body)
				}
			}
		})
	}
}

// An elder that has ended lends nothing: the 404 stays.
func TestIdentity_AnElderThatEndedIsNotAsked(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "new", 2, http.NotFoundHandler()))
	old := contain(t, backend(t, "old", 1, says("old")))
	tab := r.table(steady.HTTP, backend(t, "new", 2, http.NotFoundHandler()))
	tab.Pools[0].Elders, tab.Pools[0].Assets = []steady.Upstream{old.Upstream}, []string{"/static/*"}
	if err := r.client.Serve(t.Context(), tab); err != nil {
		t.Fatal(err)
	}
	if code, body := r.get("/static/x"); code != http.StatusOK || body != "old" {
		t.Fatalf("%d %q", code, body)
	}
	old.end()
	if code, body := r.get("/static/x"); code != http.StatusNotFound {
		t.Errorf("%d %q", code, body)
	}
}

// TCP connections likewise: they wait, and none is made to whoever has the address.
func TestIdentity_ATCPConnectionWaitsForAContainerThatIsKnown(t *testing.T) {
	strange := contain(t, tcpBackend(t, "admin", 1, func(c net.Conn) { io.WriteString(c, "admin\n") }))
	r := newRig(t, steady.TCP, proxy.Limits{}, strange.Upstream)
	strange.end()
	c := r.dial()
	r.waiting(1)
	r.serve(steady.TCP, tcpBackend(t, "db", 1, func(c net.Conn) { io.WriteString(c, "db\n") }))
	if got := c.line(); got != "db" {
		t.Errorf("%q", got)
	}
}

// A process that lives, and has lost its address: network disconnect.
func TestIdentity_AnAddressThatTheProcessHasNotGetsNothing(t *testing.T) {
	web := backend(t, "web", 1, says("admin"))
	_, port, _ := net.SplitHostPort(web.Addr)
	other, err := net.Listen("tcp", "127.0.5.5:"+port) // the kernel routes it here; it is nobody's address
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: says("admin")}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(other) }()
	t.Cleanup(func() { srv.Close(); <-done })
	web.Addr = other.Addr().String() // web.Process says that its network shows its addresses
	r := newRig(t, steady.HTTP, proxy.Limits{}, web)
	began := time.Now()
	if code, body := r.get("/"); code != http.StatusBadGateway && code != http.StatusServiceUnavailable {
		t.Errorf("%d %q after %s", code, body, time.Since(began))
	}
}
