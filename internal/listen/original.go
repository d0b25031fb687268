package listen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// originalDst is SO_ORIGINAL_DST of linux/netfilter_ipv4.h and IP6T_SO_ORIGINAL_DST
// of linux/netfilter_ipv6/ip6_tables.h: the same number at either level.
const originalDst = 80

// OriginalDst is the address and port that the client of c connected to, before a
// redirect; c's local address where there was none. A v4 address is never v4-mapped.
func OriginalDst(c *net.TCPConn) (netip.AddrPort, error) {
	local, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("original destination: no local address: %w", net.ErrClosed)
	}
	here := unmapped(local.AddrPort())
	raw, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", err)
	}
	var dst netip.AddrPort
	var asked error
	err = raw.Control(func(fd uintptr) {
		if here.Addr().Is4() {
			dst, asked = originalV4(int(fd))
		} else {
			dst, asked = originalV6(int(fd))
		}
	})
	switch {
	case err != nil:
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", err)
	case errors.Is(asked, unix.ENOENT), errors.Is(asked, unix.ENOPROTOOPT): // not tracked, or nothing is in this namespace
		return here, nil
	case asked != nil:
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", asked)
	}
	return dst, nil
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// originalV4 also serves v6 sockets whose peer is a v4 one.
func originalV4(fd int) (netip.AddrPort, error) {
	var a unix.RawSockaddrInet4
	if err := ask(fd, unix.SOL_IP, unsafe.Pointer(&a), unsafe.Sizeof(a)); err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), hostOrder(a.Port)), nil
}

func originalV6(fd int) (netip.AddrPort, error) {
	var a unix.RawSockaddrInet6
	if err := ask(fd, unix.SOL_IPV6, unsafe.Pointer(&a), unsafe.Sizeof(a)); err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(netip.AddrFrom16(a.Addr), hostOrder(a.Port)), nil
}

// ask is getsockopt(2), which x/sys has for no sockaddr.
func ask(fd, level int, to unsafe.Pointer, size uintptr) error {
	n := uint32(size)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), originalDst,
		uintptr(to), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// hostOrder turns a port as it lies in a sockaddr around.
func hostOrder(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}
