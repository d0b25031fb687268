package listen

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// soOriginalDst is SO_ORIGINAL_DST of linux/netfilter_ipv4.h, and
// IP6T_SO_ORIGINAL_DST of its v6 twin.
const soOriginalDst = 80

// OriginalDst is the address and port that the client of c meant, before a
// redirect; the local address where there was none.
func OriginalDst(c *net.TCPConn) (netip.AddrPort, error) {
	local := c.LocalAddr().(*net.TCPAddr).AddrPort()
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	raw, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", err)
	}
	meant := local
	err = raw.Control(func(fd uintptr) {
		if local.Addr().Is4() {
			meant = original4(int(fd), local)
			return
		}
		meant = original6(int(fd), local)
	})
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", err)
	}
	return meant, nil
}

// original4 reads a sockaddr_in; IPv6Mreq is just a struct long enough for it.
func original4(fd int, local netip.AddrPort) netip.AddrPort {
	a, err := unix.GetsockoptIPv6Mreq(fd, unix.IPPROTO_IP, soOriginalDst)
	if err != nil {
		return local
	}
	b := a.Multiaddr
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4]))
}

// original6 reads a sockaddr_in6, with which an ip6_mtuinfo begins.
func original6(fd int, local netip.AddrPort) netip.AddrPort {
	a, err := unix.GetsockoptIPv6MTUInfo(fd, unix.IPPROTO_IPV6, soOriginalDst)
	if err != nil {
		return local
	}
	port := a.Addr.Port<<8 | a.Addr.Port>>8 // network order
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr.Addr), port)
}
