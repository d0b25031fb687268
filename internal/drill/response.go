package drill

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxBody bounds what is read of one answer, in bytes.
const maxBody = 16 << 20

// Response is one answer; its body lies in the reader's buffer and lives until
// the next request of its lane.
type Response struct {
	Status  int
	Release int    // X-Release; 0: not named
	ID      string // X-Request-Id, if the server repeats it
	Chunked bool
	Close   bool   // the connection is not to be used again
	Accept  string // Sec-WebSocket-Accept
	Media   string // Content-Type
	Body    []byte

	length int64 // Content-Length; -1: not given
}

// readHead reads the final head and skips interim ones (1xx but 101).
func readHead(br *bufio.Reader) (Response, error) {
	for {
		resp, err := readOneHead(br)
		if err != nil || resp.Status >= 200 || resp.Status == 101 {
			return resp, err
		}
	}
}

func readOneHead(br *bufio.Reader) (Response, error) {
	resp := Response{length: -1}
	line, err := readLine(br)
	if err != nil {
		return resp, err
	}
	if err := resp.statusLine(string(line)); err != nil {
		return resp, err
	}
	for {
		line, err := readLine(br)
		if err != nil {
			return resp, err
		}
		if len(line) == 0 {
			return resp, resp.checkFraming()
		}
		if err := resp.field(line); err != nil {
			return resp, err
		}
	}
}

// readLine reads up to CRLF. A bare LF and an over-long line are errors.
func readLine(br *bufio.Reader) ([]byte, error) {
	line, err := br.ReadSlice('\n')
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || bytes.IndexByte(rest, '\r') >= 0 {
		return nil, fmt.Errorf("line %q does not end in CRLF", line)
	}
	return rest, nil
}

func (r *Response) statusLine(line string) error {
	proto, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(code)
	if err != nil || len(code) != 3 || n < 100 || (proto != "HTTP/1.1" && proto != "HTTP/1.0") {
		return fmt.Errorf("status line %q", line)
	}
	r.Status, r.Close = n, proto == "HTTP/1.0"
	return nil
}

func (r *Response) field(line []byte) error {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") {
		return fmt.Errorf("header line %q", line)
	}
	v := string(bytes.Trim(value, " \t"))
	switch strings.ToLower(string(name)) {
	case "content-length":
		n, err := strconv.ParseUint(v, 10, 62)
		if err != nil || r.length >= 0 {
			return fmt.Errorf("header line %q", line)
		}
		r.length = int64(n)
	case "transfer-encoding":
		if !strings.EqualFold(v, "chunked") || r.Chunked {
			return fmt.Errorf("header line %q", line)
		}
		r.Chunked = true
	case "connection":
		r.Close = r.Close || hasToken(v, "close")
	case "x-release":
		r.Release, _ = strconv.Atoi(v)
	case "x-request-id":
		r.ID = v
	case "sec-websocket-accept":
		r.Accept = v
	case "content-type":
		r.Media = v
	}
	return nil
}

func hasToken(list, token string) bool {
	for part := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(part), token) {
			return true
		}
	}
	return false
}

// checkFraming refuses a body whose end could not be told from a cut.
func (r *Response) checkFraming() error {
	switch {
	case r.Chunked && r.length >= 0:
		return errors.New("both Content-Length and chunked")
	case r.bodiless() || r.Chunked || r.length >= 0:
		return nil
	}
	return errors.New("a body without length: its end could not be told from a cut")
}

func (r *Response) bodiless() bool {
	return r.Status < 200 || r.Status == 204 || r.Status == 304
}

func (r *Response) readBody(br *bufio.Reader, buf []byte) ([]byte, error) {
	switch {
	case r.bodiless():
		return buf[:0], nil
	case r.Chunked:
		return readAll(&chunkReader{br: br}, buf[:0])
	case r.length > maxBody:
		return buf[:0], fmt.Errorf("a body of %d bytes", r.length)
	}
	if int64(cap(buf)) < r.length {
		buf = make([]byte, r.length)
	}
	buf = buf[:r.length]
	n, err := io.ReadFull(br, buf)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return buf[:n], fmt.Errorf("%d of %d bytes: %w", n, r.length, err)
	}
	return buf, nil
}

func readAll(r io.Reader, buf []byte) ([]byte, error) {
	for len(buf) <= maxBody {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return buf, fmt.Errorf("after %d bytes: %w", len(buf), err)
		}
	}
	return buf, fmt.Errorf("a body above %d bytes", maxBody)
}
