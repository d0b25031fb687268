package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

func gateFor(most int, d time.Duration) *steady.Hold {
	return &steady.Hold{Most: most, Bytes: 1 << 20, For: d, Lease: time.Minute}
}

// holds serves a table in which the service is held.
func (r *rig) holds(protocol string, h *steady.Hold) {
	r.t.Helper()
	t := r.table(protocol)
	t.Pools[0].Hold = h
	if err := r.client.Serve(context.Background(), t); err != nil {
		r.t.Fatal(err)
	}
}

// waiting waits until n stand at the gate.
func (r *rig) waiting(n int) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("%d wait at the gate", n), func() bool {
		g := r.status().Gates
		return n == 0 && len(g) == 0 || len(g) == 1 && g[0].Waiting == n
	})
}

func TestHold_RequestsWaitAndAreAnsweredByTheNewOne(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "a", 1, says("old")))
	r.holds(steady.HTTP, gateFor(10, 10*time.Second))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			var res *http.Response
			var err error
			if i%2 == 0 {
				res, err = r.http().Get(r.url("/"))
			} else {
				res, err = r.http().Post(r.url("/"), "text/plain", bytes.NewReader(make([]byte, 100<<10*(i/2))))
			}
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if b, _ := io.ReadAll(res.Body); string(b) != "new" {
				t.Errorf("%d answered %s %q", i, res.Status, b)
			}
		})
	}
	r.waiting(4)
	r.serve(steady.HTTP, backend(t, "b", 2, http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		_, _ = io.Copy(io.Discard, in.Body)
		io.WriteString(w, "new")
	})))
	wg.Wait()
	if c := r.counts(0); c.Held != 4 || c.Lost != 0 || c.Turned != 0 {
		t.Errorf("counts %+v", c)
	}
	f, err := r.client.Flows(t.Context())
	if err != nil || f["shop/api"][0].Waits.Count() != 4 || f["shop/api"][0].LongestWait <= 0 {
		t.Errorf("flows %+v, %v", f["shop/api"][0], err)
	}
}

// Overload gives 503 with Retry-After, at once and never a reset, also to one who is
// in the middle of a body.
func TestHold_BeyondTheBoundIsToldSoAndNotReset(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "a", 1, says("old")))
	r.holds(steady.HTTP, gateFor(1, 20*time.Second))
	first := r.dial()
	first.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	r.waiting(1)
	for _, size := range []int{0, 1 << 10, 200 << 10, 8 << 20} {
		c := r.dial()
		sent := make(chan error, 1)
		go func() {
			_, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
			if err == nil {
				_, err = c.Write(make([]byte, size))
			}
			sent <- err
		}()
		res := c.response()
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || !res.Close {
			t.Errorf("%d bytes: %s %v", size, res.Status, res.Header)
		}
		if b, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(b), "Unavailable") {
			t.Errorf("%d bytes: body %q, %v", size, b, err)
		}
		if err := <-sent; err != nil {
			t.Errorf("%d bytes: send: %v", size, err)
		}
		if _, err := c.r.ReadByte(); err != io.EOF {
			t.Errorf("%d bytes: the end is %v", size, err)
		}
	}
	r.serve(steady.HTTP, backend(t, "b", 2, says("new")))
	if res := first.response(); res.StatusCode != http.StatusOK {
		t.Errorf("who waited: %s", res.Status)
	}
	if c := r.counts(0); c.Turned != 4 || c.Lost != 4 || c.Held != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestHold_WhoWaitsTooLongIsTurnedAway(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "a", 1, says("old")))
	r.holds(steady.HTTP, gateFor(10, 50*time.Millisecond))
	res, err := r.http().Get(r.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
}

// Whoever leaves frees its place at once: with nothing to read, with a body unread,
// and with a request pipelined behind the one that waits.
func TestHold_LeavingFreesThePlace(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "a", 1, says("old")))
	r.holds(steady.HTTP, gateFor(10, time.Minute))
	for name, words := range map[string]string{
		"plain": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"body":  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegun",
		"piped": "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		c := r.dial()
		c.send(words)
		r.waiting(1)
		c.Close()
		eventually(t, name+" frees its place", func() bool { return r.status().Gates[0].Waiting == 0 })
	}
	if c := r.counts(0); c.Left != 3 || c.Turned != 0 {
		t.Errorf("counts %+v", c)
	}
}

func TestHold_WhatIsPipelinedIsNotLost(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "a", 1, says("old")))
	r.holds(steady.HTTP, gateFor(10, time.Minute))
	c := r.dial()
	c.send("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
	r.waiting(1)
	r.serve(steady.HTTP, backend(t, "b", 2, http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) { io.WriteString(w, in.URL.Path) })))
	for _, want := range []string{"/1", "/2"} {
		if b, err := io.ReadAll(c.response().Body); err != nil || string(b) != want {
			t.Errorf("answer %q, %v: want %q", b, err, want)
		}
	}
}

func TestHold_ConnectionsWaitAndAreRelayed(t *testing.T) {
	greet := func(name string) func(net.Conn) {
		return func(c net.Conn) {
			fmt.Fprintf(c, "hello from %s\n", name)
			line, _ := bufio.NewReader(c).ReadString('\n')
			fmt.Fprintf(c, "%s said %s", name, line)
		}
	}
	r := newRig(t, steady.TCP, proxy.Limits{}, tcpBackend(t, "a", 1, greet("old")))
	r.holds(steady.TCP, gateFor(2, 20*time.Second))
	c, done := r.dial(), r.dial()
	c.send("early\n")
	if err := done.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one waits, and who ended without a word has left", func() bool {
		g := r.status().Gates
		return len(g) == 1 && g[0].Waiting == 1 && r.counts(0).Left == 1
	})
	second := r.dial()
	r.waiting(2)
	if _, err := r.dial().r.ReadByte(); err != io.EOF {
		t.Errorf("the third: %v, want it closed", err)
	}
	r.serve(steady.TCP, tcpBackend(t, "b", 2, greet("new")))
	if a, b := c.line(), c.line(); a != "hello from new" || b != "new said early" {
		t.Errorf("%q, %q", a, b)
	}
	if a := second.line(); a != "hello from new" {
		t.Errorf("%q", a)
	}
}

// A service under maintenance shows its page: nobody is held, and who waits when it
// begins is told.
func TestHold_MaintenanceGoesBeforeTheGate(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "a", 1, says("old")))
	r.holds(steady.HTTP, gateFor(10, time.Minute))
	c := r.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	r.waiting(1)
	tab := r.table(steady.HTTP)
	m := steady.Maintenance{Project: "shop", Message: "Back soon", RetryAfter: time.Minute}
	tab.Pools[0].Hold, tab.Pools[0].Maintenance, tab.Maintenance = gateFor(10, time.Minute), m.Ref(), []steady.Maintenance{m}
	if err := r.client.Serve(t.Context(), tab); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		res := c.response()
		if b, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(b), "Back soon") {
			t.Errorf("%s %q", res.Status, b)
		}
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	}
}

// A proxy that ends turns away who waits, as no table will open the gate; the next
// one finds it shut in its table, and the lease counts from its start.
func TestHold_TheEndOfTheProxyTurnsAwayAndTheNextOneIsShut(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{Grace: 20 * time.Second}, backend(t, "a", 1, says("old")))
	h := gateFor(10, time.Minute)
	h.Lease = 300 * time.Millisecond
	r.holds(steady.HTTP, h)
	if _, err := r.client.Renew(t.Context(), []string{"shop/api"}); err != nil {
		t.Fatal(err)
	}
	c := r.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	r.waiting(1)
	r.stop()
	if res := c.response(); res.StatusCode != http.StatusServiceUnavailable || !res.Close {
		t.Errorf("%s %v", res.Status, res.Header)
	}
	r.start()
	g := r.status().Gates
	if len(g) != 1 || !g[0].Shut || g[0].Lease <= 0 {
		t.Fatalf("gates %+v: want it shut", g)
	}
	eventually(t, "it opens by itself", func() bool { return r.status().Gates[0].Lapsed })
	res, err := r.http().Get("http://" + fmt.Sprintf("127.0.0.1:%d", r.status().Listeners[0].Bound))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%s: want 503, as ever where there is no upstream", res.Status)
	}
}

func TestHold_GatesWithoutBoundsAreRefused(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "a", 1, says("old")))
	tab := r.table(steady.HTTP)
	tab.Pools[0].Hold = &steady.Hold{Most: 10}
	if err := r.client.Serve(t.Context(), tab); !errors.Is(err, steady.ErrUsage) {
		t.Errorf("%v: want ErrUsage", err)
	}
}

// Streams of HTTP/2 wait one by one: one that is given up frees its place, one that
// finds no room is refused, and neither harms those beside it on the connection.
func TestHold_StreamsOfOneHTTP2ConnectionWait(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	r := newRig(t, steady.H2C, proxy.Limits{}, h2cBackend(t, "a", echo))
	client := &http.Client{Transport: &http.Transport{Protocols: new(http.Protocols)}}
	client.Transport.(*http.Transport).Protocols.SetUnencryptedHTTP2(true)
	defer client.CloseIdleConnections()
	post := func(ctx context.Context, body io.Reader) (int, string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url("/"), body)
		if err != nil {
			return 0, "", err
		}
		res, err := client.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, string(b), err
	}
	if code, _, err := post(t.Context(), strings.NewReader("first")); code != http.StatusOK {
		t.Fatal(code, err)
	}
	r.holds(steady.H2C, gateFor(3, time.Minute))
	var wg sync.WaitGroup
	large := strings.Repeat("large", 40<<10)
	for _, body := range []string{"small", large} {
		wg.Go(func() {
			if code, got, err := post(t.Context(), struct{ io.Reader }{strings.NewReader(body)}); code != http.StatusOK || got != body {
				t.Errorf("%d, %d of %d bytes, %v", code, len(got), len(body), err)
			}
		})
	}
	r.waiting(2)
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		if _, _, err := post(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
	})
	r.waiting(3)
	if code, _, err := post(t.Context(), strings.NewReader(large)); code != http.StatusServiceUnavailable {
		t.Errorf("the fourth: %d, %v", code, err)
	}
	cancel()
	r.waiting(2)
	r.serve(steady.H2C, h2cBackend(t, "b", echo))
	wg.Wait()
}

// Calls by name wait too: whoever the holder's listener gets, known or not what it
// speaks, at a port that somebody has come to before and at one that nobody has.
func TestHold_CallsByNameWait(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	startReplica(t, 1, 8000)
	tcpAt(t, 1, 25, greets)
	r := newInnerRig(t, replica(1))
	if a := r.dialIn(25).line(); a != strings.TrimSpace(greeting) {
		t.Fatalf("%q", a)
	}
	tab := r.table()
	tab.Pools[0].Hold, tab.Pools[1].Hold = gateFor(10, 20*time.Second), gateFor(10, 20*time.Second)
	if err := r.client.Serve(t.Context(), tab); err != nil {
		t.Fatal(err)
	}
	known, fresh, silent, asks := r.dialIn(25), r.dialIn(8000), r.dialIn(26), r.dialIn(8001)
	fresh.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	asks.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
	r.waiting(4)
	r.dialIn(27).Close() // and who leaves frees its place
	r.waiting(4)
	startReplica(t, 2, 8000, 8001)
	tcpAt(t, 2, 25, greets)
	tcpAt(t, 2, 26, greets)
	r.serve(replica(2))
	for _, c := range []*conn{known, silent} {
		if a := c.line(); a != strings.TrimSpace(greeting) {
			t.Errorf("%q", a)
		}
	}
	for _, c := range []*conn{fresh, asks} {
		if b, err := io.ReadAll(c.response().Body); err != nil || string(b) != "2" {
			t.Errorf("%q, %v", b, err)
		}
	}
	if c := r.counts(0); c.Turned != 0 || c.Lost != 0 || c.Held < 4 {
		t.Errorf("counts %+v", c)
	}
}
