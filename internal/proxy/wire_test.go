package proxy_test

import (
	"strings"
	"testing"

	"gesalpai.ch/steady"
)

// hello is a request that every way takes.
func hello() wireRequest {
	return wireRequest{method: "GET", path: "/hello?x=%2F", authority: wireHost}
}

func TestWire_EveryWayLeadsToTheApp(t *testing.T) {
	w := newWire(t, steady.HTTP, &wireApp{})
	if w == nil {
		return
	}
	w.each(t, func(t *testing.T, way wireWay) {
		r := hello()
		r.method, r.body = "POST", "body"
		if a := way.ask(t, r); a.status != 200 || a.body != "ok" || !a.whole {
			t.Errorf("%+v", a)
		}
		heads := w.app.take()
		if len(heads) != 1 || !strings.HasPrefix(heads[0], "POST /hello?x=%2F HTTP/1.1\r\nHost: api.test\r\n") {
			t.Errorf("the app saw %q", heads)
		}
	})
}

// What is no token, target, host or field value never reaches an app, which may
// read another request from it.
func TestWire_MalformedHeadsAreRefused(t *testing.T) {
	w := newWire(t, steady.HTTP, &wireApp{})
	if w == nil {
		return
	}
	req := func(method, path, authority string, fields ...[2]string) wireRequest {
		return wireRequest{method: method, path: path, authority: authority, fields: fields}
	}
	bad := map[string]wireRequest{
		"method with a request line": req("GET /admin HTTP/1.1\r\nX:", "/", wireHost),
		"method with spaces":         req("GET /admin HTTP/1.1", "/", wireHost),
		"method with a control":      req("GE\x01T", "/", wireHost),
		"empty method":               req("", "/", wireHost),
		"space in path":              req("GET", "/admin HTTP/1.1", wireHost),
		"tab in path":                req("GET", "/a\tb", wireHost),
		"CRLF in path":               req("GET", "/ HTTP/1.1\r\nX-Forwarded-For: 1.1.1.1\r\nY:", wireHost),
		"NUL in path":                req("GET", "/\x00", wireHost),
		"DEL in path":                req("GET", "/\x7f", wireHost),
		"path that is none":          req("GET", "hello", wireHost),
		"asterisk for a GET":         req("GET", "*", wireHost),
		"space in host":              req("GET", "/", wireHost+" x"),
		"slash in host":              req("GET", "/", wireHost+"/admin"),
		"user in host":               req("GET", "/", "user@"+wireHost),
		"CRLF in host":               req("GET", "/", wireHost+"\r\nX: y\x00"),
		"control in scheme":          {method: "GET", path: "/", authority: wireHost, scheme: "ht\x01tp"},
		"space in a name":            req("GET", "/", wireHost, [2]string{"x y", "1"}),
		"CR in a name":               req("GET", "/", wireHost, [2]string{"x\ry", "1"}),
		"no name":                    req("GET", "/", wireHost, [2]string{"", "1"}),
		"CR in a value":              req("GET", "/", wireHost, [2]string{"x", "1\r2"}),
		"NUL in a value":             req("GET", "/", wireHost, [2]string{"x", "1\x002"}),
		"CRLF in a value":            req("GET", "/", wireHost, [2]string{"x", "1\r\n y: \x00"}),
		"two hosts":                  req("GET", "/", wireHost, [2]string{"host", "other.test"}),
	}
	w.each(t, func(t *testing.T, way wireWay) {
		for name, r := range bad {
			if way.version == 1 && (r.scheme != "" || strings.Contains(r.method+r.path, "\r\n")) {
				continue // there is no scheme, and such lines are a valid head
			}
			a := way.ask(t, r)
			if heads := w.app.take(); len(heads) > 0 {
				t.Errorf("%s: status %d, and the app saw %q", name, a.status, heads)
			}
			if a.status != 400 && (a.status > 0 || way.version == 1) { // or the stream or its connection was ended
				t.Errorf("%s: %+v", name, a)
			}
		}
		if a := way.ask(t, hello()); a.status != 200 {
			t.Errorf("afterwards: %+v", a)
		}
	})
	if c := w.counts(1); c.Lost != 0 {
		t.Errorf("what was refused is counted as lost: %+v", c)
	}
}

// A target names what is asked for in one of four forms (RFC 9112 3.2), and a method
// may be any token.
func TestWire_TargetsAndMethodsOfAllForms(t *testing.T) {
	w := newWire(t, steady.HTTP, &wireApp{})
	if w == nil {
		return
	}
	w.each(t, func(t *testing.T, way wireWay) {
		for _, c := range []struct {
			method, path string
			status       int
			line         string // what the app sees; empty: nothing
			only         int    // version of HTTP that can say so
		}{
			{"OPTIONS", "*", 200, "OPTIONS * HTTP/1.1", 0},
			{"get", "/", 200, "get / HTTP/1.1", 0},
			{"M-SEARCH", "/a", 200, "M-SEARCH /a HTTP/1.1", 0},
			{"X_9!", "/a", 200, "X_9! /a HTTP/1.1", 0},
			{"GET", "/\"<>\\^`{|}\xc3\xa9", 200, "GET /\"<>\\^`{|}\xc3\xa9 HTTP/1.1", 0},
			{"GET", "http://" + wireHost + "/x?y", 200, "GET /x?y HTTP/1.1", 1},
			{"GET", "HTTP://" + wireHost, 200, "GET / HTTP/1.1", 1},
			{"GET", "ftp://" + wireHost + "/x", 400, "", 1},
			{"CONNECT", wireHost + ":443", 501, "", 1},
		} {
			if c.only > 0 && way.version != c.only {
				continue
			}
			a := way.ask(t, wireRequest{method: c.method, path: c.path, authority: wireHost})
			line, _, _ := strings.Cut(strings.Join(w.app.take(), ""), "\r\n")
			if a.status != c.status || line != c.line {
				t.Errorf("%s %s: %d, and the app saw %q", c.method, c.path, a.status, line)
			}
		}
	})
}
