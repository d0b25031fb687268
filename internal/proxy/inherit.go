package proxy

import (
	"errors"
	"net"
	"strings"

	"gesalpai.ch/steady/internal/listen"
)

// errNotLent is why a holder's listener of the table file is missing: the proxy
// cannot open it itself.
var errNotLent = errors.New("not lent to this proxy yet")

// Inherited are the listeners that the process which started this one kept for
// it, for Options; environ is as of os.Environ. It takes them: a second call finds
// none that can be used.
func Inherited(environ []string) ([]listen.Handle, error) { return listen.Inherited(environ) }

// inheritance is what Options.Inherited brought and nobody has taken yet.
type inheritance struct {
	tcp map[string]*socket
	udp map[string]*net.UDPConn
}

// inherit opens Options.Inherited. One on which the kernel listens no more, as a
// proxy had left it, is as good as none.
func (p *Proxy) inherit() inheritance {
	out := inheritance{tcp: map[string]*socket{}, udp: map[string]*net.UDPConn{}}
	for _, h := range p.opts.Inherited {
		if strings.HasPrefix(h.Name, publishedUDP) {
			out.addUDP(h, p.log)
			continue
		}
		s, err := socketOf(h)
		if err != nil {
			p.log.Warn("inherited listener cannot be used", "name", h.Name, "err", err)
			continue
		}
		if before := out.tcp[h.Name]; before != nil {
			_ = before.Close()
		}
		out.tcp[h.Name] = s
	}
	return out
}

// take gives the listener of that name, nil where there is none.
func (in inheritance) take(name string) *socket {
	s := in.tcp[name]
	delete(in.tcp, name)
	return s
}

func (in inheritance) close() {
	for _, s := range in.tcp {
		_ = s.Close()
	}
	for _, c := range in.udp {
		_ = c.Close()
	}
}

// socketOf makes a socket of a handle, which it closes.
func socketOf(h listen.Handle) (*socket, error) {
	defer h.File.Close()
	ln, err := listen.FromFile(h.File)
	if err != nil {
		return nil, err
	}
	return &socket{TCPListener: ln}, nil
}
