package proxy_test

import (
	"io"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// shutTLS puts the pools of a table with TLS under a maintenance.
func (h *hosts) shutTLS(s site, m *steady.Maintenance, matches ...steady.Match) {
	h.t.Helper()
	l := h.listener(matches...)
	l.TLS = true
	h.version++
	table := steady.Table{Version: h.version, Listeners: []steady.Listener{l}, Pools: append([]steady.Pool(nil), h.pools...),
		Certificates: []steady.Certificate{{Host: matches[0].Host, TLS: s.TLS}}}
	if m != nil {
		m.Project, m.RetryAfter = "shop", time.Minute
		table.Maintenance, table.Pools[0].Maintenance = []steady.Maintenance{*m}, "shop"
	}
	if err := h.client.Serve(h.t.Context(), table); err != nil {
		h.t.Fatal(err)
	}
}

func TestMaintenance_EveryVersionOverTLSGetsThePageAndTheTeamTheApp(t *testing.T) {
	h := newHosts(t)
	s := newSite(t, "api.test")
	h.pools[0].Upstreams = []steady.Upstream{backend(t, "echo", 1, parrot)}
	rule := to("api.test", "/", "api")
	for version := 1; version <= 3; version++ {
		c := h.https(s, version)
		h.shutTLS(s, nil, rule)
		h.post(c, "api.test", "/", "open")
		for what, m := range map[string]*steady.Maintenance{"page": {}, "team": {Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}} {
			h.shutTLS(s, m, rule)
			want := http.StatusServiceUnavailable
			if what == "team" {
				want = http.StatusOK
			}
			if res, _ := h.post(c, "api.test", "/", "hello"); res.StatusCode != want {
				t.Errorf("version %d, %s: status %d", version, what, res.StatusCode)
			}
		}
	}
}

// A maintenance begins while a request over HTTP/3 is with the app.
func TestMaintenance_ComesWhileHTTP3IsInFlight(t *testing.T) {
	h := newHosts(t)
	s := newSite(t, "api.test")
	in, out := make(chan struct{}), make(chan struct{})
	h.pools[0].Upstreams = []steady.Upstream{backend(t, "slow", 1, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		in <- struct{}{}
		<-out
		io.WriteString(w, "whole")
	}))}
	rule := to("api.test", "/", "api")
	h.shutTLS(s, nil, rule)
	c := h.https(s, 3)
	done := make(chan string)
	go func() {
		_, body := h.post(c, "api.test", "/", "x")
		done <- body
	}()
	<-in
	h.shutTLS(s, &steady.Maintenance{}, rule)
	close(out)
	if body := <-done; body != "whole" {
		t.Errorf("%q", body)
	}
}
