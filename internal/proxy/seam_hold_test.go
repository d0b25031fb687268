package proxy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// parrots answers with the body it got, whole.
var parrots = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err == nil {
		_, _ = w.Write(b)
	}
})

// silent wants a client to have been told nothing yet.
func (c *conn) silent() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if b, err := c.r.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("it was told %q, %v", b, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
}

// A body announced with Expect stays with the client until the app that is to have it
// asks for it, and with one turned away for good.
func TestHold_AnAnnouncedBodyStaysWithItsClient(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "a", 1, says("old")))
	r.holds(steady.HTTP, gateFor(1, time.Minute))
	const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
	c, full := r.dial(), r.dial()
	c.send(head)
	r.waiting(1)
	c.silent()
	full.send(head)
	if res := full.response(); res.StatusCode != http.StatusServiceUnavailable || !res.Close {
		t.Errorf("turned away with %s %v", res.Status, res.Header)
	}
	r.serve(steady.HTTP, backend(t, "b", 2, parrots))
	if res := c.response(); res.StatusCode != http.StatusContinue {
		t.Fatalf("%s before the body", res.Status)
	}
	c.send("body")
	if b, err := io.ReadAll(c.response().Body); err != nil || string(b) != "body" {
		t.Errorf("%q, %v", b, err)
	}
}

// What does not fit into memory, or is of no known length, waits in the socket and
// arrives whole, with what is pipelined behind it.
func TestHold_BodiesThatAreNotReadAheadArriveWhole(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "a", 1, says("old")))
	r.holds(steady.HTTP, gateFor(10, time.Minute))
	large := strings.Repeat("0123456789abcdef", 64<<10)
	sent := map[string]string{
		fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(large), large):                                          large,
		fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n%x\r\n%s\r\n0\r\n\r\n", len(large), large): "hello" + large,
		"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n":                                                           "",
	}
	var wg sync.WaitGroup
	for words, want := range sent {
		c := r.dial()
		wg.Go(func() {
			_, _ = io.WriteString(c.TCPConn, "POST / HTTP/1.1\r\nHost: x\r\n"+words+"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nlater")
		})
		wg.Go(func() {
			for _, want := range []string{want, "later"} {
				res, err := http.ReadResponse(c.r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if b, err := io.ReadAll(res.Body); err != nil || string(b) != want {
					t.Errorf("%d bytes came back, %v: want %d", len(b), err, len(want))
				}
			}
		})
	}
	r.waiting(3)
	r.serve(steady.HTTP, backend(t, "b", 2, parrots))
	wg.Wait()
}

func TestHold_WebSocketsWait(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, b) != nil {
				return
			}
		}
	})
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "a", 1, says("old")))
	r.holds(steady.HTTP, gateFor(10, time.Minute))
	dialled := make(chan *websocket.Conn, 1)
	go func() {
		c, _, err := websocket.Dial(t.Context(), "ws://"+r.addr+"/", nil)
		if err != nil {
			t.Error(err)
		}
		dialled <- c
	}()
	r.waiting(1)
	r.serve(steady.HTTP, backend(t, "b", 2, app))
	c := <-dialled
	if t.Failed() {
		return
	}
	defer c.CloseNow()
	echo(t, c, "hello")
	if n := r.counts(2); n.Streams != 1 || n.Requests != 1 || r.counts(0).Held != 1 {
		t.Errorf("counts %+v, %+v", n, r.counts(0))
	}
}

// Over TLS all three versions of HTTP wait: one that is given up frees its place, one
// that finds no room is refused, and the others are answered with their bodies whole.
func TestHold_EveryVersionOfHTTPWaits(t *testing.T) {
	for version := 1; version <= 3; version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			h := newHosts(t)
			s := newSite(t, "api.test")
			h.pools[0].Upstreams = []steady.Upstream{backend(t, "a", 1, parrots)}
			h.secure(s, to("api.test", "/", "api"))
			client := h.to(h.https(s, version), "api.test")
			post := func(ctx context.Context, body string) (int, string, error) {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+h.addr+"/", struct{ io.Reader }{strings.NewReader(body)})
				if err != nil {
					return 0, "", err
				}
				req.Host = "api.test"
				res, err := client.Do(req)
				if err != nil {
					return 0, "", err
				}
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				if err == nil && res.ProtoMajor != version {
					err = fmt.Errorf("answered over %s", res.Proto)
				}
				return res.StatusCode, string(b), err
			}
			if code, _, err := post(t.Context(), "first"); code != http.StatusOK || err != nil {
				t.Fatal(code, err)
			}
			now := h.pools[0].Upstreams
			h.pools[0].Upstreams, h.pools[0].Hold = nil, gateFor(3, time.Minute)
			h.secure(s, to("api.test", "/", "api"))
			var wg sync.WaitGroup
			for _, body := range []string{"small", strings.Repeat("large", 40<<10)} {
				wg.Go(func() {
					if code, got, err := post(t.Context(), body); code != http.StatusOK || got != body || err != nil {
						t.Errorf("%d, %d of %d bytes, %v", code, len(got), len(body), err)
					}
				})
			}
			h.waiting(2)
			ctx, cancel := context.WithCancel(t.Context())
			wg.Go(func() {
				if _, _, err := post(ctx, "given up"); !errors.Is(err, context.Canceled) {
					t.Errorf("given up: %v", err)
				}
			})
			h.waiting(3)
			if code, _, err := post(t.Context(), "no room"); code != http.StatusServiceUnavailable {
				t.Errorf("the fourth: %d, %v", code, err)
			}
			cancel()
			h.waiting(2)
			h.pools[0].Upstreams, h.pools[0].Hold = now, nil
			h.secure(s, to("api.test", "/", "api"))
			wg.Wait()
			all, err := h.client.Traffic(t.Context())
			if c := all["shop/api"][0]; err != nil || c.Held != 3 || c.Turned != 1 || c.Lost != 1 || c.Left != 1 {
				t.Errorf("counts %+v, %v", c, err)
			}
		})
	}
}

// A maintenance that lets somebody through takes nothing from them: they keep their
// place and their clock, and are counted once.
func TestHold_WhoAMaintenanceLetsThroughKeepsItsPlace(t *testing.T) {
	for _, protocol := range []string{steady.HTTP, steady.TCP} {
		t.Run(protocol, func(t *testing.T) {
			r := newRig(t, protocol, proxy.Limits{}, tcpBackend(t, "a", 1, func(net.Conn) {}))
			r.holds(protocol, gateFor(1, time.Minute))
			c := r.dial()
			c.send("GET / HTTP/1.1\r\nHost: x\r\nX-Team: us\r\n\r\n")
			r.waiting(1)
			m := steady.Maintenance{Project: "shop", Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RetryAfter: time.Minute}
			for i := range 4 {
				tab := r.table(protocol)
				tab.Pools[0].Hold = gateFor(1, time.Minute)
				if i%2 == 0 {
					tab.Pools[0].Maintenance, tab.Maintenance = m.Ref(), []steady.Maintenance{m}
				}
				if err := r.client.Serve(t.Context(), tab); err != nil {
					t.Fatal(err)
				}
				r.waiting(1)
			}
			r.serve(protocol, backend(t, "b", 2, says("new")))
			if res := c.response(); res.StatusCode != http.StatusOK {
				t.Error(res.Status)
			}
			f, err := r.client.FlowsOf(t.Context(), "shop/api")
			if n := f[0]; err != nil || n.Counts.Held != 1 || n.Waits.Count() != 1 || n.Counts.Turned != 0 || n.Counts.Maintained != 0 {
				t.Errorf("%+v, %d waits, %v", n.Counts, n.Waits.Count(), err)
			}
		})
	}
}

// One whose replica went away under it waits like any other, and is asked of the new
// one: it is one request, tried again.
func TestHold_WhoIsTriedAgainWaits(t *testing.T) {
	r := newRig(t, steady.HTTP, proxy.Limits{}, upstreamAt("gone", 1, freeAddr(t)))
	c := r.dial()
	c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nonce")
	eventually(t, "it is tried", func() bool { return r.counts(1).Retried > 0 })
	r.holds(steady.HTTP, gateFor(1, time.Minute))
	r.waiting(1)
	r.serve(steady.HTTP, backend(t, "b", 2, parrots))
	if b, err := io.ReadAll(c.response().Body); err != nil || string(b) != "once" {
		t.Errorf("%q, %v", b, err)
	}
	eventually(t, "it is counted", func() bool { return r.counts(2).Answered == 1 })
	old, now, none := r.counts(1), r.counts(2), r.counts(0)
	if old.Requests != 0 || old.Lost != 0 || now.Requests != 1 || now.Retried != 1 || none.Held != 1 || none.Lost != 0 {
		t.Errorf("counts %+v, %+v, %+v", old, now, none)
	}
}

func TestHold_TheAccessLogTellsOfTheWait(t *testing.T) {
	t.Parallel()
	r := newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "a", 1, says("old")))
	r.stop()
	r.options.Access = proxy.AccessLog{Path: filepath.Join(t.TempDir(), "log")}
	r.start()
	r.addr = fmt.Sprintf("127.0.0.1:%d", r.status().Listeners[0].Bound)
	r.get("/free")
	r.holds(steady.HTTP, gateFor(1, time.Minute))
	c := r.dial()
	c.send("GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
	r.waiting(1)
	r.get("/turned")
	gone := func() bool { return r.counts(0).Left == 1 }
	r.serve(steady.HTTP, backend(t, "b", 2, says("new")))
	c.response()
	r.holds(steady.HTTP, gateFor(1, time.Minute))
	left := r.dial()
	left.send("GET /left HTTP/1.1\r\nHost: x\r\n\r\n")
	r.waiting(1)
	left.Close()
	eventually(t, "it has left", gone)
	r.stop()
	b, err := os.ReadFile(r.options.Access.Path)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(b)) {
		var e struct {
			Path, Outcome      string
			Status             int
			Held, Claim, Total float64
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		got[e.Path] = fmt.Sprint(e.Status, " ", e.Outcome, " ", e.Held > 0)
		if e.Held > e.Total || e.Outcome == "answered" && e.Held > e.Claim {
			t.Errorf("%s was held for longer than it took: %s", e.Path, line)
		}
	}
	for path, want := range map[string]string{
		"/free": "200 answered false", "/held": "200 answered true", "/turned": "503 lost false", "/left": "499 left true",
	} {
		if got[path] != want {
			t.Errorf("%s: %s, want %s", path, got[path], want)
		}
	}
}
