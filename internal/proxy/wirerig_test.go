package proxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// wireApp is an app that reads HTTP/1.1 as leniently as apps do, and remembers
// every head byte for byte. What it answers is up to answer.
type wireApp struct {
	answer func(c net.Conn, head string) // nil: 200 "ok"

	mu    sync.Mutex
	heads []string
}

func (a *wireApp) serve(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		var head strings.Builder
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			head.WriteString(line)
			if strings.TrimRight(line, "\r\n") == "" {
				break
			}
		}
		if strings.HasPrefix(head.String(), "PRI ") {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			return
		}
		a.mu.Lock()
		a.heads = append(a.heads, head.String())
		a.mu.Unlock()
		h, _ := headerOf(head.String())
		length, _ := strconv.Atoi(h.Get("Content-Length"))
		_, _ = io.CopyN(io.Discard, r, int64(length))
		if a.answer == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			continue
		}
		a.answer(c, head.String())
		return
	}
}

// headerOf reads the fields of a head.
func headerOf(head string) (http.Header, error) {
	_, fields, _ := strings.Cut(head, "\n")
	h, err := textproto.NewReader(bufio.NewReader(strings.NewReader(fields))).ReadMIMEHeader()
	return http.Header(h), err
}

// take gives the heads seen since the last time.
func (a *wireApp) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	heads := a.heads
	a.heads = nil
	return heads
}

const (
	wireHost = "api.test"
	wirePort = 8000
)

// wireRig is an app that can be reached by every way there is.
type wireRig struct {
	*innerRig
	app       *wireApp
	site      site
	protocol  string // of the published port
	published string
	plain     string // where x-steady.routes without TLS are served
	secure    string
	pool      steady.Pool // of the published port and the routes
	inner     steady.Pool // for calls by name
}

// newWire starts it in a network namespace of its own; nil in the process outside.
func newWire(t *testing.T, protocol string, app *wireApp) *wireRig {
	t.Helper()
	if !inNamespace(t) {
		return nil
	}
	tcpAt(t, 1, wirePort, app.serve)
	w := &wireRig{innerRig: newInnerRig(t, replica(1)), app: app, protocol: protocol, site: newSite(t, wireHost, "*."+wireHost)}
	w.plain, w.secure = freeAddr(t), freeAddr(t)
	w.pool = steady.Pool{Name: poolName, Upstreams: []steady.Upstream{upstreamAt("1", 1, fmt.Sprintf("%s:%d", replicaAt(1), wirePort))}}
	w.inner = steady.Pool{Name: innerPool, Upstreams: []steady.Upstream{replica(1)}}
	w.force()
	w.published = fmt.Sprintf("127.0.0.1:%d", w.status().Listeners[0].Bound)
	return w
}

// force puts the rig's pools in force, behind all its listeners.
func (w *wireRig) force() {
	w.t.Helper()
	w.version++
	match := []steady.Match{{Host: wireHost, Path: "/", Pool: poolName}, {Host: "only." + wireHost, Path: "/api", Pool: poolName}}
	routed := func(addr string, tls bool) steady.Listener {
		host, port, _ := steady.HostPort(addr)
		return steady.Listener{Host: host, Port: port, Protocol: steady.HTTP, Rules: match, TLS: tls}
	}
	table := steady.Table{
		Version: w.version,
		Listeners: []steady.Listener{
			{Host: "127.0.0.1", Protocol: w.protocol, Pool: poolName},
			routed(w.plain, false), routed(w.secure, true),
			{Holder: "shop/api", Protocol: steady.Auto, Arrivals: map[string]string{holderIn: innerPool}},
		},
		Pools:        []steady.Pool{w.pool, w.inner},
		Certificates: []steady.Certificate{{Host: wireHost, TLS: w.site.TLS}, {Host: "only." + wireHost, TLS: w.site.TLS}},
	}
	if err := w.client.Serve(w.t.Context(), table); err != nil {
		w.t.Fatal(err)
	}
}

// ways are all ways to the app.
func (w *wireRig) ways() []wireWay {
	over := func(addr string) func(*testing.T) net.Conn {
		return func(t *testing.T) net.Conn { return dialWire(t, addr) }
	}
	secure := func(protocol string) func(*testing.T) net.Conn {
		return func(t *testing.T) net.Conn {
			c := tls.Client(dialWire(t, w.secure), &tls.Config{RootCAs: w.site.pool, ServerName: wireHost, NextProtos: []string{protocol}})
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			return c
		}
	}
	byName := fmt.Sprintf("%s:%d", holderIn, wirePort)
	return []wireWay{
		http1("published", over(w.published)), overHTTP2("published h2c", "http", over(w.published)),
		http1("routes", over(w.plain)), overHTTP2("routes h2c", "http", over(w.plain)),
		http1("TLS", secure("http/1.1")), overHTTP2("h2", "https", secure("h2")),
		overHTTP3(w.secure, &tls.Config{RootCAs: w.site.pool, ServerName: wireHost}),
		http1("by name", over(byName)), overHTTP2("by name h2c", "http", over(byName)),
	}
}

func dialWire(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(wirePatience))
	return c
}

// each runs f for each way, named.
func (w *wireRig) each(t *testing.T, f func(t *testing.T, way wireWay)) {
	for _, way := range w.ways() {
		t.Run(way.name, func(t *testing.T) {
			w.app.take()
			f(t, way)
		})
	}
}
