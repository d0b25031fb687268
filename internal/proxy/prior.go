package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// priorWithin is how long an app may take to answer HTTP/2's preface.
const priorWithin = 2 * time.Second

// prior is whether an upstream takes HTTP/2 without TLS by prior knowledge (RFC 9113
// 3.3). It is asked when the first client comes by HTTP/2, and then known for as
// long as the container lives.
type prior struct {
	asking sync.Mutex
	known  atomic.Int32
}

const (
	takesHTTP2 = iota + 1
	takesHTTP1
)

// takesHTTP2 says whether requests that came by HTTP/2 go to the upstream as such;
// else they are translated. The error is of a dial. An app that says nothing in time
// is not asked less for it; one that hangs up gets HTTP/1.1 this time.
func (u *upstream) takesHTTP2(ctx context.Context) (bool, error) {
	if k := u.prior.known.Load(); k != 0 {
		return k == takesHTTP2, nil
	}
	u.prior.asking.Lock()
	defer u.prior.asking.Unlock()
	if k := u.prior.known.Load(); k != 0 {
		return k == takesHTTP2, nil
	}
	c, err := u.dial(ctx, "tcp", "")
	if err != nil {
		return false, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	answer, err := askHTTP2(c)
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case err == nil && classifyGreeting(answer) == speaksHTTP && answer[0] == 0:
		u.prior.known.Store(takesHTTP2)
		return true, nil
	case len(answer) > 0:
		u.prior.known.Store(takesHTTP1)
		return false, nil
	}
	var late net.Error
	return errors.As(err, &late) && late.Timeout(), nil
}

// askHTTP2 begins an HTTP/2 connection with empty SETTINGS and gives the begin of
// the answer, the head of a frame where it is HTTP/2's.
func askHTTP2(c net.Conn) ([]byte, error) {
	_ = c.SetDeadline(time.Now().Add(priorWithin))
	if _, err := c.Write(append([]byte(http2Preface), settingsHead[:]...)); err != nil {
		return nil, err
	}
	var b [longestGreeting]byte
	n, err := io.ReadFull(c, b[:])
	return b[:n], err
}
