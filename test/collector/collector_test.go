package collector_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gesalpai.ch/steady/test/collector"
	"gesalpai.ch/steady/test/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a collector that runs until the test's end.
func running(t *testing.T, network, address string) *collector.Collector {
	t.Helper()
	c, err := collector.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return c
}

func dial(t *testing.T, c *collector.Collector) net.Conn {
	t.Helper()
	network, address, _ := strings.Cut(c.Address(), "://")
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// until polls for a condition, for at most limit.
func until(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

func TestCollector_ReadsEveryFormatOfTheDriver(t *testing.T) {
	lines := []string{
		"<30>Nov  3 08:45:39 shop-api-1-1[812]: id=a-1 path=/ status=200 release=1\n",
		"<30>Nov 23 08:45:39 host shop-api-1-1[812]: path=/ id=a-2\n",
		"<30>1 2026-11-23T08:45:39Z host shop-api-1-1 812 shop-api-1-1 - id=a-3 x=y\n",
		"<30>Nov 23 08:45:39 shop-api-1-1[812]: listening, no valid=a-5 here\n",
		"<30>2026-11-23T08:45:39.123Z host shop-api-1-1[812]: id=a-4\n",
	}
	for _, network := range []string{"tcp", "unix", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network != "tcp" {
				address = filepath.Join(t.TempDir(), "log")
			}
			c := running(t, network, address)
			conn := dial(t, c)
			for _, line := range lines {
				io.WriteString(conn, line)
			}
			until(t, 5*time.Second, "5 lines", func() bool { return c.Lines()["shop-api-1-1"] == 5 })
			for i := 1; i <= 4; i++ {
				id := fmt.Sprintf("a-%d", i)
				if diff := cmp.Diff([]string{"shop-api-1-1"}, c.LoggedBy(id)); diff != "" {
					t.Errorf("%s: %s", id, diff)
				}
			}
			if by := c.LoggedBy("a-5"); by != nil {
				t.Errorf("an id where none is: %v", by)
			}
		})
	}
}

func TestCollector_KeepsALineThatComesInPiecesAndTheLastWithoutEnd(t *testing.T) {
	c := running(t, "tcp", "127.0.0.1:0")
	conn := dial(t, c)
	for _, piece := range []string{"<30>Nov 23 08:4", "5:39 x[1]: id=p", "-1\n<30>Nov 23 08:45:39 x[1]: id=p-2"} {
		io.WriteString(conn, piece)
	}
	conn.Close()
	until(t, 5*time.Second, "both", func() bool { return len(c.LoggedBy("p-1")) == 1 && len(c.LoggedBy("p-2")) == 1 })
}

// log says that the container has handled the request.
func log(w io.Writer, by, id string) { fmt.Fprintf(w, "<30>Nov 23 08:45:39 %s[1]: id=%s\n", by, id) }

func TestCompare_TellsUnloggedDoubledOrphanedAndVanished(t *testing.T) {
	c := running(t, "tcp", "127.0.0.1:0")
	conn := dial(t, c)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		switch id {
		case "t-fresh-3":
			return // answered, not logged
		case "t-fresh-5":
			log(conn, "new", id) // done twice
		case "t-fresh-7":
			log(conn, "old", id) // done, and the answer lost
			panic(http.ErrAbortHandler)
		case "t-fresh-9":
			panic(http.ErrAbortHandler)
		}
		log(conn, "old", id)
	}))
	defer srv.Close()
	r := load.Run(t.Context(), load.Options{
		URL: srv.URL, Run: "t", Rate: 100, Duration: 300 * time.Millisecond, Mix: load.Mix{Fresh: 1}, WebSockets: -1, SSEs: -1,
	})
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Await(short, r, 0); err == nil {
		t.Error("awaited an id that was never logged")
	}
	v := c.Compare(r)
	want := collector.Verdict{
		Answered: r.Sent() - 2, Logged: r.Sent() - 2, Unlogged: []string{"t-fresh-3"}, Doubled: []string{"t-fresh-5"},
		Orphaned: []string{"t-fresh-7"}, Vanished: []string{"t-fresh-9"}, By: map[string]int{"old": r.Sent() - 2, "new": 1},
	}
	if diff := cmp.Diff(want, v); diff != "" || v.Clean() {
		t.Errorf("verdict: %s", diff)
	}
	if text := v.String(); !strings.Contains(text, "1 doubled") || !strings.Contains(text, "doubled: t-fresh-5") {
		t.Errorf("text:\n%s", text)
	}
}

func TestCompare_IsCleanWhenEachAnswerWasLoggedOnce(t *testing.T) {
	c := running(t, "tcp", "127.0.0.1:0")
	conn := dial(t, c)
	log(conn, "old", "another-run-1")
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		log(conn, "old", r.Header.Get("X-Request-Id"))
	}))
	defer srv.Close()
	r := load.Run(t.Context(), load.Options{
		URL: srv.URL, Rate: 200, Duration: 300 * time.Millisecond, Mix: load.Mix{KeepAlive: 1}, WebSockets: -1, SSEs: -1,
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := c.Await(ctx, r, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if v := c.Compare(r); !v.Clean() || v.Logged != r.OK() {
		t.Errorf("of %d: %s", r.OK(), v)
	}
}
