package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// breaks answers with what it is given and dies.
func breaks(answer string) func(net.Conn, string) {
	return func(c net.Conn, head string) { _, _ = io.WriteString(c, answer) }
}

// resets is the same for an app whose connection is reset, when all of that has arrived:
// a reset drops what is still to be sent.
func resets(t *testing.T, answer string) func(net.Conn, string) {
	return func(c net.Conn, head string) {
		_, _ = io.WriteString(c, answer)
		for end := time.Now().Add(wirePatience); unacknowledged(t, c) > 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		_ = c.(*net.TCPConn).SetLinger(0)
	}
}

// unacknowledged is how many bytes of what was written to a connection its other end has
// not received yet.
func unacknowledged(t *testing.T, c net.Conn) int {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Error(err)
		return 0
	}
	var n int
	var failed error
	if err := raw.Control(func(fd uintptr) { n, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); err != nil || failed != nil {
		t.Errorf("bytes on the way: %v, %v", err, failed)
	}
	return n
}

// What has come of an answer that breaks off is passed on, and then the connection or
// the stream is broken: a client that sees nothing sends its POST again. Apps whose answer
// is whole say that they close: a request that meets an unannounced close is lost.
func TestBroken_WhatHasComeIsPassedOn(t *testing.T) {
	app := &wireApp{}
	w := newWire(t, steady.HTTP, app)
	if w == nil {
		return
	}
	for name, c := range map[string]struct {
		answer func(net.Conn, string)
		body   string
		whole  bool
	}{
		"head and 5 of 50 bytes":     {breaks("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n12345"), "12345", false},
		"head only":                  {breaks("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"), "", false},
		"head only, chunked":         {breaks("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "", false},
		"no last chunk":              {breaks("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"), "12345", false},
		"half a chunk":               {breaks("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n12345"), "12345", false},
		"a malformed chunk":          {breaks("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\nzz\r\n"), "12345", false},
		"reset":                      {resets(t, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n12345"), "12345", false},
		"reset, ended by the close":  {resets(t, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n12345"), "12345", false},
		"an error's page":            {breaks("HTTP/1.1 500 Oops\r\nContent-Length: 50\r\n\r\n12345"), "12345", false},
		"whole, ended by the close":  {breaks("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n12345"), "12345", true},
		"204":                        {breaks("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"), "", true},
		"304 of something with size": {breaks("HTTP/1.1 304 Not Modified\r\nConnection: close\r\nContent-Length: 50\r\n\r\n"), "", true},
	} {
		app.answer = c.answer
		w.each(t, func(t *testing.T, way wireWay) {
			r := hello()
			r.method, r.body = "POST", "once"
			a := way.ask(t, r)
			if a.status == 0 || a.status == 502 || a.body != c.body || a.whole != c.whole {
				t.Errorf("%s: %+v", name, a)
			}
			if heads := w.app.take(); len(heads) != 1 {
				t.Errorf("%s: done %d times", name, len(heads))
			}
		})
	}
}

func TestBroken_HEADIsWholeWithoutItsBody(t *testing.T) {
	app := &wireApp{answer: breaks("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n")}
	w := newWire(t, steady.HTTP, app)
	if w == nil {
		return
	}
	w.each(t, func(t *testing.T, way wireWay) {
		r := hello()
		r.method = "HEAD"
		if a := way.ask(t, r); a.status != 200 || !a.whole {
			t.Errorf("%+v", a)
		}
	})
}

// The same where a drain's clock cuts an answer.
func TestBroken_WhatADrainCutsIsPassedOn(t *testing.T) {
	begun := make(chan struct{})
	hold := make(chan struct{})
	app := &wireApp{answer: func(c net.Conn, head string) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n12345")
		begun <- struct{}{}
		<-hold
	}}
	w := newWire(t, steady.HTTP, app)
	if w == nil {
		return
	}
	defer close(hold)
	old, inner := w.pool, w.inner
	w.each(t, func(t *testing.T, way wireWay) {
		w.pool, w.inner = old, inner
		w.force()
		got := make(chan wireAnswer, 1)
		go func() {
			r := hello()
			r.method, r.body = "POST", "once"
			got <- way.ask(t, r)
		}()
		within(t, "the answer begins", begun)
		before := w.counts(1)
		w.pool.Upstreams, w.inner.Upstreams = nil, nil
		w.force()
		if _, err := w.client.Drain(t.Context(), []string{replica(1).ID}, steady.Drain{}); err != nil {
			t.Fatal(err)
		}
		if a := <-got; a.status != 200 || a.body != "12345" || a.whole {
			t.Errorf("%+v", a)
		}
		eventually(t, "it is counted as cut", func() bool { return w.counts(1).Cut == before.Cut+1 })
	})
}

// curl sends a POST again when a kept connection ends before anything of an answer
// has come.
func TestBroken_CurlDoesNotPostTwice(t *testing.T) {
	var posts atomic.Int64
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			return
		}
		posts.Add(1)
		c, brw, _ := w.(http.Hijacker).Hijack()
		fmt.Fprint(brw, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n12345")
		_ = brw.Flush()
		_ = c.Close()
	}))
	r := newRig(t, steady.HTTP, proxy.Limits{}, u)
	out, err := exec.Command("curl", "-sS", r.url("/"), "--next", "-sS", "-d", "x=1", r.url("/post")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "12345") {
		t.Errorf("curl: %v, %q", err, out)
	}
	if n := posts.Load(); n != 1 {
		t.Errorf("done %d times", n)
	}
}

// An answer has begun with its first byte: whatever breaks it off afterwards, the
// request is not offered to another replica, be it one that may be sent twice.
func TestBroken_ARequestWhoseAnswerHasBegunIsNotSentAgain(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"half a head":    "HTTP/1.1 200 OK\r\nContent-Le",
		"half a status":  "HTTP/1.1 2",
		"a hint":         "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
		"half a trailer": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\na\r\n0\r\nX",
	} {
		for _, method := range []string{"GET", "PUT", "POST"} {
			app := &wireApp{answer: breaks(answer)}
			r := newRig(t, steady.HTTP, proxy.Limits{}, tcpBackend(t, "a", 1, app.serve), tcpBackend(t, "b", 1, app.serve))
			for _, header := range []string{"X: y", "Upgrade: websocket\r\nConnection: upgrade"} {
				c := r.dial()
				c.send(method + " / HTTP/1.1\r\nHost: x\r\n" + header + "\r\n\r\n")
				for res := nextHTTP1(c.r, method); res.status > 0 && res.status < 200; {
					res = nextHTTP1(c.r, method)
				}
				if heads := app.take(); len(heads) != 1 {
					t.Errorf("%s, %s: sent %d times", name, method, len(heads))
				}
				c.Close()
			}
		}
	}
}

// One that was written and may not be sent twice is not, either, where nothing came.
func TestBroken_AWrittenPostIsNotSentAgain(t *testing.T) {
	app := &wireApp{answer: breaks("")}
	w := newWire(t, steady.HTTP, app)
	if w == nil {
		return
	}
	other := &wireApp{answer: breaks("")}
	u := tcpBackend(t, "other", 1, other.serve)
	w.pool.Upstreams = append(w.pool.Upstreams, u)
	w.force()
	w.each(t, func(t *testing.T, way wireWay) {
		r := hello()
		r.method, r.body = "POST", "once"
		a := way.ask(t, r)
		if n := len(app.take()) + len(other.take()); n != 1 || a.status != 502 {
			t.Errorf("sent %d times, %+v", n, a)
		}
	})
}
