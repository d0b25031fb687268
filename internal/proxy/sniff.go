package proxy

import (
	"bytes"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// What a client's first bytes say.
const (
	undecided = iota // too few to tell
	speaksHTTP
	speaksHTTP2 // without TLS: gRPC
	speaksOther
)

// peekSize is enough for the longest registered method and what follows it.
const peekSize = 32

// classify reads the first bytes of a connection: HTTP/1 when they are a method,
// a space and the begin of a target, be it "/path", "*" or "http://…". Redis'
// inline "PING", SMTP's "EHLO host" and IRC's "NICK you" are not.
func classify(b []byte) int {
	if bytes.HasPrefix(b, []byte("PRI ")) { // HTTP/2's preface, RFC 9113 3.4
		return speaksHTTP2
	}
	for i, c := range b {
		switch {
		case 'A' <= c && c <= 'Z', c == '-' && i > 0:
			continue
		case c != ' ' || i == 0:
			return speaksOther
		case i+1 == len(b):
			return undecided
		}
		switch b[i+1] {
		case '/', '*', 'h', 'H':
			return speaksHTTP
		}
		return speaksOther
	}
	if len(b) >= peekSize {
		return speaksOther
	}
	return undecided
}

const (
	// httpWords begin an answer that an HTTP server gives without a request: a 408.
	httpWords = "HTTP/"
	// longestGreeting is the head of an HTTP/2 frame (RFC 9113 4.1).
	longestGreeting = 9
)

// classifyGreeting reads what an upstream says before its client has said a word.
// An HTTP server may say that it waited for a request, and an HTTP/2 server's
// SETTINGS (gRPC's among them) need not wait for the client's.
func classifyGreeting(b []byte) int {
	settings := [longestGreeting]byte{3: 0x4}
	n := min(len(b), longestGreeting)
	switch {
	case strings.HasPrefix(string(b), httpWords):
		return speaksHTTP
	case strings.HasPrefix(httpWords, string(b)):
		return undecided
	}
	// The length is 24 bits, of which few are used; all else is fixed.
	for i, c := range b[:n] {
		if i != 1 && i != 2 && c != settings[i] {
			return speaksOther
		}
	}
	if n < longestGreeting {
		return undecided
	}
	return speaksHTTP
}

// peek waits until the first bytes of c can be told apart, and consumes none.
// The caller sets the read deadline for the first of them; for the rest peek
// sets head. os.ErrDeadlineExceeded when the client said nothing, undecided when
// it began and said too little, io.EOF when it ended without a word. Someone else
// may set a past deadline to have it return.
func peek(c *net.TCPConn, head time.Duration) (kind int, err error) {
	var buf [peekSize]byte
	begun := false
	err = peekEach(c, buf[:], func(b []byte) bool {
		if !begun {
			begun = true
			_ = c.SetReadDeadline(time.Now().Add(head))
		}
		kind = classify(b)
		return kind != undecided
	})
	if begun && err != nil && err != io.EOF {
		return undecided, nil
	}
	return kind, err
}

// peekEach calls enough with what c has to read, as often as more comes, until it
// says yes.
func peekEach(c *net.TCPConn, buf []byte, enough func([]byte) bool) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, _, err := syscall.Recvfrom(int(fd), buf, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EAGAIN || err == syscall.EINTR:
			return false
		case err != nil:
			failed = err
			return true
		case n == 0:
			failed = io.EOF
			return true
		}
		return enough(buf[:n])
	})
	if failed != nil {
		return failed
	}
	return err
}
