package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
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

	asked atomic.Bool // to end

	mu     sync.Mutex // the way to the client
	ws     bool
	frames frames
	said   bool  // our close frame went out; nothing of the upstream's may follow
	finned bool  // not a WebSocket: both ways were shut
	sent   int64 // bytes to the client
}

// tunnel takes the connection from net/http, passes the 101 on and carries it
// until both sides have ended.
func (x *exchange) tunnel() {
	res := x.answer.switched
	back, ok := res.Body.(io.ReadWriteCloser)
	if !ok || !strings.EqualFold(res.Header.Get("Upgrade"), x.in.Header.Get("Upgrade")) {
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
	t := &tunnel{client: client, buffered: brw.Reader, upstream: back}
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

// carry returns when both ways have ended. What one side ends is passed on as a
// FIN to the other, which may go on sending.
func (t *tunnel) carry() {
	up := make(chan struct{})
	go func() {
		defer close(up)
		if err := t.toUpstream(); err != nil || t.orderly() {
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
		if _, err := t.upstream.Write(early); err != nil {
			return err
		}
	}
	if _, err := io.Copy(t.upstream, t.client); err != nil {
		return err
	}
	return closeWrite(t.upstream)
}

func (t *tunnel) toClient() error {
	buf := make([]byte, 16<<10)
	for {
		n, err := t.upstream.Read(buf)
		if n > 0 {
			if err := t.pass(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return closeWrite(t.client)
		}
		if err != nil {
			return err
		}
	}
}

// pass writes b to the client; once the end was asked for, only up to the next
// frame's end.
func (t *tunnel) pass(b []byte) error {
	t.mu.Lock()
	if t.said {
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
		t.say() // end may have found the lock taken
	}
	return err
}

// end asks for the end. It does not wait for a Write that blocks: pass looks
// again when it has written.
func (t *tunnel) end() {
	t.asked.Store(true)
	t.say()
}

func (t *tunnel) say() {
	if !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	switch {
	case t.said || t.finned:
	case !t.ws:
		t.finned = true
		_ = closeWrite(t.client)
		_ = closeWrite(t.upstream)
	case t.frames.closed:
		t.said = t.frames.boundary() // the app said it itself
	case t.frames.boundary():
		t.said = true
		_ = t.client.SetWriteDeadline(time.Now().Add(closeWriteTime))
		_, _ = t.client.Write(closeFrame(closeServiceRestart))
	}
}

// cut closes both connections.
func (t *tunnel) cut() {
	_ = t.client.Close()
	_ = t.upstream.Close()
}

func (t *tunnel) orderly() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.said
}

// closeWrite sends a FIN and leaves the other way open.
func closeWrite(c any) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
