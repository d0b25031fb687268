package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// malformed are heads whose first lines lenient apps take for a request's, or that are
// none. They are longer than "PRI * HTTP/2.0", which net/http waits for before it reads
// a line: TestLimits_AShortMalformedHeadIsRefused has the shorter ones.
var malformed = []string{
	"get / htt\r\nHost: x\r\n\r\n",
	"GET\r\nHost: x\r\n\r\n",
	"GET /\r\nHost: x\r\n\r\n",
	"GET foo HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n",
	" GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/9\r\nHost: x\r\n\r\n",
	"PROXY TCP4 6.6.6.6 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
	strings.Repeat("A", 40) + "\r\n\r\n",
}

// speakHTTP has an app answer HTTP requests until it is known to.
func (w *wireRig) speakHTTP(ways ...wireWay) {
	for _, way := range ways {
		for range 3 {
			if a := way.ask(w.t, hello()); a.status != 200 {
				w.t.Fatalf("%s: %+v", way.name, a)
			}
		}
	}
	w.app.take()
}

func TestKnown_APortWhoseAppHasAnsweredHTTPSpeaksHTTPOnly(t *testing.T) {
	w := newWire(t, steady.Auto, &wireApp{})
	if w == nil {
		return
	}
	ways := w.ways()
	w.speakHTTP(ways[0])
	before := w.counts(1).Streams
	w.each(t, func(t *testing.T, way wireWay) {
		if way.version != 1 {
			return
		}
		for _, first := range malformed {
			c := way.raw(t)
			_, _ = io.WriteString(c, first)
			if a := readHTTP1(c, "GET"); a.status != 400 && a.status != 505 {
				t.Errorf("%q: %+v", first, a)
			}
		}
		if heads := w.app.take(); len(heads) > 0 {
			t.Errorf("the app saw %q", heads)
		}
		if way.name == "TLS" {
			return // net/http reads the first line itself there, and an empty one is malformed to it
		}
		c := way.raw(t)
		_, _ = io.WriteString(c, "\r\nGET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
		if a := readHTTP1(c, "GET"); a.status != 200 {
			t.Errorf("after an empty line: %+v", a)
		}
	})
	if got := w.counts(1).Streams; got != before {
		t.Errorf("%d connections were relayed", got-before)
	}
}

// Before anything is known of an app, what could be a request is none that passes
// unseen: not in pieces either.
func TestKnown_ARequestInPiecesIsNotRelayed(t *testing.T) {
	w := newWire(t, steady.Auto, &wireApp{})
	if w == nil {
		return
	}
	w.each(t, func(t *testing.T, way wireWay) {
		if way.name != "published" && way.name != "by name" {
			return
		}
		opened := w.counts(1).Streams
		c := way.raw(t)
		_, _ = io.WriteString(c, "g")
		eventually(t, "it is relayed", func() bool { return w.counts(1).Streams > opened })
		for _, piece := range []string{"et", " / ", "HT", "TP/1.1\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"} {
			_, _ = io.WriteString(c, piece)
		}
		if b, _ := io.ReadAll(c); len(b) > 0 {
			t.Errorf("answered %q", b)
		}
		if heads := w.app.take(); len(heads) > 0 {
			t.Errorf("the app saw %q", heads)
		}
	})
}

// echoes is a service that is no HTTP server: it says back what it hears.
func echoes(c net.Conn) { _, _ = io.Copy(c, c) }

// services are what other protocols' clients say first.
var services = map[string]string{
	"PostgreSQL": "\x00\x00\x00\x08\x04\xd2\x16\x2f",
	"MQTT":       "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00",
	"TLS":        "\x16\x03\x01\x00\x05hello",
	"AMQP":       "AMQP\x00\x00\x09\x01",
	"Redis":      "*1\r\n$4\r\nPING\r\n",
	"a value":    "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$14\r\nGET / HTTP/1.1\r\n",
	"inline":     "PING\r\n",
	"STOMP":      "CONNECT\naccept-version:1.2\n\n\x00",
	"NATS":       "CONNECT {\"verbose\":false}\r\nPING\r\n",
	"SSH":        "SSH-2.0-OpenSSH_9.2\r\n",
	"no line":    "ruok",
	"RTSP":       "DESCRIBE rtsp://x/y RTSP/1.0\r\nCSeq: 1\r\n\r\n",
}

func (r *rig) echoed(t *testing.T, first string) bool {
	t.Helper()
	c := r.dial()
	defer c.Close()
	c.send(first)
	b := make([]byte, len(first))
	_, err := io.ReadFull(c.r, b)
	return err == nil && string(b) == first
}

func TestKnown_OtherProtocolsAreRelayedAsTheyAre(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{}, tcpBackend(t, "a", 1, echoes))
	for name, first := range services {
		if !r.echoed(t, first) {
			t.Errorf("%s was not relayed", name)
		}
	}
}

// oneOddAnswer is a service of another protocol that answers an HTTP request.
func oneOddAnswer(c net.Conn) {
	b := bufio.NewReader(c)
	if first, _ := b.Peek(4); string(first) == "GET " {
		_, _ = io.WriteString(c, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
		return
	}
	_, _ = io.Copy(c, b)
}

func TestKnown_AnOddAnswerTurnsNoServiceIntoAnHTTPServer(t *testing.T) {
	r := newRig(t, steady.Auto, proxy.Limits{}, tcpBackend(t, "mongo", 1, oneOddAnswer))
	if status, _ := r.get("/"); status != 200 {
		t.Fatal(status)
	}
	for name, first := range services {
		if !r.echoed(t, first) {
			t.Errorf("%s was not relayed", name)
		}
	}
	// Even where it answers often: what begins no request is still its own matter.
	for range 5 {
		r.get("/")
	}
	for _, name := range []string{"PostgreSQL", "MQTT", "TLS"} {
		if !r.echoed(t, services[name]) {
			t.Errorf("%s was not relayed afterwards", name)
		}
	}
}

// What is known outlives the proxy, and ends with the release.
func TestKnown_OutlivesTheProxyAndIsOfOneRelease(t *testing.T) {
	t.Parallel()
	a := backend(t, "a", 1, says("a"))
	r := newRig(t, steady.Auto, proxy.Limits{}, a)
	refuses := func() bool {
		c := r.dial()
		defer c.Close()
		c.send(malformed[0])
		return readHTTP1(c, "GET").status == 400
	}
	for range 3 {
		r.get("/")
	}
	eventually(t, "it is kept", func() bool {
		b, _ := os.ReadFile(r.options.TableFile)
		return strings.Contains(string(b), `"spoken":{"shop/api":{"1":[`)
	})
	r.stop()
	r.start()
	r.addr = fmt.Sprintf("127.0.0.1:%d", r.status().Listeners[0].Bound)
	if !refuses() {
		t.Error("a proxy that is started again has forgotten that the app speaks HTTP")
	}
	r.serve(steady.Auto, tcpBackend(t, "b", 2, echoes))
	if !r.echoed(t, services["Redis"]) {
		t.Error("the next release is taken for an HTTP server without having answered")
	}
	r.serve(steady.Auto, a)
	if !refuses() {
		t.Error("the release before has been forgotten")
	}
}

// A client of HTTP/2 without TLS is answered by the proxy, request by request. The app
// gets HTTP/2 where it takes it, else HTTP/1.1.
func TestKnown_HTTP2WithoutTLSGoesToTheAppAsItTakesIt(t *testing.T) {
	both := h2c()
	both.SetHTTP1(true)
	proto := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, " ", r.Header.Get("X-Forwarded-For"))
	})
	for protocol, as := range map[*http.Protocols]string{h2c(): "HTTP/2.0", both: "HTTP/2.0", nil: "HTTP/1.1"} {
		for _, declared := range []string{steady.Auto, steady.HTTP} {
			r := newRig(t, declared, proxy.Limits{}, protocolBackend(t, 1, protocol, proto))
			tr := &http.Transport{Protocols: h2c()}
			for range 5 {
				res, err := (&http.Client{Transport: tr}).Get(r.url("/"))
				if err != nil {
					t.Fatal(err)
				}
				b, _ := io.ReadAll(res.Body)
				res.Body.Close()
				if want := as + " 127.0.0.1"; string(b) != want || res.ProtoMajor != 2 {
					t.Errorf("%s, app speaks %v: %q over %s, want %q", declared, protocol, b, res.Proto, want)
				}
			}
			tr.CloseIdleConnections()
			if c := r.counts(1); c.Streams != 0 || c.Lost != 0 || c.Requests != 5 {
				t.Errorf("%s, app speaks %v: %+v", declared, protocol, c)
			}
		}
	}
}

// protocolBackend is backend, for an app that speaks those protocols; nil is
// HTTP/1.1 only.
func protocolBackend(t *testing.T, release int, p *http.Protocols, h http.Handler) steady.Upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, Protocols: p}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return upstreamAt(fmt.Sprint(release), release, ln.Addr().String())
}
