package inner

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Session is a client's end of one connection.
type Session struct {
	Release int // as the greeting says
	conn    net.Conn
	in      *bufio.Reader
	timeout time.Duration
}

// Fault is an error that knows its phase.
type Fault struct {
	Phase string
	Err   error
}

func (f *Fault) Error() string { return f.Phase + ": " + f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// Open connects and awaits the greeting; each may take timeout. It resolves the
// name anew, and its errors are *Fault.
func Open(ctx context.Context, addr string, timeout time.Duration) (*Session, error) {
	c, err := Dial(ctx, addr, timeout)
	if err != nil {
		return nil, err
	}
	s := &Session{conn: c, in: bufio.NewReader(c), timeout: timeout}
	_ = c.SetReadDeadline(time.Now().Add(timeout))
	line, err := s.in.ReadString('\n')
	if err != nil {
		_ = c.Close()
		return nil, &Fault{PhaseGreeting, err}
	}
	s.Release = releaseIn(line)
	return s, nil
}

// Dial connects; a failure is a *Fault of PhaseRefused or PhaseConnect.
func Dial(ctx context.Context, addr string, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	c, err := d.DialContext(ctx, "tcp", addr)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, &Fault{PhaseRefused, err}
	}
	if err != nil {
		return nil, &Fault{PhaseConnect, err}
	}
	return c, nil
}

// Ask sends one line and compares its answer. Errors are *Fault.
func (s *Session) Ask(text string) error {
	_ = s.conn.SetDeadline(time.Now().Add(s.timeout))
	if _, err := fmt.Fprintf(s.conn, "%s\n", text); err != nil {
		return &Fault{PhaseAnswer, err}
	}
	line, err := s.in.ReadString('\n')
	if err != nil {
		return &Fault{PhaseAnswer, err}
	}
	want := fmt.Sprintf("%s release=%d\n", text, s.Release)
	if line != want {
		return &Fault{PhaseWrong, fmt.Errorf("%q, want %q", line, want)}
	}
	return nil
}

// Bulk has n bytes sent and counts them.
func (s *Session) Bulk(n int64) error {
	_ = s.conn.SetDeadline(time.Now().Add(s.timeout))
	if _, err := fmt.Fprintf(s.conn, "BULK %d\n", n); err != nil {
		return &Fault{PhaseAnswer, err}
	}
	b := make([]byte, 256<<10)
	for n > 0 {
		got, err := s.in.Read(b[:min(n, int64(len(b)))])
		if err != nil {
			return &Fault{PhaseAnswer, err}
		}
		n -= int64(got)
	}
	return nil
}

// Quiet watches for the connection's end for at most d, while no question is
// out. It gives nil where there was none.
func (s *Session) Quiet(d time.Duration) error {
	_ = s.conn.SetReadDeadline(time.Now().Add(d))
	_, err := s.in.Peek(1)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return nil
	}
	if err == nil {
		return errors.New("bytes that nobody asked for")
	}
	return err
}

// Quit ends the session in order. Errors are *Fault.
func (s *Session) Quit() error {
	defer s.conn.Close()
	_ = s.conn.SetDeadline(time.Now().Add(s.timeout))
	if _, err := fmt.Fprint(s.conn, "QUIT\n"); err != nil {
		return &Fault{PhaseAnswer, err}
	}
	line, err := s.in.ReadString('\n')
	if err != nil {
		return &Fault{PhaseAnswer, err}
	}
	if line != "BYE\n" {
		return &Fault{PhaseWrong, fmt.Errorf("%q, want BYE", line)}
	}
	return nil
}

// Close ends the connection.
func (s *Session) Close() { _ = s.conn.Close() }

// releaseIn finds "release=42"; 0 if there is none.
func releaseIn(line string) int {
	_, rest, _ := strings.Cut(strings.TrimSpace(line), "release=")
	n, _ := strconv.Atoi(rest)
	return n
}
