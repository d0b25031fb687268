package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// greeting is what a server that speaks first says.
const greeting = "220 ready\r\n"

func greets(c net.Conn) {
	io.WriteString(c, greeting)
	io.Copy(c, c)
}

// startReplica is the n-th replica with an app on each port.
func startReplica(t *testing.T, n int, ports ...int) (kill func()) {
	t.Helper()
	var servers []*http.Server
	var wg sync.WaitGroup
	for _, port := range ports {
		ln := listenAt(t, n, port)
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			time.Sleep(3 * time.Millisecond) // its work
			fmt.Fprint(w, n)
		})}
		servers = append(servers, srv)
		wg.Go(func() { _ = srv.Serve(ln) })
	}
	kill = func() {
		for _, srv := range servers {
			srv.Close()
		}
		wg.Wait()
	}
	t.Cleanup(kill)
	return kill
}

func TestInner_ShiftUnderLoadLosesNothingOnAnyPort(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	ports := []int{8000, 8001, 9000}
	kill := startReplica(t, 1, ports...)
	r := newInnerRig(t, replica(1))
	loads := map[string]*load{
		"get":   startLoad(in(8000), 2, false),
		"post":  startLoad(in(8000), 2, true),
		"other": startLoad(in(8001), 2, true),
		"fresh": startFreshLoad(in(9000), 2, true),
	}
	const rollouts = 15
	for i := 2; i <= rollouts; i++ {
		for name, l := range loads {
			so := l.sent.Load()
			eventually(t, name+" runs", func() bool { return l.sent.Load() > so+20 })
		}
		next := startReplica(t, i, ports...)
		r.serve(replica(i))
		d, err := r.client.Drain(t.Context(), []string{replica(i - 1).ID}, steady.Drain{Requests: 10 * time.Second})
		if err != nil || d.Cut != 0 {
			t.Fatalf("drain: %+v, %v", d, err)
		}
		kill()
		kill = next
	}
	for name, l := range loads {
		sent, lost := l.end()
		t.Logf("%s: %d sent, %d lost", name, sent, lost)
		if lost != 0 || sent < 100 {
			t.Errorf("%s: %d of %d lost", name, lost, sent)
		}
		if _, ok := l.versions.Load(fmt.Sprint(rollouts)); !ok {
			t.Errorf("%s: the last release never answered", name)
		}
	}
	for i := 1; i <= rollouts; i++ {
		if c := r.counts(i); c.Lost != 0 || c.Requests != c.Answered || c.Requests == 0 || c.Streams != 0 {
			t.Errorf("release %d: %+v", i, c)
		}
	}
}

// The control: the same loads must lose where the old one is killed before the
// shift.
func TestInner_ControlThatKillsFirstLoses(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	kill := startReplica(t, 1, 8000, 9000)
	r := newInnerRig(t, replica(1))
	loads := []*load{startLoad(in(8000), 2, true), startFreshLoad(in(9000), 2, true)}
	for _, l := range loads {
		eventually(t, "load runs", func() bool { return l.sent.Load() > 100 })
	}
	kill()
	for _, l := range loads {
		eventually(t, "something is lost", func() bool { return l.lost.Load() > 0 })
	}
	startReplica(t, 2, 8000, 9000)
	r.serve(replica(2))
	for _, l := range loads {
		if sent, lost := l.end(); lost == 0 {
			t.Errorf("nothing of %d lost: the load is blind", sent)
		}
	}
}

func TestInner_NoNewConnectionGoesToTheOldOneOnceServeHasReturned(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	names := func(n int) func(net.Conn) {
		return func(c net.Conn) { fmt.Fprintf(c, "%d\n", n) }
	}
	const ports = 30
	for port := range ports {
		tcpAt(t, 1, 7000+port, names(1))
		tcpAt(t, 2, 7000+port, names(2))
	}
	r := newInnerRig(t, replica(1))
	for i := range ports { // ports that were used before the shift, and ports that were not
		r.serve(replica(1 + i%2))
		for _, port := range []int{7000 + i, 7000 + i/2, 7000} {
			if got := r.dialIn(port).line(); got != fmt.Sprint(1+i%2) {
				t.Fatalf("port %d: %s answered while %d is routed", port, got, 1+i%2)
			}
		}
	}
}

func TestInner_PortNobodyListensOnIsResetAndNotCounted(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	r := newInnerRig(t, replica(1), replica(2))
	start := time.Now()
	const scanned = 2000
	for port := range scanned {
		expectReset(t, in(20000+port))
	}
	if took := time.Since(start) / scanned; took > 20*time.Millisecond {
		t.Errorf("%v each: asked more than once", took)
	}
	traffic, err := r.client.Traffic(t.Context())
	if err != nil || len(traffic) != 0 {
		t.Errorf("counted: %+v, %v", traffic, err)
	}
	eventually(t, "nothing of it is remembered", func() bool { return len(r.status().Upstreams) == 0 })
}

func TestInner_ReplicaThatRefusesIsPassedOver(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	r := newInnerRig(t, replica(1), replica(2), replica(3))
	for i := range 20 {
		tcpAt(t, 3, 7000+i, greets)
		serveAt(t, 3, 8000+i, &http.Server{Handler: says("three")})
		if got := r.dialIn(7000 + i).line(); got != "220 ready" {
			t.Errorf("port %d: %q", 7000+i, got)
		}
		r.addr = in(8000 + i)
		if code, body := r.get("/"); code != 200 || body != "three" {
			t.Errorf("port %d: %d %q", 8000+i, code, body)
		}
	}
	if c := r.counts(1); c.Lost != 0 {
		t.Errorf("%+v", c)
	}
}

// A port that has answered is not one that nobody listens on: a replica that
// refuses there is restarting, and what it costs is counted.
func TestInner_PortThatHasAnsweredIsTriedAgainAndCounted(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	ln := listenAt(t, 1, 7000)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, greeting)
			c.Close()
		}
	}()
	r := newInnerRig(t, replica(1))
	if got := r.dialIn(7000).line(); got != "220 ready" {
		t.Fatal(got)
	}
	ln.Close()
	expectReset(t, in(7000))
	if c := r.counts(1); c.Lost != 1 {
		t.Errorf("%+v", c)
	}
	back := r.dialIn(7000)
	tcpAt(t, 1, 7000, greets)
	if got := back.line(); got != "220 ready" {
		t.Errorf("%q", got)
	}
}

func TestInner_NothingCrossesFromOneNetworkToAnother(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	serveAt(t, 1, 8000, &http.Server{Handler: says("default")})
	serveAt(t, 2, 8000, &http.Server{Handler: says("db")})
	serveAt(t, 1, 8001, &http.Server{Handler: says("default")})
	r := newInnerRig(t)
	table := r.table(replica(1))
	table.Pools[1].Upstreams = []steady.Upstream{replica(2)}
	if err := r.client.Serve(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{holderIn: "default", holderInDB: "db"} {
		r.addr = host + ":8000"
		if code, body := r.get("/"); code != 200 || body != want {
			t.Errorf("%s: %d %q", host, code, body)
		}
	}
	expectReset(t, holderInDB+":8001")
	expectReset(t, holderOutOf+":8000")

	// A network that is left: connections from it are told so, and find nobody.
	kept := r.dialIn(8000)
	kept.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	io.Copy(io.Discard, kept.response().Body)
	table = r.table(replica(1))
	delete(table.Listeners[0].Arrivals, holderIn)
	if err := r.client.Serve(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	kept.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if res := kept.response(); res.StatusCode != 503 || !res.Close {
		t.Errorf("%s close=%v", res.Status, res.Close)
	}
	expectReset(t, holderIn+":8000")
}

// Every port is new to the proxy here. Were the client given time to speak first,
// each greeting would come that much later, the quickest too.
func TestInner_ServerThatSpeaksFirstIsHeardAtOnce(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	r := newInnerRig(t, replica(1))
	quickest := time.Hour
	for i := range 10 {
		tcpAt(t, 1, 7000+i, greets)
		start := time.Now()
		c := r.dialIn(7000 + i)
		if got := c.line(); got != "220 ready" {
			t.Errorf("%q", got)
		}
		quickest = min(quickest, time.Since(start))
		c.send("EHLO x\r\n")
		if got := c.line(); got != "EHLO x" {
			t.Errorf("%q", got)
		}
	}
	if quickest > 50*time.Millisecond {
		t.Errorf("the quickest greeting took %v", quickest)
	}
}

func TestInner_GreetingThatLooksLikeABeginOfHTTPIsPassedOn(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	r := newInnerRig(t, replica(1))
	for i, hello := range []string{"H", "\x00", "\x00\x00\x00\x04"} {
		tcpAt(t, 1, 7000+i, func(c net.Conn) { io.WriteString(c, hello); io.Copy(io.Discard, c) })
		b := make([]byte, len(hello))
		if _, err := io.ReadFull(r.dialIn(7000+i), b); err != nil || string(b) != hello {
			t.Errorf("%q: %q %v", hello, b, err)
		}
	}
}

func TestInner_ClientThatSpeaksFirstIsHeardAndSilenceIsKept(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	tcpAt(t, 1, 6379, func(c net.Conn) { // Redis: an answer for every line
		for s := bufio.NewScanner(c); s.Scan(); {
			io.WriteString(c, "+PONG\r\n")
		}
	})
	tcpAt(t, 2, 6379, func(c net.Conn) {
		for s := bufio.NewScanner(c); s.Scan(); {
			io.WriteString(c, "+NEW\r\n")
		}
	})
	r := newInnerRig(t, replica(1))
	quick, silent := r.dialIn(6379), r.dialIn(6379)
	quick.send("PING\r\n")
	if got := quick.line(); got != "+PONG" {
		t.Error(got)
	}
	r.serve(replica(2)) // the silent one is asked for elsewhere
	if d, err := r.client.Drain(t.Context(), []string{replica(1).ID}, steady.Drain{Streams: 50 * time.Millisecond}); err != nil || d.Streams != 1 {
		t.Errorf("%+v %v", d, err)
	}
	silent.send("PING\r\n")
	if got := silent.line(); got != "+NEW" {
		t.Error(got)
	}
}

// A server may close a connection on which nobody has said anything.
func TestInner_EndWithoutAWordIsPassedOn(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	tcpAt(t, 1, 7000, func(c net.Conn) {})
	r := newInnerRig(t, replica(1))
	if b, err := io.ReadAll(r.dialIn(7000)); err != nil || len(b) != 0 {
		t.Errorf("%q %v", b, err)
	}
}

// One request that went astray must not make the clients of a database wait.
func TestStatus_TellsWhoHasStreamsOpen(t *testing.T) {
	r := newRig(t, steady.TCP, proxy.Limits{}, tcpBackend(t, "a", 1, greets))
	for range 2 {
		if got := r.dial().line(); got != "220 ready" {
			t.Fatalf("%q", got)
		}
	}
	if u := r.status().Upstreams; len(u) != 1 || u[0].Streams != 2 || u[0].Callers["127.0.0.1"] != 2 {
		t.Errorf("%+v", u)
	}
}

func TestInner_StrayRequestTeachesNothing(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	tcpAt(t, 1, 3306, greets)
	r := newInnerRig(t, replica(1))
	for range 5 {
		c := r.dialIn(3306)
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		c.r.ReadByte()
		c.Close()
		if got := r.dialIn(3306).line(); got != "220 ready" {
			t.Error(got)
		}
	}
}

func TestInner_ForwardedForIsTheCaller(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	serveAt(t, 1, 8000, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("X-Forwarded-For"))
	})})
	newInnerRig(t, replica(1))
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.3.7")}}
	tr := &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}
	res, err := (&http.Client{Transport: tr}).Get("http://" + in(8000))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); string(b) != "127.0.3.7" {
		t.Errorf("%q", b)
	}
}

func TestInner_SilentConnectionsToAnHTTPPortAskOnlyUntilItHasAnswered(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	var accepted atomic.Int64
	srv := &http.Server{Handler: says("a"), ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			accepted.Add(1)
		}
	}}
	serveAt(t, 1, 8000, srv)
	r := newInnerRig(t, replica(1))
	r.addr = in(8000)
	r.get("/")
	before := accepted.Load()
	silent := make([]*conn, 10)
	for i := range silent {
		silent[i] = r.dial()
	}
	expectSilence(t, silent[0], 50*time.Millisecond)
	if n := accepted.Load() - before; n != 0 {
		t.Errorf("%d connections for those who have said nothing", n)
	}
	for _, c := range silent {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if b, err := io.ReadAll(c.response().Body); string(b) != "a" {
			t.Error(string(b), err)
		}
	}
}

// What a proxy leaves must refuse, though somebody keeps copies of it.
func TestInner_ListenerThatIsLeftRefusesWhoeverHasCopies(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	serveAt(t, 1, 8000, &http.Server{Handler: says("a")})
	r := newInnerRig(t, replica(1))
	hs, err := r.client.Listeners(t.Context())
	if err != nil || len(hs) != 1 || hs[0].Name != "holder:shop/api" {
		t.Fatalf("%+v %v", hs, err)
	}
	defer hs[0].File.Close()
	table := r.table()
	table.Listeners = nil
	if err := r.client.Serve(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it refuses", func() bool {
		c, err := net.Dial("tcp", in(8000))
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}
