package drill

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Exchange is one request to be made.
type Exchange struct {
	ID      string
	Method  string // GET when empty, POST with a body
	Path    string // with its query
	Header  []Field
	Body    []byte
	Chunked bool // how the body is framed
	Close   bool // says Connection: close
	Fresh   bool // the connection serves it alone
}

// Field is one header field of a request.
type Field struct{ Name, Value string }

func (x *Exchange) method() string {
	switch {
	case x.Method != "":
		return x.Method
	case x.Body != nil:
		return http.MethodPost
	}
	return http.MethodGet
}

func (x *Exchange) append(dst []byte, t Target) []byte {
	dst = append(append(append(append(dst, x.method()...), ' '), t.Prefix...), x.Path...)
	dst = appendField(append(dst, " HTTP/1.1\r\n"...), "Host", t.Host)
	dst = appendField(dst, "User-Agent", t.Agent)
	dst = appendField(dst, "X-Request-Id", x.ID)
	typed := false
	for _, h := range x.Header {
		dst = appendField(dst, h.Name, h.Value)
		typed = typed || strings.EqualFold(h.Name, "Content-Type")
	}
	if x.Close {
		dst = appendField(dst, "Connection", "close")
	}
	switch {
	case x.Body == nil:
		return append(dst, "\r\n"...)
	case x.Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n\r\n"...)
		dst = append(strconv.AppendInt(dst, int64(len(x.Body)), 16), "\r\n"...)
		return append(append(dst, x.Body...), "\r\n0\r\n\r\n"...)
	}
	if !typed {
		dst = appendField(dst, "Content-Type", "application/octet-stream")
	}
	dst = append(dst, "Content-Length: "...)
	dst = append(strconv.AppendInt(dst, int64(len(x.Body)), 10), "\r\n\r\n"...)
	return append(dst, x.Body...)
}

func appendField(dst []byte, name, value string) []byte {
	return append(append(append(append(dst, name...), ": "...), value...), "\r\n"...)
}

// Lane is a place for one request at a time, with at most one connection. It
// belongs to whoever took it from its load.
type Lane struct {
	seen Watcher
	c    *Conn
	h2   *http.ClientConn // instead of c
	out  []byte
	body []byte
}

// Watcher is told what becomes of a lane's connections.
type Watcher interface {
	Opened()
	Unusable(Idle) // its end, or bytes that nobody asked for, were seen before it was used again
}

// NewLane makes one that has no connection yet.
func NewLane(w Watcher) *Lane { return &Lane{seen: w} }

// Call makes one exchange and never a second one. sent is when its writing
// began, zero when it did not.
func (l *Lane) Call(t Target, x *Exchange) (resp Response, sent time.Time, lost *Fault) {
	if t.HTTP2 != nil {
		return l.callHTTP2(t, x)
	}
	if lost := l.connect(t); lost != nil {
		return resp, sent, lost
	}
	l.out = x.append(l.out[:0], t)
	sent = time.Now()
	_ = l.c.Net.SetDeadline(sent.Add(t.Timeout))
	resp, lost = l.c.roundTrip(l.out, l.body, x.method() == http.MethodHead)
	if cap(resp.Body) > cap(l.body) {
		l.body = resp.Body
	}
	if lost != nil || resp.Close || x.Fresh {
		l.HangUp()
	}
	return resp, sent, lost
}

func (l *Lane) connect(t Target) *Fault {
	if l.c != nil {
		if state := l.c.look(); state != Quiet {
			l.seen.Unusable(state)
			l.HangUp()
		}
	}
	if l.c != nil {
		return nil
	}
	c, lost := Dial(t)
	if lost != nil {
		return lost
	}
	l.seen.Opened()
	l.c = c
	return nil
}

// HangUp closes the lane's connection, if it has one.
func (l *Lane) HangUp() {
	if l.h2 != nil {
		_ = l.h2.Close()
		l.h2 = nil
	}
	if l.c != nil {
		_ = l.c.Net.Close()
		l.c = nil
	}
}
