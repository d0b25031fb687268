package probe_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/probe"
)

// asked is a probe of a server on the host's own address.
func asked(t testing.TB, s *httptest.Server) steady.Probe {
	t.Helper()
	_, text, _ := strings.Cut(s.Listener.Addr().String(), ":")
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	p := health()
	p.Port = uint16(port)
	return p
}

func TestHTTP_AsksAsDescribed(t *testing.T) {
	var got atomic.Pointer[http.Request]
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.Store(r)
		w.WriteHeader(http.StatusTeapot)
	}))
	defer s.Close()
	p := asked(t, s)
	p.Scheme, p.Path, p.Method, p.Expect = "https", "/live?deep=1", http.MethodHead, []int{http.StatusTeapot}
	p.Header = map[string]string{"X-Token": "t", "host": "shop.example"}
	if _, err := probe.New(running(), nil).Ready(t.Context(), name, p); err != nil {
		t.Fatal(err)
	}
	r := got.Load()
	if r.Method != http.MethodHead || r.URL.String() != "/live?deep=1" || r.Host != "shop.example" || r.Header.Get("X-Token") != "t" || !r.Close {
		t.Errorf("%s %s of %s, header %v, close %v", r.Method, r.URL, r.Host, r.Header, r.Close)
	}
}

func TestHTTP_RedirectIsAnAnswerAndNotFollowed(t *testing.T) {
	var followed atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			followed.Store(true)
		}
		if host, _, _ := strings.Cut(r.Host, ":"); host != "localhost" {
			t.Errorf("asked as host %q", r.Host)
		}
		http.Redirect(w, r, "/login", http.StatusFound)
	}))
	defer s.Close()
	said, err := probe.New(running(), nil).Ready(t.Context(), name, asked(t, s))
	if err != nil || !strings.HasPrefix(said, "302 /health") || followed.Load() {
		t.Errorf("said %q, %v, followed %v", said, err, followed.Load())
	}
}

func TestHTTP_EndlessBodyDoesNotDelay(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer s.Close()
	p := asked(t, s)
	p.Timeout = time.Minute
	if _, err := probe.New(running(), nil).Ready(t.Context(), name, p); err != nil {
		t.Fatal(err)
	}
}

func TestTCP_AcceptedConnectionIsEnough(t *testing.T) {
	s := httptest.NewServer(nil)
	defer s.Close()
	p := asked(t, s)
	p.Kind = steady.ProbeTCP
	said, err := probe.New(running(), nil).Ready(t.Context(), name, p)
	if want := fmt.Sprintf("port %d after ", p.Port); err != nil || !strings.HasPrefix(said, want) {
		t.Errorf("said %q, %v", said, err)
	}
}

func TestTCP_RefusedConnectionIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := served(t, time.Now().Add(time.Hour), syscall.ECONNREFUSED, nil)
		p := steady.Probe{Kind: steady.ProbeTCP, Port: 5432, Deadline: 30 * time.Second}
		_, err := probe.New(running(), s.dial).Ready(t.Context(), name, p)
		checkError(t, err, steady.ErrNotReady, name+" refused connections on port 5432 for 30s")
	})
}
