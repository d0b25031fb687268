package proxy

import (
	"bytes"
	"errors"
	"io"
)

// errRequestLine is a relayed connection that turns out to be an HTTP request.
var errRequestLine = errors.New("the first line is an HTTP request's")

// firstLine follows a client's first line while it is relayed: what passes as another
// protocol's can be no HTTP request, in however many pieces it comes. Behind the line,
// or where the first byte is none of a text, everything is the app's.
type firstLine struct {
	wary bool // it has not ended yet
	line []byte
}

// pass passes on what comes from src until the line has ended or src has, and stops in
// front of the piece by which it becomes a request line.
func (f *firstLine) pass(dst io.Writer, src *io.LimitedReader) error {
	for f.wary && src.N > 0 {
		at := len(f.line)
		f.line = append(f.line, make([]byte, min(src.N, int64(peekSize-at)))...)
		n, err := src.Read(f.line[at:])
		f.line = f.line[:at+n]
		begin := bytes.TrimLeft(f.line, emptyLines)
		rest, _, whole := bytes.Cut(begin, []byte{'\n'})
		text := len(begin) == 0 || isText(begin[0])
		if text && namesHTTP(rest) {
			return errRequestLine
		}
		if _, err := dst.Write(f.line[at:]); err != nil {
			return err
		}
		if err != nil {
			return err
		}
		f.wary = text && !whole && len(f.line) < peekSize
	}
	if !f.wary {
		f.line = nil
	}
	return nil
}
