package drill

import (
	"bufio"
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inlineWrite is the longest request that is written before the reading begins.
// A longer one could fill both directions' buffers when the server answers
// while it still reads.
const inlineWrite = 32 << 10

// headLine is the longest line of an answer's head, in bytes.
const headLine = 16 << 10

// Conn is one connection and what was read of it but not yet used.
type Conn struct {
	Net    net.Conn // TCP, or TLS on it
	Buffer *bufio.Reader

	tcp *net.TCPConn // what can be peeked at
}

// Dial opens a connection to the target, within its timeout.
func Dial(t Target) (*Conn, *Fault) {
	d := net.Dialer{Timeout: t.Timeout}
	nc, err := d.Dial("tcp", t.Addr)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, &Fault{Refused, err}
	}
	if err != nil {
		return nil, &Fault{Connect, err}
	}
	c := &Conn{Net: nc, tcp: nc.(*net.TCPConn)}
	if t.TLS != nil {
		if c.Net, err = shakeHands(c.tcp, t); err != nil {
			return nil, &Fault{Connect, err}
		}
	}
	c.Buffer = bufio.NewReaderSize(c.Net, headLine)
	return c, nil
}

// Idle is what can be seen of a connection on which no answer is awaited.
type Idle int

const (
	Quiet Idle = iota // nothing: usable
	Ended             // a FIN or a reset has arrived
	Stray             // bytes that nobody asked for have arrived
)

// look peeks at the socket without blocking. Only what has arrived already is
// an excuse for not using the connection: what arrives later is a loss.
func (c *Conn) look() Idle {
	if c.Buffer.Buffered() > 0 {
		return Stray
	}
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return Ended
	}
	state := Ended
	err = raw.Control(func(fd uintptr) { state = peek(int(fd)) })
	if err != nil || state == Stray && c.Net != net.Conn(c.tcp) {
		return Ended // of TLS, what has come unasked is the word that it ends
	}
	return state
}

func peek(fd int) Idle {
	var b [1]byte
	for {
		n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return Quiet
		case err != nil || n == 0:
			return Ended
		}
		return Stray
	}
}

// roundTrip writes the request and reads its answer, the body into buf; head: it was
// asked for the head alone.
func (c *Conn) roundTrip(out, buf []byte, head bool) (Response, *Fault) {
	if len(out) <= inlineWrite {
		if _, err := c.Net.Write(out); err != nil {
			return Response{}, &Fault{Write, err}
		}
		return c.read(buf, head)
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Net.Write(out)
		wrote <- err
	}()
	resp, lost := c.read(buf, head)
	if lost == nil {
		// An answer before the end of the upload ends the connection's use.
		_ = c.Net.SetWriteDeadline(time.Now().Add(time.Second))
		resp.Close = <-wrote != nil || resp.Close
		return resp, nil
	}
	select {
	case err := <-wrote:
		if err != nil {
			lost = &Fault{Write, err}
		}
	default:
		_ = c.Net.Close() // ends the write
		<-wrote
	}
	return resp, lost
}

func (c *Conn) read(buf []byte, head bool) (Response, *Fault) {
	resp, lost := c.ReadHead()
	if lost != nil {
		return resp, lost
	}
	if head {
		return resp, nil
	}
	body, err := resp.readBody(c.Buffer, buf)
	if err != nil {
		return resp, &Fault{Body, err}
	}
	resp.Body = body
	return resp, nil
}

// ReadHead reads the final head of an answer and skips interim ones (1xx but 101).
func (c *Conn) ReadHead() (Response, *Fault) {
	if _, err := c.Buffer.Peek(1); err != nil {
		return Response{}, &Fault{FirstByte, err}
	}
	resp, err := readHead(c.Buffer)
	if err != nil {
		return resp, &Fault{Head, err}
	}
	return resp, nil
}
