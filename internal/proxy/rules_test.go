package proxy_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// named answers with its name and what it was asked for.
func named(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, name+" "+r.Proto+" "+r.Host+r.RequestURI)
	})
}

// hosts is a rig with a listener that chooses by host and path.
type hosts struct {
	*rig
	pools []steady.Pool
}

func newHosts(t *testing.T) *hosts {
	h := &hosts{rig: newRig(t, steady.HTTP, proxy.Limits{}, backend(t, "published", 1, named("published")))}
	for _, name := range []string{"api", "v2", "web", "any"} {
		h.pools = append(h.pools, steady.Pool{Name: "shop/" + name + ":80", Upstreams: []steady.Upstream{backend(t, name, 1, named(name))}})
	}
	h.addr = freeAddr(t)
	return h
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// listener is the one at the rig's address.
func (h *hosts) listener(matches ...steady.Match) steady.Listener {
	host, port, _ := steady.HostPort(h.addr)
	return steady.Listener{Host: host, Port: port, Protocol: steady.HTTP, Rules: matches}
}

func (h *hosts) force(ls ...steady.Listener) {
	h.t.Helper()
	h.version++
	if err := h.client.Serve(context.Background(), steady.Table{Version: h.version, Listeners: ls, Pools: h.pools}); err != nil {
		h.t.Fatal(err)
	}
}

func to(host, path, service string) steady.Match {
	return steady.Match{Host: host, Path: path, Pool: "shop/" + service + ":80"}
}

// ask sends one request as it stands and gives the status, the Location and the body.
func (h *hosts) ask(host, target string) (int, string, string) {
	h.t.Helper()
	c := h.dial()
	defer c.Close()
	c.send("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
	res := c.response()
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Location"), string(b)
}

func TestRules_TheClosestHostAndTheLongestPathWin(t *testing.T) {
	h := newHosts(t)
	h.force(h.listener(to("*", "/", "any"), to("*.example.ch", "/", "web"), to("api.example.ch", "/", "api"), to("api.example.ch", "/v2", "v2")))
	for _, c := range []struct{ host, target, want string }{
		{"api.example.ch", "/", "api "},
		{"API.Example.CH:80", "/v1?x=%2F", "api HTTP/1.1 API.Example.CH:80/v1?x=%2F"},
		{"api.example.ch.", "/v2", "v2 "},
		{"api.example.ch", "/v2/x", "v2 "},
		{"api.example.ch", "/v20", "api "},
		{"api.example.ch", "/x/../v2/y", "v2 HTTP/1.1 api.example.ch/x/../v2/y"},
		{"api.example.ch", "//v2", "v2 "},
		{"www.example.ch", "/v2", "web "},
		{"a.b.example.ch", "/", "any "},
		{"127.0.0.1", "/", "any "},
	} {
		if status, _, body := h.ask(c.host, c.target); status != 200 || !strings.HasPrefix(body, c.want) {
			t.Errorf("%s%s: %d %q, want %q", c.host, c.target, status, body, c.want)
		}
	}
}

func TestRules_WhatNobodyClaimedIsNotFoundAndNotCounted(t *testing.T) {
	h := newHosts(t)
	h.force(h.listener(to("api.example.ch", "/v1", "api")))
	for _, host := range []string{"api.example.ch", "other.example.ch", "example.ch"} {
		if status, _, _ := h.ask(host, "/"); status != http.StatusNotFound {
			t.Errorf("%s: status %d", host, status)
		}
	}
	if c := h.counts(1); c.Requests != 0 {
		t.Errorf("counted %+v", c)
	}
}

func TestRules_AHostWithTLSIsRedirectedWithMethodPathAndQuery(t *testing.T) {
	h := newHosts(t)
	h.force(h.listener(steady.Match{Host: "api.example.ch", Path: "/v1", Redirect: 443}, steady.Match{Host: "*.test", Path: "/", Redirect: 8443}))
	for _, c := range []struct {
		host, target, location string
		status                 int
	}{
		{"api.example.ch:80", "/v1/a%2Fb?q=1&r", "https://api.example.ch/v1/a%2Fb?q=1&r", 308},
		{"x.test", "/", "https://x.test:8443/", 308},
		{"api.example.ch", "/v2", "", 404},
	} {
		if status, location, _ := h.ask(c.host, c.target); status != c.status || location != c.location {
			t.Errorf("%s%s: %d %s", c.host, c.target, status, location)
		}
	}
}

func TestRules_AShiftBehindAListenerWithRulesIsACall(t *testing.T) {
	h := newHosts(t)
	l := h.listener(to("api.example.ch", "/", "api"))
	for n := range 20 {
		name := string(rune('a' + n))
		h.pools[0].Upstreams = []steady.Upstream{backend(t, name, n+1, named(name))}
		h.force(l)
		if _, _, body := h.ask("api.example.ch", "/"); !strings.HasPrefix(body, name+" ") {
			t.Fatalf("after shift %d: %q", n, body)
		}
	}
}

func TestRules_HTTP2WithoutTLSGoesToAnAppThatSpeaksIt(t *testing.T) {
	h := newHosts(t)
	h.pools[0].Upstreams = []steady.Upstream{h2cBackend(t, "grpc", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		b, _ := io.ReadAll(r.Body)
		io.WriteString(w, r.Proto+" "+string(b)+" "+r.Header.Get("Te"))
		w.Header().Set("Grpc-Status", "0")
	}))}
	grpc := to("api.example.ch", "/", "api")
	grpc.Protocol = steady.H2C
	h.force(h.listener(grpc, to("web.example.ch", "/", "web")))
	client := &http.Client{Transport: &http.Transport{Protocols: new(http.Protocols)}}
	client.Transport.(*http.Transport).Protocols.SetUnencryptedHTTP2(true)
	defer client.CloseIdleConnections()
	for host, want := range map[string]string{"api.example.ch": "HTTP/2.0 hello trailers", "web.example.ch": "web HTTP/1.1 web.example.ch/x"} {
		req, err := http.NewRequest(http.MethodPost, h.url("/x"), strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Header.Set("Te", "trailers")
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(b) != want || res.ProtoMajor != 2 {
			t.Errorf("%s: %q over %s, %v", host, b, res.Proto, err)
		}
		if host == "api.example.ch" && res.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("trailer %v", res.Trailer)
		}
	}
}

// h2cBackend speaks HTTP/2 without TLS and nothing else.
func h2cBackend(t *testing.T, name string, h http.Handler) steady.Upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	srv.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return steady.Upstream{ID: "id-" + name, Name: name, Addr: ln.Addr().String(), Release: 1}
}
