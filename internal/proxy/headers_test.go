package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// claims are headers by which a client would have an app believe something of it, in
// every spelling that some app takes for the same.
var claims = [][2]string{
	{"X-Forwarded-For", "6.6.6.6"}, {"X-Forwarded-Host", "evil.test"}, {"X-Forwarded-Proto", "gopher"}, {"X-Forwarded-Port", "66"},
	{"X-Forwarded-Prefix", "/evil"}, {"X-Forwarded-Server", "evil"}, {"X-Forwarded-Ssl", "on"}, {"X-Real-IP", "6.6.6.6"}, {"Forwarded", "for=6.6.6.6"},
	{"X_Forwarded_For", "6.6.6.6"}, {"X-Forwarded_For", "6.6.6.6"}, {"X_Real_IP", "6.6.6.6"}, {"X.Forwarded.For", "6.6.6.6"}, {"X_Request-ID", "evil"}, {"Content_Length", "0"},
}

// told are the headers of a request that the app saw and that tell of its client.
func (a *wireApp) told(t *testing.T) map[string]string {
	t.Helper()
	heads := a.take()
	if len(heads) != 1 {
		t.Fatalf("the app saw %q", heads)
	}
	h, err := headerOf(heads[0])
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for name, values := range h {
		switch name {
		case "Host", "X-Request-Id", "Content-Length", "Te", "Accept-Encoding", "User-Agent":
		default:
			out[name] = strings.Join(values, ", ")
		}
	}
	return out
}

func TestHeaders_NobodyUntrustedSaysWhoItIs(t *testing.T) {
	w := newWire(t, steady.HTTP, &wireApp{})
	if w == nil {
		return
	}
	elsewhere := &steady.Ingress{Trusted: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}
	w.pool.Ingress, w.inner.Ingress = elsewhere, elsewhere
	w.force()
	untrusted := func(t *testing.T, way wireWay) {
		r := hello()
		r.fields = append(slices.Clone(claims), [2]string{"X-Own", "kept"})
		if a := way.ask(t, r); a.status != 200 {
			t.Fatalf("%+v", a)
		}
		want := map[string]string{"X-Own": "kept", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": wireHost, "X-Forwarded-Proto": "http"}
		if way.name == "TLS" || way.name == "h2" || way.name == "h3" {
			want["X-Forwarded-Proto"] = "https"
		}
		if got := w.app.told(t); !maps.Equal(got, want) {
			t.Errorf("the app saw %v, want %v", got, want)
		}
	}
	w.each(t, untrusted)
	// With TLS nobody is trusted who is not named.
	w.pool.Ingress, w.inner.Ingress = nil, nil
	w.force()
	w.each(t, func(t *testing.T, way wireWay) {
		if way.name == "TLS" || way.name == "h2" || way.name == "h3" {
			untrusted(t, way)
		}
	})
}

func TestHeaders_WhatATrustedProxySaysIsKept(t *testing.T) {
	w := newWire(t, steady.HTTP, &wireApp{})
	if w == nil {
		return
	}
	named := &steady.Ingress{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	w.pool.Ingress, w.inner.Ingress = named, named
	w.force()
	w.each(t, func(t *testing.T, way wireWay) {
		r := hello()
		r.fields = claims[:9]
		if a := way.ask(t, r); a.status != 200 {
			t.Fatalf("%+v", a)
		}
		want := map[string]string{}
		for _, c := range claims[:9] {
			want[http.CanonicalHeaderKey(c[0])] = c[1]
		}
		want["X-Forwarded-For"] = "6.6.6.6, 127.0.0.1"
		if got := w.app.told(t); !maps.Equal(got, want) {
			t.Errorf("the app saw %v, want %v", got, want)
		}
	})
}

// Names that CGI reads as others are dropped as nginx drops them. Calls by name are the
// project's own.
func TestHeaders_AmbiguousNamesAreDropped(t *testing.T) {
	w := newWire(t, steady.HTTP, &wireApp{})
	if w == nil {
		return
	}
	for _, underscores := range []bool{false, true} {
		w.pool.Ingress = &steady.Ingress{Underscores: underscores}
		w.force()
		w.each(t, func(t *testing.T, way wireWay) {
			r := hello()
			r.fields = [][2]string{{"api_key", "1"}, {"Remote.User", "1"}, {"X-Plain-9", "1"}, {"X_Forwarded_For", "6.6.6.6"}}
			way.ask(t, r)
			want := []string{"X-Plain-9"}
			byName := strings.HasPrefix(way.name, "by name")
			if underscores || byName {
				want = append(want, "Api_key")
			}
			if byName {
				want = append(want, "Remote.user")
			}
			got := slices.DeleteFunc(slices.Sorted(maps.Keys(w.app.told(t))), func(name string) bool { return strings.HasPrefix(name, "X-Forwarded-") })
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("underscores %v: the app saw %v, want %v", underscores, got, want)
			}
		})
	}
}

// h2cApp switches to whatever it is asked to, as hypercorn does for h2c, and then
// remembers what is said.
func switchesTo(protocol string) func(net.Conn, string) {
	return func(c net.Conn, head string) {
		h, _ := headerOf(head)
		if !strings.Contains(strings.ToLower(h.Get("Upgrade")), strings.ToLower(protocol)) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+protocol+"\r\n\r\n")
		_, _ = io.Copy(c, c)
	}
}

func TestUpgrade_OnlyNamedProtocolsAreSwitchedTo(t *testing.T) {
	app := &wireApp{}
	w := newWire(t, steady.HTTP, app)
	if w == nil {
		return
	}
	w.pool.Ingress = &steady.Ingress{Upgrades: []string{"own/1"}}
	w.inner.Ingress = w.pool.Ingress
	w.force()
	w.each(t, func(t *testing.T, way wireWay) {
		if way.version != 1 {
			return // HTTP/2 and HTTP/3 have no Upgrade: such a request is malformed
		}
		for _, c := range []struct {
			asked, reaches string
			app            string // what it switches to
			status         int
		}{
			{"websocket", "websocket", "websocket", 101},
			{"WebSocket", "WebSocket", "websocket", 101},
			{"tcp", "tcp", "tcp", 101},
			{"own/1", "own/1", "own/1", 101},
			{"foo/1, websocket", "websocket", "websocket", 101},
			{"h2c", "", "h2c", 200},
			{"H2C", "", "h2c", 200},
			{"h2c, websocket", "websocket", "websocket", 101},
			{"websocket, h2c", "websocket", "h2c", 200},
			{"HTTP/2.0", "", "HTTP/2.0", 200},
			{"TLS/1.2", "", "TLS/1.2", 200},
			{"foo/1", "", "foo/1", 200},
		} {
			app.answer = switchesTo(c.app)
			conn := way.raw(t)
			fmt.Fprintf(conn, "GET /api HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: %s\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", wireHost, c.asked)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || res.StatusCode != c.status {
				t.Fatalf("%s: %v, %v", c.asked, res, err)
			}
			h, _ := headerOf(app.take()[0])
			if h.Get("Upgrade") != c.reaches || h.Get("Http2-Settings") != "" || (h.Get("Connection") != "") != (c.reaches != "") {
				t.Errorf("%s: the app saw %v", c.asked, h)
			}
			conn.Close()
		}
	})
}

// An app that switches to what it was not asked for is not followed.
func TestUpgrade_AnUnaskedSwitchIs502(t *testing.T) {
	for _, protocol := range []string{"h2c", "foo", ""} {
		r := newRig(t, steady.HTTP, proxy.Limits{}, tcpBackend(t, "a", 1, (&wireApp{answer: breaks("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocol + "\r\n\r\n")}).serve))
		for _, asked := range []string{"", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\n"} {
			c := r.dial()
			c.send("GET / HTTP/1.1\r\nHost: x\r\n" + asked + "\r\n")
			if a := readHTTP1(c, "GET"); a.status != 502 {
				t.Errorf("%q, asked %q: %+v", protocol, asked, a)
			}
		}
	}
}

// A release whose probe asks a port over HTTP is known to speak HTTP there before
// anybody has asked it anything.
func TestKnown_TheProbesPortSpeaksHTTPFromTheStart(t *testing.T) {
	w := newWire(t, steady.Auto, &wireApp{})
	if w == nil {
		return
	}
	w.pool.Ingress = &steady.Ingress{HTTPPorts: []uint16{wirePort}}
	w.inner.Ingress = w.pool.Ingress
	w.force()
	for _, way := range w.ways() {
		if way.version != 1 || way.name == "TLS" {
			continue
		}
		c := way.raw(t)
		_, _ = io.WriteString(c, malformed[0])
		if a := readHTTP1(c, "GET"); a.status != 400 {
			t.Errorf("%s: %+v", way.name, a)
		}
	}
}
