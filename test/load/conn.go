package load

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

// conn is one connection and what was read of it but not yet used.
type conn struct {
	nc  net.Conn     // tcp, or TLS on it
	tcp *net.TCPConn // what can be peeked at
	br  *bufio.Reader
}

func dial(t target) (*conn, *fault) {
	d := net.Dialer{Timeout: t.timeout}
	nc, err := d.Dial("tcp", t.addr)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, &fault{Refused, err}
	}
	if err != nil {
		return nil, &fault{Connect, err}
	}
	c := &conn{nc: nc, tcp: nc.(*net.TCPConn)}
	if t.tls != nil {
		if c.nc, err = shakeHands(c.tcp, t); err != nil {
			return nil, &fault{Connect, err}
		}
	}
	c.br = bufio.NewReaderSize(c.nc, 8<<10)
	return c, nil
}

// idle is what can be seen of a connection on which no answer is awaited.
type idle int

const (
	quiet idle = iota // nothing: usable
	ended             // a FIN or a reset has arrived
	stray             // bytes that nobody asked for have arrived
)

// look peeks at the socket without blocking. Only what has arrived already is
// an excuse for not using the connection: what arrives later is a loss.
func (c *conn) look() idle {
	if c.br.Buffered() > 0 {
		return stray
	}
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return ended
	}
	state := ended
	err = raw.Control(func(fd uintptr) { state = peek(int(fd)) })
	if err != nil || state == stray && c.nc != net.Conn(c.tcp) {
		return ended // of TLS, what has come unasked is the word that it ends
	}
	return state
}

func peek(fd int) idle {
	var b [1]byte
	for {
		n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return quiet
		case err != nil || n == 0:
			return ended
		}
		return stray
	}
}

// roundTrip writes the request and reads its answer, the body into buf.
func (c *conn) roundTrip(out, buf []byte) (response, *fault) {
	if len(out) <= inlineWrite {
		if _, err := c.nc.Write(out); err != nil {
			return response{}, &fault{Write, err}
		}
		return c.read(buf)
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := c.nc.Write(out)
		wrote <- err
	}()
	resp, lost := c.read(buf)
	if lost == nil {
		// An answer before the end of the upload ends the connection's use.
		_ = c.nc.SetWriteDeadline(time.Now().Add(time.Second))
		resp.close = <-wrote != nil || resp.close
		return resp, nil
	}
	select {
	case err := <-wrote:
		if err != nil {
			lost = &fault{Write, err}
		}
	default:
		_ = c.nc.Close() // ends the write
		<-wrote
	}
	return resp, lost
}

func (c *conn) read(buf []byte) (response, *fault) {
	resp, lost := c.readHead()
	if lost != nil {
		return resp, lost
	}
	body, err := resp.readBody(c.br, buf)
	if err != nil {
		return resp, &fault{Body, err}
	}
	resp.body = body
	return resp, nil
}

func (c *conn) readHead() (response, *fault) {
	if _, err := c.br.Peek(1); err != nil {
		return response{}, &fault{FirstByte, err}
	}
	resp, err := readHead(c.br)
	if err != nil {
		return resp, &fault{Head, err}
	}
	return resp, nil
}
