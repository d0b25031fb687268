package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sys/unix"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

// answering answers each line after a delay, as a server does that works for it.
func answering(delay time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		for lines := bufio.NewReader(c); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			time.Sleep(delay)
			if _, err := io.WriteString(c, "answer to "+line); err != nil {
				return
			}
		}
	}
}

// drained drains an upstream in the background.
func (r *rig) drained(u steady.Upstream, clocks steady.Drain) <-chan steady.Drained {
	done := make(chan steady.Drained, 1)
	go func() {
		d, err := r.client.Drain(context.Background(), []string{u.ID}, clocks)
		if err != nil {
			r.t.Error(err)
		}
		done <- d
	}()
	return done
}

// A question whose answer is under way when the stream must end gets its answer,
// and then the client gets its end.
func TestTCP_AnAnswerUnderWayIsDeliveredBeforeTheEnd(t *testing.T) {
	u := tcpBackend(t, "a", 1, answering(50*time.Millisecond))
	r := newRig(t, steady.TCP, proxy.Limits{}, u)
	c := r.dial()
	for _, q := range []string{"one", "two"} {
		c.send(q + "\n")
		if q == "one" {
			c.line() // the stream is there
		}
	}
	r.serve(steady.TCP)
	done := r.drained(u, steady.Drain{})
	if line, err := c.r.ReadString('\n'); line != "answer to two\n" {
		t.Errorf("%q %v", line, err)
	}
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("wanted a FIN: %v", err)
	}
	t.Logf("%+v", <-done)
}

// Clients that keep their connections and ask again and again, each when it has been
// answered and rested: they lose no answer, however often their streams are ended.
func TestTCP_ClientsThatKeepAskingLoseNoAnswer(t *testing.T) {
	const clients, ends = 20, 6
	u := tcpBackend(t, "a", 1, answering(20*time.Millisecond))
	r := newRig(t, steady.TCP, proxy.Limits{}, u)
	ctx, stop := context.WithCancel(t.Context())
	lost := make(chan error, clients*ends)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() { keepAsking(ctx, r.addr, lost) })
	}
	for range ends {
		eventually(t, "all have connected", func() bool { return r.status().Upstreams[0].Streams == clients })
		r.holds(steady.TCP, gateFor(1000, time.Minute))
		if d := <-r.drained(u, steady.Drain{}); d.Streams != clients {
			t.Errorf("%+v", d)
		}
		r.serve(steady.TCP, u)
	}
	stop()
	wg.Wait()
	close(lost)
	n := 0
	for err := range lost {
		n++
		if n < 5 {
			t.Error(err)
		}
	}
	if n > 0 {
		t.Errorf("%d answers lost", n)
	}
}

// keepAsking asks over one connection every 200 ms, and opens another when that has
// ended, which it looks for right before it asks, as clients of databases do.
func keepAsking(ctx context.Context, addr string, lost chan<- error) {
	for n := 0; ctx.Err() == nil; {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			lost <- err
			return
		}
		for lines := bufio.NewReader(c); ctx.Err() == nil && askIfOpen(c.(*net.TCPConn), fmt.Sprintf("question %d\n", n)); n++ {
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := lines.ReadString('\n'); err != nil {
				lost <- fmt.Errorf("question %d: %w", n, err)
				break
			}
			wait(ctx, 180*time.Millisecond)
		}
		c.Close()
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// askIfOpen sends a question unless the other end has closed the connection. Nothing comes
// between the look and the question but two calls of the kernel: a client that is kept
// from running there sends into a connection that has ended, which no proxy can know.
func askIfOpen(c *net.TCPConn, question string) (asked bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) {
		if _, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT); err != unix.EAGAIN {
			return // its end, as all answers have been read
		}
		n, err := unix.Write(int(fd), []byte(question))
		asked = err == nil && n == len(question)
	})
	return asked
}

// The same of a WebSocket, and of another upgraded connection.
func TestUpgrade_AnAnswerUnderWayIsDeliveredBeforeTheEnd(t *testing.T) {
	ws := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
			if err := c.Write(r.Context(), kind, b); err != nil {
				return
			}
		}
	}))
	r := newRig(t, steady.Auto, proxy.Limits{}, ws)
	c := dialWS(t, r)
	echo(t, c, "one")
	if err := c.Write(t.Context(), websocket.MessageText, []byte("two")); err != nil {
		t.Fatal(err)
	}
	r.serve(steady.Auto)
	done := r.drained(ws, steady.Drain{})
	if _, b, err := c.Read(t.Context()); string(b) != "two" {
		t.Errorf("%q %v", b, err)
	}
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("%v", err)
	}
	if d := <-done; d.StreamsClosed != 1 {
		t.Errorf("%+v", d)
	}
}

// A stream that is never quiet is cut when its time is over, and even then its client
// gets whatever its server still has to say, and an end that is no reset.
func TestTCP_WhatIsNeverQuietIsCutWithoutLosingWhatWasSent(t *testing.T) {
	u := tcpBackend(t, "a", 1, func(c net.Conn) { // answers when it has heard all
		all, _ := io.ReadAll(c)
		fmt.Fprintf(c, "heard %q", all)
	})
	r := newRig(t, steady.TCP, proxy.Limits{}, u)
	c := r.dial()
	c.send("one")
	eventually(t, "the stream is there", func() bool { return r.status().Upstreams[0].Streams == 1 })
	r.serve(steady.TCP)
	done := r.drained(u, steady.Drain{Quiet: 100 * time.Millisecond})
	if said, err := io.ReadAll(c.r); err != nil || string(said) != `heard "one"` {
		t.Errorf("%q, %v", said, err)
	}
	c.Close()
	if d := <-done; d.Streams != 1 || d.StreamsCut != 1 || d.StreamsQuiet != 0 {
		t.Errorf("%+v", d)
	}
	if n := r.counts(1); n.StreamsCut != 1 || n.StreamsQuiet != 0 {
		t.Errorf("%+v", n)
	}
}

// An answer larger than all buffers is delivered whole before the end, at the client's
// own pace. The end is asked for when all buffers are full, or hold all of it: from then on
// it is the client that the answer waits for. Before, it may be a server that a busy machine
// does not let write for longer than a quiet moment is long, and nobody can tell that from
// an answer's end.
func TestTCP_ALongAnswerIsDeliveredWholeBeforeTheEnd(t *testing.T) {
	const size = 32 << 20
	server := make(chan net.Conn, 1)
	var written atomic.Bool
	u := tcpBackend(t, "a", 1, func(c net.Conn) {
		server <- c
		lines := bufio.NewReader(c)
		for {
			if _, err := lines.ReadString('\n'); err != nil {
				return
			}
			_, _ = c.Write(make([]byte, size))
			written.Store(true)
		}
	})
	r := newRig(t, steady.TCP, proxy.Limits{}, u)
	c := r.dial()
	_ = c.SetReadBuffer(64 << 10)
	c.send("please\n")
	_, _ = c.r.Peek(1)
	answers, full := <-server, 0
	eventually(t, "all buffers are full, or hold all of it", func() bool {
		if full++; unacknowledged(t, answers) == 0 {
			full = 0
		}
		return full == 50 || written.Load()
	})
	r.serve(steady.TCP)
	done := r.drained(u, steady.Drain{Quiet: time.Minute})
	n := 0
	buf := make([]byte, 128<<10)
	for {
		time.Sleep(time.Millisecond)
		m, err := c.r.Read(buf)
		n += m
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
	if n != size {
		t.Errorf("%d bytes of %d", n, size)
	}
	if d := <-done; d.StreamsQuiet != 1 {
		t.Errorf("%+v", d)
	}
	if n := r.counts(1); n.StreamsQuiet != 1 || n.StreamsCut != 0 {
		t.Errorf("%+v", n)
	}
}

// A pool's idle connections are ended at once, and nobody waits for their clients to
// notice: what must be gone is the server's end.
func TestTCP_ADrainDoesNotWaitForClientsThatDoNotListen(t *testing.T) {
	u := tcpBackend(t, "a", 1, answering(0))
	r := newRig(t, steady.TCP, proxy.Limits{}, u)
	for range 5 {
		c := r.dial()
		c.send("one\n")
		c.line() // and no read after it
	}
	r.serve(steady.TCP)
	began := time.Now()
	if d := <-r.drained(u, steady.Drain{Quiet: time.Minute}); d.StreamsQuiet != 5 {
		t.Errorf("%+v", d)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the drain took %s", took)
	}
}

// With drain.quiet: 0s a stream is cut at once, whatever is under way.
func TestTCP_WithoutPatienceAnAnswerUnderWayIsCut(t *testing.T) {
	u := tcpBackend(t, "a", 1, func(c net.Conn) { // hangs up when its client does, as most do
		answer, stop := context.WithCancel(context.Background())
		defer stop()
		for lines := bufio.NewReader(c); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			go func() {
				select {
				case <-answer.Done():
				case <-time.After(time.Second):
					_, _ = io.WriteString(c, "answer to "+line)
				}
			}()
		}
	})
	r := newRig(t, steady.TCP, proxy.Limits{}, u)
	c := r.dial()
	c.send("one\n")
	eventually(t, "the stream is there", func() bool { return r.status().Upstreams[0].Streams == 1 })
	r.serve(steady.TCP)
	done := r.drained(u, steady.Drain{Quiet: -1})
	if line, err := c.r.ReadString('\n'); err != io.EOF {
		t.Errorf("%q %v", line, err)
	}
	if d := <-done; d.StreamsCut != 1 {
		t.Errorf("%+v", d)
	}
}

// The same of an upgraded connection that is no WebSocket: its end is a FIN.
func TestUpgrade_OtherProtocolsHearTheirAnswerBeforeTheEnd(t *testing.T) {
	u := tcpBackend(t, "a", 1, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
		answering(50 * time.Millisecond)(c)
	})
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	c := r.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n")
	if res := c.response(); res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	c.send("one\n")
	r.serve(steady.Auto)
	done := r.drained(u, steady.Drain{})
	if rest, err := io.ReadAll(c.r); err != nil || string(rest) != "answer to one\n" {
		t.Errorf("%q %v", rest, err)
	}
	c.Close()
	if d := <-done; d.StreamsQuiet != 1 {
		t.Errorf("%+v", d)
	}
}

// Of a compressed event stream no event's end is known; a piece that is still coming is
// waited for.
func TestSSE_ACompressedStreamEndsInASilence(t *testing.T) {
	next := make(chan string)
	u := backend(t, "a", 1, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		sseApp(next).ServeHTTP(w, r)
	}))
	r := newRig(t, steady.Auto, proxy.Limits{}, u)
	c := r.dial()
	c.send("GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
	res := c.response()
	next <- "half "
	if _, err := io.ReadFull(res.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	r.serve(steady.Auto)
	next <- "of "
	done := r.drained(u, steady.Drain{Quiet: time.Minute})
	next <- "an event"
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != "of an event" {
		t.Errorf("%q %v", rest, err)
	}
	if d := <-done; d.StreamsClosed != 1 {
		t.Errorf("%+v", d)
	}
}

// A client that only answered its server's question whether it lives has asked nothing.
func TestTCP_AnIdleNATSClientIsQuiet(t *testing.T) {
	u := tcpBackend(t, "a", 1, func(c net.Conn) {
		io.WriteString(c, "INFO {}\r\nPING\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	r := newRig(t, steady.TCP, proxy.Limits{}, u)
	c := r.dial()
	for range 2 {
		c.line()
	}
	c.send("PONG\r\n")
	r.serve(steady.TCP)
	if d := <-r.drained(u, steady.Drain{Quiet: time.Minute}); d.StreamsQuiet != 1 {
		t.Errorf("%+v", d)
	}
}
