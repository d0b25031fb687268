package proxy_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
	"gesalpai.ch/steady/internal/proxy"
)

func TestLend_TableThatNamesWhatWasNotLentIsRefused(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{}, backend(t, "a", 1, says("a")))
	inner := &innerRig{r}
	err := r.client.Serve(t.Context(), inner.table())
	if !errors.Is(err, steady.ErrUsage) || !strings.Contains(err.Error(), "shop/api") {
		t.Errorf("%v", err)
	}
	if _, body := r.get("/"); body != "a" {
		t.Error(body)
	}
}

func TestLend_RefusesWhatIsNoHoldersListener(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, name := range []string{"udp:127.0.0.1:80", "holder:", "x"} {
		if err := lendAs(t, r.client, name, ln.(*net.TCPListener)); !errors.Is(err, steady.ErrUsage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := r.client.Lend(t.Context(), "holder:shop/api", null); !errors.Is(err, steady.ErrUsage) {
		t.Errorf("no socket: %v", err)
	}
	r.stop()
	if err := r.client.Lend(t.Context(), "holder:shop/api", null); !errors.Is(err, steady.ErrNoProxy) {
		t.Errorf("no proxy: %v", err)
	}
	if _, err := r.client.Listeners(t.Context()); !errors.Is(err, steady.ErrNoProxy) {
		t.Errorf("no proxy: %v", err)
	}
}

func TestServe_RefusesHoldersThatContradictThemselves(t *testing.T) {
	r := &innerRig{newRig(t, steady.Auto, proxy.Limits{})}
	for name, spoil := range map[string]func(*steady.Table){
		"port of its own":   func(t *steady.Table) { t.Listeners[0].Port = 80 },
		"pool of its own":   func(t *steady.Table) { t.Listeners[0].Pool = innerPool },
		"no address":        func(t *steady.Table) { t.Listeners[0].Arrivals["x"] = innerPool },
		"no such pool":      func(t *steady.Table) { t.Listeners[0].Arrivals["10.0.0.1"] = "shop/api@x" },
		"published pool":    func(t *steady.Table) { t.Listeners[0].Arrivals["10.0.0.1"] = poolName },
		"twice":             func(t *steady.Table) { t.Listeners = append(t.Listeners, t.Listeners[0]) },
		"upstream's port":   func(t *steady.Table) { t.Pools[0].Upstreams = []steady.Upstream{{ID: "a", Addr: "10.0.0.1:80"}} },
		"published at that": func(t *steady.Table) { t.Listeners[0] = steady.Listener{Protocol: steady.Auto, Pool: innerPool} },
	} {
		table := r.table()
		table.Pools = append(table.Pools, steady.Pool{Name: poolName})
		spoil(&table)
		err := r.client.Serve(t.Context(), table)
		if !errors.Is(err, steady.ErrUsage) || !strings.Contains(err.Error(), "bad table") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLend_AgainTakesThePlaceWithTheNextTable(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	serveAt(t, 1, 8000, &http.Server{Handler: says("a")})
	r := newInnerRig(t, replica(1))
	kept := r.dialIn(8000)
	kept.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	io.Copy(io.Discard, kept.response().Body)
	for range 3 {
		second := holderListener(t)
		lend(t, r.client, second)
		r.serve(replica(1))
		second.Close()
		r.addr = in(8000)
		for range 5 { // on the new one, or with both sharing the port half would hang
			if _, body := r.get("/"); body != "a" {
				t.Error(body)
			}
		}
	}
	kept.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if res := kept.response(); res.StatusCode != 200 || res.Close {
		t.Errorf("a connection from before: %s close=%v", res.Status, res.Close)
	}
}

func TestLend_SameSocketAgainChangesNothing(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	serveAt(t, 1, 8000, &http.Server{Handler: says("a")})
	r := newInnerRig(t, replica(1))
	l := startFreshLoad(in(8000), 2, true)
	for range 20 {
		hs, err := r.client.Listeners(t.Context())
		if err != nil || len(hs) != 1 {
			t.Fatal(hs, err)
		}
		if err := r.client.Lend(t.Context(), hs[0].Name, hs[0].File); err != nil {
			t.Fatal(err)
		}
		hs[0].File.Close()
		r.serve(replica(1))
		so := l.sent.Load()
		eventually(t, "load runs", func() bool { return l.sent.Load() > so+10 })
	}
	if sent, lost := l.end(); lost != 0 {
		t.Errorf("%d of %d lost", lost, sent)
	}
}

// A proxy that starts without what its table names serves the rest, says what is
// missing and takes it when it comes.
func TestLend_ListenerMissingAtTheStartIsTakenWhenItComes(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	serveAt(t, 1, 8000, &http.Server{Handler: says("a")})
	r := newInnerRig(t, replica(1))
	r.stop()
	r.start()
	if l := r.status().Listeners[0]; l.Bound != 0 || l.Error == "" || l.Holder != "shop/api" {
		t.Errorf("%+v", l)
	}
	lend(t, r.client, holderListener(t))
	if l := r.status().Listeners[0]; l.Bound != steady.HolderPort || l.Error != "" {
		t.Errorf("%+v", l)
	}
	r.addr = in(8000)
	if _, body := r.get("/"); body != "a" {
		t.Error(body)
	}
}

func TestListeners_AreNamedAsTheNextProxyLooksForThem(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{}, backend(t, "a", 1, says("a")))
	hs, err := r.client.Listeners(t.Context())
	if err != nil || len(hs) != 1 || hs[0].Name != "tcp:"+r.addr {
		t.Fatalf("%+v %v", hs, err)
	}
	// While there is no proxy, who connects waits; the next one has the port at
	// once, and what waited.
	r.stop()
	waiting := r.dial()
	waiting.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	stray, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unused, err := listen.Lend("tcp:"+stray.Addr().String(), stray.(*net.TCPListener))
	if err != nil {
		t.Fatal(err)
	}
	stray.Close()
	r.options.Inherited = append(hs, unused)
	r.start()
	if b, err := io.ReadAll(waiting.response().Body); string(b) != "a" {
		t.Error(string(b), err)
	}
	if c, err := net.Dial("tcp", stray.Addr().String()); err == nil {
		c.Close()
		t.Error("a listener without a use is kept")
	}
}

// A proxy that something else has started again cannot bind what copies keep. It
// gets it by being lent the copy, and with it who waited meanwhile.
func TestLend_PublishedListenerThatTheTableHasMissed(t *testing.T) {
	u := backend(t, "a", 1, says("a"))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	table := r.table(steady.Auto, u)
	table.Listeners[0].Port = freePort(t)
	if err := r.client.Serve(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	r.addr = table.Listeners[0].Addr()
	hs, err := r.client.Listeners(t.Context())
	if err != nil || len(hs) != 1 {
		t.Fatal(hs, err)
	}
	defer hs[0].File.Close()
	r.stop()
	waiting := r.dial()
	waiting.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	r.start()
	if l := r.status().Listeners[0]; l.Bound != 0 || l.Error == "" {
		t.Fatalf("it has bound what a copy keeps: %+v", l)
	}
	for range 2 { // twice is as once
		if err := r.client.Lend(t.Context(), hs[0].Name, hs[0].File); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := io.ReadAll(waiting.response().Body); string(b) != "a" {
		t.Error(string(b), err)
	}
	for range 10 {
		if _, body := r.get("/"); body != "a" {
			t.Error(body)
		}
	}
}

// A port that leaves the table can be listened on again at once, though somebody
// keeps copies of what listened there.
func TestListeners_CopiesKeepNoPort(t *testing.T) {
	u := backend(t, "a", 1, says("a"))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	port := freePort(t)
	for _, host := range []string{"127.0.0.1", "", "127.0.0.1"} {
		table := r.table(steady.Auto, u)
		table.Listeners[0].Host, table.Listeners[0].Port = host, port
		if err := r.client.Serve(t.Context(), table); err != nil {
			t.Fatalf("%q: %v", host, err)
		}
		hs, err := r.client.Listeners(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer hs[0].File.Close()
		r.addr = fmt.Sprintf("127.0.0.1:%d", port)
		if _, body := r.get("/"); body != "a" {
			t.Errorf("%q: %q", host, body)
		}
	}
}

func TestHandles_JunkIsSurvivedAndLeavesNoDescriptor(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{}, backend(t, "a", 1, says("a")))
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	path := r.options.Socket + ".fds"
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	junk := func(say func(*net.UnixConn)) {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		say(c)
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, c) // until the proxy has closed it
	}
	noise := make([]byte, 5000)
	_, _ = rand.Read(noise)
	many := make([]int, 20)
	for i := range many {
		many[i] = int(null.Fd())
	}
	round := func() {
		junk(func(c *net.UnixConn) {})
		junk(func(c *net.UnixConn) { c.Write([]byte("L")) })
		junk(func(c *net.UnixConn) { c.Write([]byte("L\x00\x20holder:")) })
		junk(func(c *net.UnixConn) { c.Write(append([]byte("L"), noise...)) })
		junk(func(c *net.UnixConn) { c.Write(noise) })
		junk(func(c *net.UnixConn) { c.WriteMsgUnix([]byte("L"), unix.UnixRights(int(null.Fd())), nil) })
		junk(func(c *net.UnixConn) {
			c.Write([]byte("L"))
			c.WriteMsgUnix([]byte("\x00\x01x"), unix.UnixRights(many...), nil)
		})
		junk(func(c *net.UnixConn) { c.WriteMsgUnix([]byte("C"), unix.UnixRights(many...), nil) })
	}
	round()
	before := descriptors(t)
	for range 20 {
		round()
	}
	eventually(t, "no descriptor is left", func() bool { return descriptors(t) <= before })
	if _, body := r.get("/"); body != "a" {
		t.Error(body)
	}
	if hs, err := r.client.Listeners(t.Context()); err != nil || len(hs) != 1 {
		t.Errorf("%v %v", hs, err)
	} else {
		hs[0].File.Close()
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}
