package proxy

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"
)

// What a client's first bytes say.
const (
	undecided   = iota // too few to tell
	speaksHTTP         // a request line, be it a malformed one
	speaksHTTP2        // without TLS: gRPC
	speaksText         // a line of text that is no request line: Redis, SMTP, or a malformed request
	speaksOther        // begins with a byte that no text does: TLS, PostgreSQL, MQTT, AMQP
)

const (
	// peekFirst is enough for most first lines to show what they are.
	peekFirst = 64
	// peekSize is how much of a first line is looked at. What goes on for longer
	// without a line's end is taken for text that is not HTTP, and followed by
	// relay.firstLine.
	peekSize = 4 << 10
	// emptyLines is what may stand before a request (RFC 9112 2.2), and what lenient
	// apps skip as well.
	emptyLines = " \t\r\n"
	// http2Preface begins an HTTP/2 connection (RFC 9113 3.4).
	http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

// classify reads the first bytes of a connection. HTTP/1 is what an app might read
// as a request, lenient as it may be: a line in which the name of the protocol
// stands. A usual request line is known by its begin, be it "GET /path", "OPTIONS *"
// or "GET http://…". Redis' inline "PING", SMTP's "EHLO host" and IRC's "NICK you"
// are text of another protocol.
func classify(b []byte) int {
	line := bytes.TrimLeft(b, emptyLines)
	switch {
	case len(line) == 0:
		return unless(len(b) >= peekSize, speaksText)
	case !isText(line[0]):
		return speaksOther
	case startsLike(line, http2Preface[:len("PRI * HTTP/2.0")]):
		return unless(len(line) >= len("PRI * HTTP/2.0"), speaksHTTP2)
	case usual(line) == speaksHTTP:
		return speaksHTTP
	}
	line, _, whole := bytes.Cut(line, []byte{'\n'})
	switch {
	case namesHTTP(line):
		return speaksHTTP
	case whole, len(b) >= peekSize, slices.ContainsFunc(line, func(c byte) bool { return c < ' ' && c != '\t' && c != '\r' }):
		return speaksText
	}
	return undecided
}

// unless is kind where sure, else undecided.
func unless(sure bool, kind int) int {
	if sure {
		return kind
	}
	return undecided
}

func isText(c byte) bool { return ' ' <= c && c < 0x7f || bytes.IndexByte([]byte(emptyLines), c) >= 0 }

// startsLike says whether b begins with word, or is its begin.
func startsLike(b []byte, word string) bool {
	n := min(len(b), len(word))
	return string(b[:n]) == word[:n]
}

// namesHTTP says whether the name of the protocol stands in a line, in any case.
func namesHTTP(line []byte) bool {
	for i := range line {
		if line[i]|0x20 == 'h' && len(line)-i >= len(httpWords) && strings.EqualFold(string(line[i:i+len(httpWords)]), httpWords) {
			return true
		}
	}
	return false
}

// usual tells a request line by its begin: a method in upper case, a space, and the
// begin of a target. undecided: it may become one.
func usual(b []byte) int {
	for i, c := range b {
		switch {
		case 'A' <= c && c <= 'Z', c == '-' && i > 0:
			continue
		case c != ' ' || i == 0:
			return speaksText
		case i+1 == len(b):
			return undecided
		}
		switch b[i+1] {
		case '/', '*', 'h', 'H':
			return speaksHTTP
		}
		return speaksText
	}
	return undecided
}

const (
	// httpWords begin an answer that an HTTP server gives without a request: a 408.
	httpWords = "HTTP/"
	// longestGreeting is the head of an HTTP/2 frame (RFC 9113 4.1).
	longestGreeting = 9
)

// settingsHead is the head of an empty SETTINGS frame.
var settingsHead = [longestGreeting]byte{3: 0x4}

// classifyGreeting reads what an upstream says before its client has said a word.
// An HTTP server may say that it waited for a request, and an HTTP/2 server's
// SETTINGS (gRPC's among them) need not wait for the client's.
func classifyGreeting(b []byte) int {
	n := min(len(b), longestGreeting)
	switch {
	case strings.HasPrefix(string(b), httpWords):
		return speaksHTTP
	case strings.HasPrefix(httpWords, string(b)):
		return undecided
	}
	// The length is 24 bits, of which few are used; all else is fixed.
	for i, c := range b[:n] {
		if i != 1 && i != 2 && c != settingsHead[i] {
			return speaksOther
		}
	}
	if n < longestGreeting {
		return undecided
	}
	return speaksHTTP
}

// peekTimes is how long a client is waited for.
type peekTimes struct {
	first time.Duration // for its first byte
	head  time.Duration // for what begins like a request line to show that it is one
	text  time.Duration // the same for other text, which may lack a line's end
}

// peek waits until the first bytes of c can be told apart, and consumes none.
// os.ErrDeadlineExceeded when the client said nothing, undecided when it began and
// said too little, speaksText when that was no request line's begin, io.EOF when it
// ended without a word. Someone else may set a past deadline to have it return.
func peek(c *net.TCPConn, wait peekTimes) (kind int, err error) {
	var first [peekFirst]byte
	var said []byte
	err = peekEach(c, first[:], peekSize, func(b []byte) bool {
		if kind = classify(b); kind != undecided {
			return true
		}
		more := wait.text
		if usual(bytes.TrimLeft(b, emptyLines)) == undecided {
			more = wait.head
		}
		if len(said) == 0 || more == wait.text && len(b) > len(said) {
			_ = c.SetReadDeadline(time.Now().Add(more))
		}
		ended := len(b) == len(said) && hasLeft(c, true)
		said = b
		if ended {
			kind = speaksText
		}
		return ended
	})
	if len(said) > 0 && err != nil && err != io.EOF {
		if usual(bytes.TrimLeft(said, emptyLines)) == undecided {
			return undecided, nil
		}
		return speaksText, nil
	}
	return kind, err
}

// peekEach calls enough with what c has to read, as often as more comes, until it
// says yes. What does not fit into buf is looked at with room for most bytes.
func peekEach(c *net.TCPConn, buf []byte, most int, enough func([]byte) bool) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		for {
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
			if done := enough(buf[:n]); done || n < len(buf) || len(buf) >= most {
				return done
			}
			buf = make([]byte, most)
		}
	})
	if failed != nil {
		return failed
	}
	return err
}
