package proxy

import (
	"bufio"
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"syscall"
	"time"
)

// A line is a kept connection to an upstream for plain exchanges: a request whole
// in hand, then its answer, both on the caller's goroutine. net/http's Transport
// needs two more goroutines and the way between them for each, which costs a
// quarter of the throughput; parsing and writing are net/http's here too.
type line struct {
	conn   *net.TCPConn
	raw    syscall.RawConn
	r      *bufio.Reader
	w      *bufio.Writer
	budget int64 // bytes that may still be read; bounds an answer's head
	wrote  bool  // something of the request under way has been sent
	since  time.Time
}

// maxInformational bounds the 1xx answers to one request.
const maxInformational = 16

var errHeadTooLarge = errors.New("upstream's answer: head too large")

func newLine(c *net.TCPConn) (*line, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		c.Close()
		return nil, err
	}
	l := &line{conn: c, raw: raw}
	l.r = bufio.NewReader(lineReader{l})
	l.w = bufio.NewWriter(lineWriter{l})
	return l, nil
}

type lineReader struct{ *line }

func (l lineReader) Read(b []byte) (int, error) {
	if l.budget <= 0 {
		return 0, errHeadTooLarge
	}
	n, err := l.conn.Read(b)
	l.budget -= int64(n)
	return n, err
}

type lineWriter struct{ *line }

func (l lineWriter) Write(b []byte) (int, error) {
	n, err := l.conn.Write(b)
	l.wrote = l.wrote || n > 0
	return n, err
}

// alive says whether the upstream has neither closed the idle connection nor
// sent what nobody asked for.
func (l *line) alive() bool {
	quiet := false
	err := l.raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN
		return true
	})
	return err == nil && quiet
}

// exchange sends a request and reads the answer's head. silent: not a byte of an
// answer came. The answer's body reads from the line; interrupting it is the
// caller's matter.
func (l *line) exchange(out *http.Request) (res *http.Response, silent bool, err error) {
	l.wrote = false
	l.budget = maxResponseHead
	err = out.Write(l.w)
	if err == nil {
		err = l.w.Flush()
	}
	// An upstream may answer before it has read everything, and close.
	if _, peeked := l.r.Peek(1); peeked != nil {
		if err == nil {
			err = peeked
		}
		return nil, true, err
	}
	for range maxInformational {
		res, err = http.ReadResponse(l.r, out)
		switch {
		case err != nil:
			return nil, false, err
		case res.StatusCode >= http.StatusOK:
			l.budget = math.MaxInt64
			return res, false, nil
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, false, errors.New("upstream switched protocols unasked")
		}
		trace := httptrace.ContextClientTrace(out.Context())
		if trace != nil && trace.Got1xxResponse != nil {
			if err := trace.Got1xxResponse(res.StatusCode, textproto.MIMEHeader(res.Header)); err != nil {
				return nil, false, err
			}
		}
	}
	return nil, false, errors.New("upstream gives no answer but 1xx")
}

// lineUse is a line while an answer is read from it.
type lineUse struct {
	*line
	upstream *upstream
	stop     func() bool // ends the watch for the exchange's end
	close    bool        // the upstream or the request said so
	over     bool
}

// done gives the line back, when the answer was read whole and nothing speaks
// against another exchange on it.
func (l *lineUse) done(whole bool) {
	if l.over {
		return
	}
	l.over = true
	if l.stop() && whole && !l.close && l.r.Buffered() == 0 {
		l.upstream.lines.put(l.line)
		return
	}
	_ = l.conn.Close()
}

// plain says whether a request can go by line: whole in hand, no upgrade.
func (x *exchange) plain(out *http.Request) bool {
	return (out.Body == nil || out.GetBody != nil) && out.Header["Upgrade"] == nil && out.Header["Expect"] == nil
}

// direct sends the request by line. One that turns out to be closed is replaced
// where that cannot do harm: nothing was sent, or no answer came and the request
// may be sent twice.
func (x *exchange) direct(u *upstream, out *http.Request, replayable bool) (*http.Response, error) {
	ctx := out.Context()
	idle := idleOnce
	if replayable {
		idle = idleReplayable
	}
	for {
		l, kept, err := u.line(ctx, idle)
		if err != nil {
			return nil, err
		}
		use := &lineUse{line: l, upstream: u}
		use.stop = context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })
		if out.GetBody != nil {
			out.Body, _ = out.GetBody()
		}
		res, silent, err := l.exchange(out)
		if err == nil {
			use.close = res.Close || out.Close
			x.answer.line = use
			return res, nil
		}
		use.done(false)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		switch {
		case !silent:
			return nil, &begunError{err}
		case !kept, l.wrote && !replayable:
			return nil, err
		}
	}
}

// line takes an idle line, kept, or opens one.
func (u *upstream) line(ctx context.Context, idle time.Duration) (l *line, kept bool, err error) {
	if l := u.lines.take(idle); l != nil {
		return l, true, nil
	}
	c, err := u.dial(ctx, "tcp", "")
	if err != nil {
		return nil, false, err
	}
	l, err = newLine(c.(*net.TCPConn))
	return l, false, err
}
