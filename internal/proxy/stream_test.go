package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// wsApp echoes; "flood" makes it send without end, "big" one message in pieces.
func wsApp(ended *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(1 << 20)
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				if websocket.CloseStatus(err) == websocket.StatusServiceRestart {
					ended.Add(1)
				}
				return
			}
			for string(b) == "flood" {
				if err := c.Write(r.Context(), kind, bytes.Repeat([]byte("x"), 70000)); err != nil {
					return
				}
			}
			if err := c.Write(r.Context(), kind, b); err != nil {
				return
			}
		}
	})
}

func dialWS(t *testing.T, r *rig) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), "ws://"+r.addr+"/", &websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(1 << 20)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func echo(t *testing.T, c *websocket.Conn, s string) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(s)); err != nil {
		t.Fatal(err)
	}
	if _, b, err := c.Read(t.Context()); err != nil || string(b) != s {
		t.Fatalf("%q %v", b, err)
	}
}

func TestWebSocket_SurvivesAShiftAndIsClosedWithItsCodeAtTheClocksEnd(t *testing.T) {
	var said atomic.Int64
	u := backend(t, "a", 1, wsApp(&said))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	quiet, byItself := dialWS(t, r), dialWS(t, r)
	echo(t, quiet, "hello")
	echo(t, byItself, strings.Repeat("x", 100_000))
	r.serve(steady.Auto, backend(t, "b", 2, says("b")))
	echo(t, quiet, "still here")
	const clock = 400 * time.Millisecond
	start := time.Now()
	done := make(chan steady.Drained)
	go func() {
		d, _ := r.client.Drain(context.Background(), []string{u.ID}, steady.Drain{Requests: time.Second, Streams: clock})
		done <- d
	}()
	byItself.Close(websocket.StatusNormalClosure, "")
	echo(t, quiet, "during the drain")
	_, _, err := quiet.Read(t.Context())
	if code := websocket.CloseStatus(err); code != websocket.StatusServiceRestart {
		t.Errorf("closed with %v: %v", code, err)
	}
	if took := time.Since(start); took < clock {
		t.Errorf("closed after %v, before its clock", took)
	}
	d := <-done
	// The one that closed by itself may have done so before the drain began.
	if d.Streams-d.StreamsEnded != 1 || d.StreamsClosed != 1 || d.StreamsCut != 0 || d.Requests != 0 {
		t.Errorf("%+v", d)
	}
	eventually(t, "the app heard the close code", func() bool { return said.Load() == 1 })
	if c := r.counts(1); c.Streams != 2 || c.StreamsClosed != 1 || c.StreamsEnded != 1 || c.Lost != 0 {
		t.Errorf("%+v", c)
	}
}

func TestWebSocket_CloseFrameNeverCutsAMessageInTwo(t *testing.T) {
	t.Parallel()
	u := backend(t, "a", 1, wsApp(new(atomic.Int64)))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	for range 3 {
		c := dialWS(t, r)
		if err := c.Write(t.Context(), websocket.MessageBinary, []byte("flood")); err != nil {
			t.Fatal(err)
		}
		seen := make(chan error, 1)
		go func() {
			for {
				_, b, err := c.Read(context.Background())
				if err != nil {
					seen <- err
					return
				}
				if len(b) != 70000 {
					seen <- fmt.Errorf("a message of %d bytes", len(b))
					return
				}
			}
		}()
		r.serve(steady.Auto)
		d, err := r.client.Drain(t.Context(), []string{u.ID}, steady.Drain{Streams: 20 * time.Millisecond, Quiet: 50 * time.Millisecond})
		if err != nil || d.StreamsClosed != 1 {
			t.Errorf("%+v %v", d, err)
		}
		if err := <-seen; websocket.CloseStatus(err) != websocket.StatusServiceRestart {
			t.Error(err)
		}
		r.serve(steady.Auto, u)
	}
}

func TestWebSocket_ClosesAreSpreadOverTheClocksEnd(t *testing.T) {
	u := backend(t, "a", 1, wsApp(new(atomic.Int64)))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	const n, clock = 8, 800 * time.Millisecond
	closed := make(chan time.Duration, n)
	start := time.Now()
	for range n {
		c := dialWS(t, r)
		go func() {
			c.Read(context.Background())
			closed <- time.Since(start)
		}()
	}
	r.serve(steady.Auto)
	start = time.Now()
	if _, err := r.client.Drain(t.Context(), []string{u.ID}, steady.Drain{Streams: clock}); err != nil {
		t.Fatal(err)
	}
	first := <-closed
	last := first
	for range n - 1 {
		last = max(last, <-closed)
	}
	if last-first < clock/8 || first < clock/2 {
		t.Errorf("first after %v, last after %v", first, last)
	}
}

func TestUpgrade_OtherProtocolsPassAndEndWithAFin(t *testing.T) {
	u := tcpBackend(t, "a", 1, func(c net.Conn) {
		buf := make([]byte, 4096)
		c.Read(buf)
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhi")
		io.Copy(c, c)
	})
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	c := r.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\nearly")
	res := c.response()
	if res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	c.send("!\n")
	if line := c.line(); line != "hiearly!" {
		t.Errorf("%q", line)
	}
	c.CloseWrite()
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
	eventually(t, "counted", func() bool { return r.counts(1).StreamsEnded == 1 })
}

func sseApp(next <-chan string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.(http.Flusher).Flush()
		for {
			select {
			case s := <-next:
				io.WriteString(w, s)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
}

func TestSSE_EventsArriveAtOnceAndTheStreamEndsBetweenTwo(t *testing.T) {
	for name, half := range map[string]string{"between events": "", "within an event": "data: ha"} {
		t.Run(name, func(t *testing.T) {
			next := make(chan string)
			u := backend(t, "a", 1, sseApp(next))
			r := newRig(t, steady.Auto, proxy.Limits{}, u)
			c := r.dial()
			c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			res := c.response() // although no event was sent
			next <- "data: 1\r\n\r\n"
			buf := make([]byte, 100)
			if n, err := res.Body.Read(buf); string(buf[:n]) != "data: 1\r\n\r\n" {
				t.Fatalf("%q %v", buf[:n], err)
			}
			r.serve(steady.Auto)
			if half != "" {
				next <- half
				if _, err := io.ReadFull(res.Body, buf[:len(half)]); err != nil {
					t.Fatal(err)
				}
			}
			done := make(chan steady.Drained)
			go func() {
				d, _ := r.client.Drain(context.Background(), []string{u.ID}, steady.Drain{Streams: 20 * time.Millisecond})
				done <- d
			}()
			want := ""
			if half != "" {
				select {
				case d := <-done:
					t.Fatalf("ended within an event: %+v", d)
				case <-time.After(100 * time.Millisecond):
				}
				next <- "lf\n\ndata: never"
				want = "lf\n\n"
			}
			rest, err := io.ReadAll(res.Body)
			if err != nil || string(rest) != want {
				t.Errorf("rest %q, %v", rest, err)
			}
			if d := <-done; d.Streams != 1 || d.StreamsClosed != 1 || d.StreamsCut != 0 {
				t.Errorf("%+v", d)
			}
			if n := r.counts(1); n.Answered != 1 || n.Streams != 1 || n.StreamsClosed != 1 {
				t.Errorf("%+v", n)
			}
		})
	}
}

func TestSSE_StreamStuckWithinAnEventIsCut(t *testing.T) {
	t.Parallel()
	next := make(chan string)
	u := backend(t, "a", 1, sseApp(next))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	c := r.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	res := c.response()
	next <- "data: ha"
	io.ReadFull(res.Body, make([]byte, 8))
	r.serve(steady.Auto)
	d, err := r.client.Drain(t.Context(), []string{u.ID}, steady.Drain{})
	if err != nil || d.StreamsCut != 1 {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("looks whole")
	}
}

func TestTCP_WhatIsNotHTTPIsRelayedWithHalfClose(t *testing.T) {
	u := tcpBackend(t, "a", 1, func(c net.Conn) {
		b, _ := io.ReadAll(c)
		fmt.Fprintf(c, "got %d", len(b))
	})
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	for _, hello := range []string{"*1\r\n$4\r\nPING\r\n", "\x16\x03\x01", "SSH-2.0-x\r\n", "PING\r\n", "\x00"} {
		c := r.dial()
		c.send(hello)
		c.CloseWrite()
		if b, err := io.ReadAll(c.r); string(b) != fmt.Sprintf("got %d", len(hello)) {
			t.Errorf("%q: %q %v", hello, b, err)
		}
	}
	eventually(t, "counted", func() bool { c := r.counts(1); return c.Streams == 5 && c.StreamsEnded == 5 })
	if c := r.counts(1); c.Requests != 0 {
		t.Errorf("%+v", c)
	}
}

func TestTCP_ServerThatSpeaksFirstIsHeard(t *testing.T) {
	greeter := func(name string) func(net.Conn) {
		return func(c net.Conn) {
			fmt.Fprintf(c, "220 %s\r\n", name)
			io.Copy(c, c)
		}
	}
	r := newRig(t, steady.Auto, proxy.Limits{}, tcpBackend(t, "a", 1, greeter("a")))
	for i := range 3 {
		c := r.dial()
		start := time.Now()
		if line := c.line(); line != "220 a" {
			t.Errorf("%q", line)
		}
		if took := time.Since(start); i > 0 && took > 80*time.Millisecond {
			t.Errorf("greeting %d took %v: it should have been learnt", i, took)
		}
		c.send("EHLO x\r\n")
		if line := c.line(); line != "EHLO x" {
			t.Errorf("%q", line)
		}
	}
}

func TestAuto_SilentClientOfAnHTTPServiceIsServedWhenItSpeaks(t *testing.T) {
	var accepted atomic.Int64
	u := backend(t, "a", 1, says("a"))
	counting := tcpBackend(t, "a", 1, func(c net.Conn) {
		accepted.Add(1)
		up, err := net.Dial("tcp", u.Addr)
		if err != nil {
			return
		}
		defer up.Close()
		go func() { io.Copy(up, c); up.(*net.TCPConn).CloseWrite() }()
		io.Copy(c, up)
	})
	r := newRig(t, steady.Auto, proxy.Limits{}, counting)
	c := r.dial()
	eventually(t, "the upstream is asked", func() bool { return accepted.Load() == 1 })
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if res := c.response(); res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	// Learnt: the next silent one costs the upstream nothing.
	so := accepted.Load()
	c = r.dial()
	expectSilence(t, c, 250*time.Millisecond)
	if now := accepted.Load(); now != so {
		t.Errorf("the upstream was asked again")
	}
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if res := c.response(); res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	if n := r.counts(1); n.Requests != 2 || n.Answered != 2 || n.Streams != 0 {
		t.Errorf("%+v", n)
	}
}

func TestAuto_NothingIsLearntWhereNobodyCouldBeAsked(t *testing.T) {
	t.Parallel()
	r := newRig(t, steady.Auto, proxy.Limits{})
	c := r.dial()
	expectSilence(t, c, 200*time.Millisecond) // asked, in vain
	r.serve(steady.Auto, tcpBackend(t, "a", 1, func(c net.Conn) { io.WriteString(c, "220 a\n") }))
	if line := c.line(); line != "220 a" {
		t.Error(line)
	}
}

func TestAuto_ServerThatAnswersSilenceWith408IsNoReasonToRelay(t *testing.T) {
	asked := make(chan struct{})
	var conns atomic.Int64
	u := tcpBackend(t, "a", 1, func(c net.Conn) {
		if conns.Add(1) == 1 {
			io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n")
			close(asked)
			return
		}
		c.Read(make([]byte, 1000))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	c := r.dial()
	<-asked
	expectSilence(t, c, 100*time.Millisecond)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if res := c.response(); res.StatusCode != 200 {
		t.Error(res.Status)
	}
}

func TestAuto_SilentClientIsMovedWhenAShiftComesWhileItWaits(t *testing.T) {
	asked := make(chan struct{}, 1)
	old := tcpBackend(t, "old", 1, func(c net.Conn) { asked <- struct{}{}; io.Copy(io.Discard, c) })
	r := newRig(t, steady.Auto, proxy.Limits{}, old)
	c := r.dial()
	<-asked
	r.serve(steady.Auto, tcpBackend(t, "new", 2, func(c net.Conn) { io.WriteString(c, "new\n") }))
	d, err := r.client.Drain(t.Context(), []string{old.ID}, steady.Drain{Requests: -1, Streams: -1})
	if err != nil || d != (steady.Drained{}) {
		t.Errorf("%+v %v", d, err)
	}
	if line := c.line(); line != "new" {
		t.Error(line)
	}
}

func TestTCP_DrainEndsWithAFinThenAReset(t *testing.T) {
	t.Parallel()
	u := tcpBackend(t, "a", 1, func(c net.Conn) { io.Copy(c, c) })
	r := newRig(t, steady.TCP, proxy.Limits{}, u)
	c := r.dial()
	c.send("x\n")
	c.line()
	r.serve(steady.TCP)
	type result struct {
		d    steady.Drained
		took time.Duration
	}
	done := make(chan result)
	start := time.Now()
	go func() {
		d, _ := r.client.Drain(context.Background(), []string{u.ID}, steady.Drain{Streams: 50 * time.Millisecond})
		done <- result{d, time.Since(start)}
	}()
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("wanted a FIN: %v", err)
	}
	// We do not close: then it is reset.
	got := <-done
	if got.d.Streams != 1 || got.d.StreamsQuiet != 1 || got.d.StreamsCut != 0 {
		t.Errorf("%+v", got.d)
	}
	eventually(t, "reset", func() bool {
		_, err := c.Write([]byte("x"))
		return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
	})
}

func TestTCP_WithoutUpstreamTheConnectionIsResetAndCounted(t *testing.T) {
	r := newRig(t, steady.TCP, proxy.Limits{})
	expectReset(t, r.addr)
	eventually(t, "counted", func() bool { return r.counts(0).Lost == 1 })
}
