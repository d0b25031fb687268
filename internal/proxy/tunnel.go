package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// closeWriteTime is how long a close frame may take to find room in the client's
// socket.
const closeWriteTime = 200 * time.Millisecond

// tunnel carries an upgraded connection. Towards the client it follows a
// WebSocket's frames, so that a close frame of ours can be put between two.
type tunnel struct {
	client   net.Conn
	buffered *bufio.Reader // may hold what the client sent early
	upstream io.ReadWriteCloser
	ending   *ending
	asks     frames // of the client, where it is a WebSocket

	asked atomic.Bool // to end at the next boundary

	mu     sync.Mutex // the way to the client
	ws     bool
	frames frames
	said   bool  // our close frame went out; nothing of the upstream's may follow
	finned bool  // not a WebSocket: the way to the client was shut
	sent   int64 // bytes to the client
}

// tunnel takes the connection from net/http, passes the 101 on and carries it
// until both sides have ended.
func (x *exchange) tunnel() {
	res := x.answer.switched
	back, ok := res.Body.(io.ReadWriteCloser)
	if !ok || !x.switchesTo(res.Header.Get("Upgrade")) {
		res.Body.Close()
		x.failed = true
		x.refuse(http.StatusBadGateway)
		return
	}
	defer back.Close()
	client, brw, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err != nil {
		x.gaveUp = true
		return
	}
	defer client.Close()
	t := newTunnel(client, brw.Reader, back)
	t.ws = strings.EqualFold(res.Header.Get("Upgrade"), "websocket")
	res.Body = nil
	x.stick(res.Header)
	x.tellPlace(res.Header)
	if err := res.Write(client); err != nil {
		x.gaveUp = true
		return
	}
	x.stamp(&x.firstAfter)
	x.answer.tunnel.Store(t)
	x.pool.stream(&x.flight)
	if x.isCut.Load() { // between the claim and the tunnel
		t.cut()
	}
	t.carry()
	x.sent = t.sent // both ways have ended
}

func newTunnel(client net.Conn, early *bufio.Reader, upstream io.ReadWriteCloser) *tunnel {
	t := &tunnel{client: client, buffered: early, upstream: upstream}
	t.ending = newEnding(t.unread, t.finish)
	return t
}

// carry returns when both ways have ended. What one side ends is passed on as a
// FIN to the other, which may go on sending.
func (t *tunnel) carry() {
	defer t.ending.stop()
	up := make(chan struct{})
	go func() {
		defer close(up)
		if err := t.toUpstream(); err != nil || t.how() == inOrder {
			t.cut() // broken, or the client has answered our close frame and left
		}
	}()
	if err := t.toClient(); err != nil {
		t.cut()
	}
	<-up
}

func (t *tunnel) toUpstream() error {
	if n := t.buffered.Buffered(); n > 0 {
		early, _ := t.buffered.Peek(n)
		if err := t.forward(early); err != nil {
			return err
		}
	}
	buf := make([]byte, 16<<10)
	for {
		n, err := t.client.Read(buf)
		if n > 0 {
			if err := t.forward(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			t.ending.heard(fromClient)
			return closeWrite(t.upstream)
		}
		if err != nil {
			return err
		}
	}
}

// forward writes b to the upstream. Of a WebSocket that we have closed the client's own
// close frame is still to come; of anything else nothing is passed on any more.
// Nor is a ping or a pong of a WebSocket's anything that is waiting for an answer.
func (t *tunnel) forward(b []byte) error {
	before := t.asks.data
	if t.ws {
		t.asks.follow(b)
	}
	if t.ws && t.asks.data == before {
		_, err := t.upstream.Write(b)
		return err
	}
	if !t.ending.heard(fromClient) && !t.ws {
		return nil
	}
	_, err := t.upstream.Write(b)
	t.ending.passed(fromClient)
	return err
}

func (t *tunnel) toClient() error {
	buf := make([]byte, 16<<10)
	for {
		n, err := t.upstream.Read(buf)
		if n > 0 {
			t.ending.heard(fromServer)
			if err := t.pass(buf[:n]); err != nil {
				return err
			}
			t.ending.passed(fromServer)
		}
		if err == io.EOF {
			return closeWrite(t.client)
		}
		if err != nil {
			return err
		}
	}
}

// pass writes b to the client; once it is to end, only up to the next message's end.
func (t *tunnel) pass(b []byte) error {
	t.mu.Lock()
	if t.said || t.finned {
		t.mu.Unlock()
		return nil
	}
	whole := b
	if t.ws {
		first := t.frames.follow(b)
		if t.asked.Load() && !t.frames.closed && first >= 0 {
			whole = append(b[:first:first], closeFrame(closeServiceRestart)...)
			t.said = true
		}
	}
	n, err := t.client.Write(whole)
	t.sent += int64(n)
	t.mu.Unlock()
	if err == nil && t.asked.Load() {
		t.say() // finish may have found the lock taken
	}
	return err
}

// end has the tunnel ended at its first quiet moment; when patience is over, at the next
// message's end.
func (t *tunnel) end(patience time.Duration) { t.ending.begin(patience) }

// finish does not wait for a Write that blocks: pass looks again when it has written.
func (t *tunnel) finish(quiet bool) bool {
	switch {
	case t.ws && quiet:
		return t.say()
	case t.ws:
		t.asked.Store(true)
		return t.say()
	case !quiet: // the client's end comes after the app's own, so after its last answer
		return closeWrite(t.upstream) == nil
	case !t.mu.TryLock():
		return false
	}
	defer t.mu.Unlock()
	t.finned = true
	_ = closeWrite(t.client)
	_ = closeWrite(t.upstream)
	return true
}

// unread says whether the client has sent what has not been read yet.
func (t *tunnel) unread() bool {
	c := t.client
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = secure.NetConn()
	}
	raw, ok := c.(syscall.Conn)
	return ok && unreadIn(raw)
}

// say says in the WebSocket's own protocol that it ends, where no message is under way.
func (t *tunnel) say() bool {
	if !t.mu.TryLock() {
		return false
	}
	defer t.mu.Unlock()
	switch {
	case t.said:
	case t.frames.closed:
		t.said = t.frames.boundary() // the app said it itself
	case t.frames.boundary():
		t.said = true
		_ = t.client.SetWriteDeadline(time.Now().Add(closeWriteTime))
		_, _ = t.client.Write(closeFrame(closeServiceRestart))
	}
	return t.said
}

// cut closes both connections.
func (t *tunnel) cut() {
	_ = t.client.Close()
	_ = t.upstream.Close()
}

// how tells how it ended, once it was asked to.
func (t *tunnel) how() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.said {
		return inOrder
	}
	return t.ending.ended()
}

// closeWrite sends a FIN and leaves the other way open.
func closeWrite(c any) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
