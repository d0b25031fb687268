package load

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// exchange is one request to be made.
type exchange struct {
	id      string
	path    string
	body    []byte // nil: GET; else POST, and the answer must be the same bytes
	chunked bool   // how the body is framed
	close   bool   // says Connection: close
	fresh   bool   // the connection serves it alone
}

func (x *exchange) append(dst []byte, t target) []byte {
	method := "GET "
	if x.body != nil {
		method = "POST "
	}
	dst = append(append(append(append(dst, method...), t.prefix...), x.path...), " HTTP/1.1\r\nHost: "...)
	dst = append(append(append(dst, t.host...), "\r\nUser-Agent: steady-rig\r\nX-Request-Id: "...), x.id...)
	if x.close {
		dst = append(dst, "\r\nConnection: close"...)
	}
	switch {
	case x.body == nil:
		return append(dst, "\r\n\r\n"...)
	case x.chunked:
		dst = append(dst, "\r\nTransfer-Encoding: chunked\r\n\r\n"...)
		dst = append(strconv.AppendInt(dst, int64(len(x.body)), 16), "\r\n"...)
		return append(append(dst, x.body...), "\r\n0\r\n\r\n"...)
	}
	dst = append(dst, "\r\nContent-Type: application/octet-stream\r\nContent-Length: "...)
	dst = append(strconv.AppendInt(dst, int64(len(x.body)), 10), "\r\n\r\n"...)
	return append(dst, x.body...)
}

// wants says what is wrong with a complete answer, nil when nothing is.
func (x *exchange) wants(r response) *fault {
	switch {
	case r.id != "" && r.id != x.id:
		return &fault{Wrong, fmt.Errorf("the answer to %s", r.id)}
	case r.status < 200 || r.status >= 400:
		return &fault{Status, fmt.Errorf("status %d", r.status)}
	case x.body != nil && !bytes.Equal(x.body, r.body):
		return &fault{Wrong, fmt.Errorf("%d bytes sent, %d other bytes came back", len(x.body), len(r.body))}
	}
	return nil
}

// lane is a place for one request at a time, with at most one connection. It
// belongs to whoever took it from its load.
type lane struct {
	c    *conn
	h2   *http.ClientConn // instead of c
	t    *tally
	out  []byte
	body []byte
}

// call makes one exchange and never a second one. sent is when its writing
// began, zero when it did not.
func (l *lane) call(t target, x *exchange) (resp response, sent time.Time, lost *fault) {
	if t.http2 != nil {
		return l.callHTTP2(t, x)
	}
	if lost := l.connect(t); lost != nil {
		return resp, sent, lost
	}
	l.out = x.append(l.out[:0], t)
	sent = time.Now()
	_ = l.c.nc.SetDeadline(sent.Add(t.timeout))
	resp, lost = l.c.roundTrip(l.out, l.body)
	if cap(resp.body) > cap(l.body) {
		l.body = resp.body
	}
	if lost != nil || resp.close || x.fresh {
		l.hangUp()
	}
	return resp, sent, lost
}

func (l *lane) connect(t target) *fault {
	if l.c != nil {
		if state := l.c.look(); state != quiet {
			l.t.unusable(state)
			l.hangUp()
		}
	}
	if l.c != nil {
		return nil
	}
	c, lost := dial(t)
	if lost != nil {
		return lost
	}
	l.t.opened()
	l.c = c
	return nil
}

func (l *lane) hangUp() {
	if l.h2 != nil {
		_ = l.h2.Close()
		l.h2 = nil
	}
	if l.c != nil {
		_ = l.c.nc.Close()
		l.c = nil
	}
}
