package load_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"gesalpai.ch/steady/test/load"
)

// secure serves over TLS and gives options for a load of it.
func secure(t *testing.T, h http.HandlerFunc, http2 bool) load.Options {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return load.Options{URL: srv.URL, Host: "example.com", TLS: &tls.Config{RootCAs: roots}, HTTP2: http2,
		Rate: 20, Duration: 2 * time.Second, WebSockets: -1, SSEs: -1, SlowMax: 10 * time.Millisecond}
}

// repeat answers with the body, read to its end first.
func repeat(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	w.Write(b)
}

func TestTLS_BothVersionsAreAnsweredAndLosesAreSeen(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			version := 1
			if http2 {
				version = 2
			}
			var wrong atomic.Int64
			o := secure(t, func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != version || r.Host != "example.com" {
					wrong.Add(1)
				}
				repeat(w, r)
			}, http2)
			if r := load.Run(t.Context(), o); !r.Clean() || r.Sent() == 0 || wrong.Load() > 0 {
				t.Errorf("%d of another version or host\n%s", wrong.Load(), r)
			}
			var n atomic.Int64
			o = secure(t, func(w http.ResponseWriter, r *http.Request) {
				repeat(w, r)
				if n.Add(1)%5 == 0 {
					panic(http.ErrAbortHandler)
				}
			}, http2)
			if r := load.Run(t.Context(), o); r.Lost() == 0 {
				t.Errorf("one in five was broken off, and nothing was lost\n%s", r)
			}
		})
	}
}
