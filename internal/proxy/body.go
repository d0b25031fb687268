package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// smallBody is how large a body may be to be read whole before an upstream is
// claimed, so that it can be sent again, in bytes.
const smallBody = 64 << 10

// clientBody is a request's body on its way in: it holds the client to its pace
// and remembers how reading ended. A nil one is no body.
type clientBody struct {
	io.ReadCloser
	x     *exchange
	rc    *http.ResponseController
	until time.Time // read deadline in force
	whole []byte    // where it was read beforehand
	known bool
	left  int64 // bytes still to come; below 0: not known

	mu  sync.Mutex
	err error // reading failed, for the client's sake
}

// takeBody wraps the request's body and reads a small one. False: the client has
// its answer already. It aborts the handler when the client is gone.
func (x *exchange) takeBody() bool {
	in := x.in
	x.bareHTTP3()
	if in.ContentLength == 0 || in.Body == nil || in.Body == http.NoBody {
		return true
	}
	if most := x.proxy.limits.MaxBody; most > 0 {
		if in.ContentLength > most {
			if in.Header.Get("Expect") == "" {
				// Who is sending already would be reset before it reads the answer, had
				// net/http not seen the limit exceeded: then it closes slowly.
				_, _ = http.MaxBytesReader(x.ResponseWriter, in.Body, 0).Read(make([]byte, 1))
			}
			x.refuse(http.StatusRequestEntityTooLarge)
			return false
		}
		in.Body = http.MaxBytesReader(x.ResponseWriter, in.Body, most)
	}
	b := &clientBody{ReadCloser: in.Body, x: x, rc: http.NewResponseController(x.ResponseWriter)}
	x.body = b
	in.Body = b
	// A body announced with Expect is not asked for before the upstream does.
	if in.ContentLength < 0 || in.ContentLength > smallBody || in.Header.Get("Expect") != "" {
		b.left = in.ContentLength
		// Else net/http closes the body when the answer begins, and a transport that
		// still reads it breaks the upstream's answer off.
		_ = b.rc.EnableFullDuplex()
		return true
	}
	b.left = in.ContentLength
	b.whole = make([]byte, in.ContentLength)
	if _, err := io.ReadFull(b, b.whole); err != nil {
		if !b.late() {
			panic(http.ErrAbortHandler)
		}
		x.refuse(http.StatusRequestTimeout)
		return false
	}
	b.known = true
	x.bytes = in.ContentLength
	in.Body = io.NopCloser(bytes.NewReader(b.whole))
	return true
}

// bareHTTP3 finds that a GET or HEAD has no body. HTTP/3 does not say so in a
// request's head but by its stream's end, which comes with it; taken for a body of
// unknown length it would reach the app chunked, and could not be sent twice.
func (x *exchange) bareHTTP3() {
	in := x.in
	if in.ProtoMajor != 3 || in.ContentLength >= 0 || in.Body == nil || in.Method != http.MethodGet && in.Method != http.MethodHead {
		return
	}
	rc := http.NewResponseController(x.ResponseWriter)
	_ = rc.SetReadDeadline(time.Now().Add(x.proxy.limits.BodyIdle))
	first := make([]byte, 1)
	n, err := in.Body.Read(first)
	_ = rc.SetReadDeadline(time.Time{})
	if n == 0 && err == io.EOF {
		in.Body, in.ContentLength = http.NoBody, 0
		return
	}
	in.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(first[:n]), in.Body), in.Body}
}

// rewindable gives the outgoing request the body as often as it needs it, where
// it is known. Where it is not, it gives it once more for another try: a transport
// that could not connect has read nothing, but closed what it was given.
func (b *clientBody) rewindable(out *http.Request) {
	if b == nil {
		return
	}
	if !b.known {
		out.Body = io.NopCloser(b)
		return
	}
	out.GetBody = func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b.whole)), nil
	}
	out.Body, _ = out.GetBody()
}

func (b *clientBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if b.x.finished.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	b.hurry()
	n, err := b.ReadCloser.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	if b.left == 0 && err == nil { // http.Transport would ask once more to be sure
		err = io.EOF
	}
	if err == nil {
		return n, nil
	}
	if !b.x.finished.Load() { // else whoever hears the client out has set one
		_ = b.rc.SetReadDeadline(time.Time{}) // or net/http's watch for the client's leaving meets it
	}
	if err != io.EOF {
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
	}
	return n, err
}

// hurry moves the deadline, at most once a second: it is a system's timer. What
// comes by HTTP/2 without a length may be a conversation, in which a client may
// be silent as long as it likes.
func (b *clientBody) hurry() {
	if b.left < 0 && b.x.in.ProtoMajor >= 2 {
		return
	}
	until := time.Now().Add(b.x.proxy.limits.BodyIdle)
	if until.Sub(b.until) > b.x.proxy.limits.BodyIdle/60 {
		b.until = until
		_ = b.rc.SetReadDeadline(until)
	}
}

// failed is why the body could not be read, nil when it could.
func (b *clientBody) failed() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// late says whether the client sent nothing for too long.
func (b *clientBody) late() bool { return errors.Is(b.failed(), os.ErrDeadlineExceeded) }
