package proxy

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"os"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/listen"
)

// Lend gives the proxy the listener of a holder, under the name that
// steady.HolderListener gives it, or a published one, as Listeners names it; f stays
// the caller's. It returns when the proxy has it: a holder's for the next table,
// either at once where the table in force has missed it; a published one that is
// not missed is let go. A holder's lent again takes the former one's place with the
// next table. steady.ErrUsage for another name, or what is no TCP socket that listens.
func (c *Client) Lend(ctx context.Context, name string, f *os.File) error {
	conn, err := c.handOver(ctx, askLend)
	if err != nil {
		return err
	}
	defer conn.done()
	if err := listen.Send(conn.UnixConn, listen.Handle{Name: name, File: f}); err != nil {
		return noProxy(ctx, err)
	}
	var refused *steady.Error
	if err := json.NewDecoder(conn).Decode(&refused); err != nil {
		return noProxy(ctx, err)
	}
	if refused != nil {
		return refused
	}
	return nil
}

// Listeners gives copies of all listeners in force, the caller's to close:
// published ones as "tcp:" and their address with the port they got, holders' as
// they were lent. Whoever holds them while there is no proxy, and hands them to
// the next one (Options.Inherited), lets it answer what came in between. When a
// listener leaves the table, its copies listen no more either.
func (c *Client) Listeners(ctx context.Context) ([]listen.Handle, error) {
	conn, err := c.handOver(ctx, askCopies)
	if err != nil {
		return nil, err
	}
	defer conn.done()
	var n uint32
	if err := binary.Read(conn, binary.BigEndian, &n); err != nil {
		return nil, noProxy(ctx, err)
	}
	var out []listen.Handle
	for range n {
		h, err := listen.Receive(conn.UnixConn)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			closeHandles(out)
			return nil, noProxy(ctx, err)
		}
		out = append(out, h)
	}
	return out, nil
}

// handover is a connection to the socket for descriptors that ends with a context.
type handover struct {
	*net.UnixConn
	stop func() bool
}

func (h *handover) done() {
	h.stop()
	h.Close()
}

func (c *Client) handOver(ctx context.Context, ask byte) (*handover, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", handlesSocket(c.socket))
	if err != nil {
		return nil, noProxy(ctx, err)
	}
	h := &handover{UnixConn: conn.(*net.UnixConn)}
	h.stop = context.AfterFunc(ctx, func() { conn.Close() })
	if _, err := h.Write([]byte{ask}); err != nil {
		h.done()
		return nil, noProxy(ctx, err)
	}
	return h, nil
}
