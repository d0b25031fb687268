package drill_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gesalpai.ch/steady/internal/drill"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// at is a load of a server.
func at(t *testing.T, url string) drill.Load {
	t.Helper()
	target, _, err := drill.TargetOf(url)
	if err != nil {
		t.Fatal(err)
	}
	target.Agent, target.Timeout = "test", 10*time.Second
	return drill.Load{Target: target, Exchange: drill.Exchange{Path: "/x"}, Rate: 200, Fresh: 0.5, Run: "r"}
}

// fired runs a load until so many requests have ended, and reports on it whole.
func fired(t *testing.T, l drill.Load, n int) drill.Report {
	t.Helper()
	v := drill.Start(l)
	defer v.End()
	from := time.Now()
	for end := time.Now().Add(20 * time.Second); ; {
		if ended, _ := v.Sum(); ended >= n {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the load does not come forward")
		}
		time.Sleep(time.Millisecond)
	}
	v.End()
	return v.Report(from, from)
}

func TestVolley_ACorrectServerLosesNothingAndEachRequestIsSentOnce(t *testing.T) {
	var mu sync.Mutex
	ids, conns := map[string]int{}, map[string]int{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		ids[r.Header.Get("X-Request-Id")]++
		conns[r.RemoteAddr]++
		if r.Method != "PUT" || r.RequestURI != "/x?y=1" || r.Header.Get("X-Team") != "ops" || string(b) != "body" || r.UserAgent() != "test" {
			t.Errorf("%s %s %v %q", r.Method, r.RequestURI, r.Header, b)
		}
	}))
	defer srv.Close()
	l := at(t, srv.URL)
	l.Exchange = drill.Exchange{Method: "PUT", Path: "/x?y=1", Header: []drill.Field{{Name: "X-Team", Value: "ops"}}, Body: []byte("body")}
	r := fired(t, l, 100)
	if r.All.Lost > 0 || r.All.Answered != r.All.Sent || r.All.Sent != len(ids) || r.All.Classes["2xx"] != r.All.Sent || r.Unsent > 0 {
		t.Errorf("%d ids, %+v", len(ids), r)
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
	once, kept := 0, 0
	for _, n := range conns {
		if n == 1 {
			once++
		} else {
			kept++
		}
	}
	if kept == 0 || kept > 10 || once < r.All.Sent/2-1 {
		t.Errorf("%d connections took one request, %d took more, of %d", once, kept, r.All.Sent)
	}
	if !strings.Contains(r.Verdict(), "with 95 % confidence fewer than 1 in") {
		t.Error(r.Verdict())
	}
}

func TestVolley_EachLossIsSeenInItsPhase(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		phase  string
	}{
		"nothing":      {"", "first-byte"},
		"half a head":  {"HTTP/1.1 200 OK\r\nContent-", "head"},
		"no HTTP":      {"hello\r\n\r\n", "head"},
		"half a body":  {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "body"},
		"half a chunk": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf", "body"},
		"503":          {"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n", "status"},
		"another's":    {"HTTP/1.1 200 OK\r\nX-Request-Id: z\r\nContent-Length: 0\r\n\r\n", "wrong"},
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Read(make([]byte, 4096))
				_, _ = io.WriteString(conn, c.answer)
				conn.Close()
			}
		})
		r := fired(t, at(t, "http://"+ln.Addr().String()), 10)
		ln.Close()
		wg.Wait()
		if r.All.Lost != r.All.Sent || r.All.Phases[c.phase] != r.All.Sent || len(r.Losses) == 0 || r.Losses[0].Phase.String() != c.phase {
			t.Errorf("%s: %+v", name, r.All)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if r := fired(t, at(t, "http://"+ln.Addr().String()), 10); r.All.Phases["refused"] != r.All.Sent || !strings.Contains(r.Verdict(), "lost (1e+02 %)") && !strings.Contains(r.Verdict(), "lost (100 %)") {
		t.Errorf("%+v %s", r.All, r.Verdict())
	}
}

func TestVolley_AnswersBelow500AreAnswersAndAHeadHasNoBody(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	for _, method := range []string{"GET", "HEAD"} {
		l := at(t, srv.URL)
		l.Exchange.Method = method
		if r := fired(t, l, 20); r.All.Lost > 0 || r.All.Classes["4xx"] != r.All.Sent {
			t.Errorf("%s: %+v", method, r.All)
		}
	}
}

// A server that stands still makes requests late, not fewer: open loop.
func TestVolley_APauseIsSeenAndCountsInTheLatencyOfAllThatWasDue(t *testing.T) {
	var still atomic.Bool
	var waiting atomic.Int64
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if still.Load() {
			waiting.Add(1)
			<-release
		}
	}))
	defer srv.Close()
	v := drill.Start(at(t, srv.URL))
	defer v.End()
	ended := func(n int) {
		for now, _ := v.Sum(); now < n; now, _ = v.Sum() {
			time.Sleep(time.Millisecond)
		}
	}
	ended(20)
	from := time.Now()
	still.Store(true)
	<-time.After(time.Second) // the pause
	if n := waiting.Load(); n < 100 {
		t.Errorf("%d requests wait, of 200 that were due meanwhile", n)
	}
	still.Store(false)
	close(release)
	before, _ := v.Sum()
	ended(before + 220)
	to := time.Now()
	ended(before + 320)
	v.End()
	r := v.Report(from, to)
	if r.All.Lost > 0 || r.During.Sent < 100 || r.During.Pause < 900*time.Millisecond || r.During.Longest < 900*time.Millisecond {
		t.Errorf("during: %+v", r.During)
	}
	if r.Before.P50 > 700*time.Millisecond || r.After.P50 > 700*time.Millisecond || r.Before.Sent < 15 || r.After.Sent < 20 {
		t.Errorf("before: %+v\nafter: %+v", r.Before, r.After)
	}
	if sum := r.Before.Sent + r.During.Sent + r.After.Sent; sum != r.All.Sent {
		t.Errorf("%d in the parts, %d in all", sum, r.All.Sent)
	}
}
