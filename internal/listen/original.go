package listen

import (
	"errors"
	"net"
	"net/netip"
)

// OriginalDst is the address and port that the client of c meant.
func OriginalDst(c *net.TCPConn) (netip.AddrPort, error) {
	return netip.AddrPort{}, errors.ErrUnsupported
}
