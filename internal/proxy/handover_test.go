package proxy_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// handover is a rig whose one listener, at a fixed port, belongs to a pool that a table
// names, and then to another.
type handover struct {
	*rig
	port uint16
}

func newHandover(t *testing.T, limits proxy.Limits) *handover {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &handover{rig: newRig(t, steady.Auto, limits), port: uint16(ln.Addr().(*net.TCPAddr).Port)}
	ln.Close()
	h.addr = fmt.Sprintf("127.0.0.1:%d", h.port)
	return h
}

// to puts a table in force in which the port belongs to a service and no other is named.
func (h *handover) to(protocol, service string, us ...steady.Upstream) {
	h.t.Helper()
	h.version++
	pool := steady.Pool{Name: "shop/" + service + ":80", Upstreams: us}
	err := h.client.Serve(h.t.Context(), steady.Table{Version: h.version, Pools: []steady.Pool{pool},
		Listeners: []steady.Listener{{Host: "127.0.0.1", Port: h.port, Protocol: protocol, Pool: pool.Name}}})
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestHandover_UnderLoadLosesNothing(t *testing.T) {
	h := newHandover(t, proxy.Limits{})
	old := startApp(t, "0")
	h.to(steady.Auto, "s0", upstreamAt("0", 1, old.addr))
	keep, posts, fresh := startLoad(h.addr, 4, false), startLoad(h.addr, 4, true), startFreshLoad(h.addr, 4, false)
	for i := 1; i <= 30; i++ {
		so := keep.sent.Load() + posts.sent.Load()
		eventually(t, "load runs", func() bool { return keep.sent.Load()+posts.sent.Load() > so+100 })
		next := startApp(t, fmt.Sprint(i))
		h.to(steady.Auto, "s"+next.name, upstreamAt(next.name, 1, next.addr))
		d, err := h.client.Drain(t.Context(), []string{"id-" + old.name}, steady.Drain{Requests: 10 * time.Second})
		if err != nil || d.Cut != 0 {
			t.Fatalf("drain: %+v, %v", d, err)
		}
		old.kill()
		old = next
	}
	for name, l := range map[string]*load{"get": keep, "post": posts, "fresh": fresh} {
		sent, lost := l.end()
		t.Logf("%s: %d sent, %d lost", name, sent, lost)
		if lost != 0 || sent < 100 {
			t.Errorf("%s: %d of %d lost", name, lost, sent)
		}
	}
}

// The control: a port that closes between its two owners must lose.
func TestHandover_ControlThatClosesThePortLoses(t *testing.T) {
	h := newHandover(t, proxy.Limits{})
	old := startApp(t, "old")
	h.to(steady.Auto, "web", upstreamAt("old", 1, old.addr))
	l := startFreshLoad(h.addr, 4, false)
	eventually(t, "load runs", func() bool { return l.sent.Load() > 100 })
	h.serve(steady.Auto)
	eventually(t, "something is lost", func() bool { return l.lost.Load() > 0 })
	l.end()
}

func TestHandover_ARequestWhoseBodyIsStillComingGoesToTheNewOwner(t *testing.T) {
	h := newHandover(t, proxy.Limits{})
	web, site := backend(t, "web", 1, says("web")), backend(t, "site", 1, says("site"))
	h.to(steady.HTTP, "web", web)
	c := h.dial()
	// The first request's answer shows that the connection is served; the second's head
	// has come with it.
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
	for i, want := range []string{"web", "site"} {
		res := c.response()
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != 200 || string(body) != want {
			t.Errorf("answer %d: %s %q, want %q", i, res.Status, body, want)
		}
		if i == 0 {
			h.to(steady.HTTP, "site", site)
			c.send("cd")
		}
	}
}

func TestHandover_RequestsThatAreHeldGoToTheNewOwner(t *testing.T) {
	h := newHandover(t, proxy.Limits{})
	site := backend(t, "site", 1, says("site"))
	h.to(steady.HTTP, "web", backend(t, "web", 1, says("web")))
	h.version++
	gate := steady.Hold{Most: 10, Bytes: 1 << 20, For: 20 * time.Second, Lease: time.Minute}
	if err := h.client.Serve(t.Context(), steady.Table{Version: h.version,
		Listeners: []steady.Listener{{Host: "127.0.0.1", Port: h.port, Protocol: steady.HTTP, Pool: "shop/web:80"}},
		Pools:     []steady.Pool{{Name: "shop/web:80", Hold: &gate}}}); err != nil {
		t.Fatal(err)
	}
	c := h.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the request waits", func() bool { return len(h.status().Gates) > 0 && h.status().Gates[0].Waiting == 1 })
	h.to(steady.HTTP, "site", site)
	res := c.response()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != 200 || string(body) != "site" {
		t.Errorf("%s %q", res.Status, body)
	}
}

// The server of such a protocol speaks first: the client that waits for it is asked for
// at the new owner.
func TestHandover_AConnectionThatIsHeldGoesToTheNewOwner(t *testing.T) {
	h := newHandover(t, proxy.Limits{})
	h.to(steady.TCP, "web", tcpBackend(t, "web", 1, greetsAs("web")))
	h.version++
	gate := steady.Hold{Most: 10, Bytes: 1 << 20, For: 20 * time.Second, Lease: time.Minute}
	if err := h.client.Serve(t.Context(), steady.Table{Version: h.version,
		Listeners: []steady.Listener{{Host: "127.0.0.1", Port: h.port, Protocol: steady.TCP, Pool: "shop/web:80"}},
		Pools:     []steady.Pool{{Name: "shop/web:80", Hold: &gate}}}); err != nil {
		t.Fatal(err)
	}
	c := h.dial()
	eventually(t, "the connection waits", func() bool { return len(h.status().Gates) > 0 && h.status().Gates[0].Waiting == 1 })
	h.to(steady.TCP, "site", tcpBackend(t, "site", 1, greetsAs("site")))
	if line := c.line(); !strings.HasSuffix(line, "site") {
		t.Errorf("greeted with %q", line)
	}
}

func greetsAs(name string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, "hello from "+name+"\n") }
}
