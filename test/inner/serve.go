package inner

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxLine = 64 << 10
	maxBulk = 4 << 30 // bytes of one BULK
	block   = 64 << 10
)

// Server speaks the protocol.
type Server struct {
	Release string
}

// Serve takes connections until ctx ends, then closes what is open and returns
// when all of it has ended. A connection on which no question is being answered
// is closed at once, as a database that is stopped does.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for {
		c, err := l.Accept()
		if err != nil && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		wg.Go(func() {
			defer c.Close()
			defer context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now()) })()
			_ = s.talk(c) // the client's to tell
		})
	}
}

func (s *Server) talk(c net.Conn) error {
	if _, err := fmt.Fprintf(c, "READY release=%s\n", s.Release); err != nil {
		return err
	}
	in := bufio.NewReaderSize(c, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		text := strings.TrimSuffix(string(line), "\n")
		word, rest, _ := strings.Cut(text, " ")
		switch word {
		case "QUIT":
			_, err = io.WriteString(c, "BYE\n")
			return err
		case "BULK":
			err = bulk(c, rest)
		default:
			_, err = fmt.Fprintf(c, "%s release=%s\n", text, s.Release)
		}
		if err != nil {
			return err
		}
	}
}

func bulk(c net.Conn, count string) error {
	left, err := strconv.ParseInt(count, 10, 64)
	if err != nil || left < 0 || left > maxBulk {
		return errors.New("no count")
	}
	b := make([]byte, block)
	for left > 0 {
		n, err := c.Write(b[:min(left, block)])
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

// EchoPackets sends each datagram back with the release behind it, until ctx
// ends. One that begins with "who" is told who sent it, and who answers.
func (s *Server) EchoPackets(ctx context.Context, p net.PacketConn) error {
	defer context.AfterFunc(ctx, func() { _ = p.Close() })()
	b := make([]byte, maxLine)
	for {
		n, from, err := p.ReadFrom(b)
		if err != nil && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read datagram: %w", err)
		}
		answer := fmt.Appendf(b[:n:n], " release=%s", s.Release)
		if bytes.HasPrefix(answer, []byte("who")) {
			host, _ := os.Hostname()
			answer = fmt.Appendf(answer, " from=%s by=%s", from, host)
		}
		_, _ = p.WriteTo(answer, from) // a lost datagram is the client's to tell
	}
}
