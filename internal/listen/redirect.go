package listen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
)

// Redirect brings every TCP port of the network namespace of process pid to
// port: what arrives on an interface for one of its own addresses is redirected,
// and all else that arrives on it is dropped, so that the namespace is no bridge
// between networks. Call it again when an interface has come, and Forward after
// it: each table is replaced whole. The namespace must be nobody else's.
//
// It runs iptables-restore, which the Docker Engine needs too, from a thread in
// that namespace.
func Redirect(ctx context.Context, pid int, port uint16) error {
	err := inNamespace(ctx, pid, func() error {
		seats, err := seats()
		if err != nil {
			return err
		}
		if err := restore(ctx, "iptables-restore", rules(seats, port, netip.Addr.Is4)); err != nil {
			return err
		}
		if v6 := rules(seats, port, netip.Addr.Is6); len(of(seats, netip.Addr.Is6)) > 0 {
			err = restore(ctx, "ip6tables-restore", v6)
		}
		_ = os.WriteFile(liberal, []byte("1"), 0) // there once packets are tracked; a kernel without it is stricter
		return errors.Join(err, os.WriteFile(silent, []byte("0"), 0))
	})
	if err != nil {
		return fmt.Errorf("redirect in the network of process %d: %w", pid, err)
	}
	return nil
}

// liberal has late and doubled packets of a connection translated like its others.
// Else the kernel would take them for strangers, send them on as they are, and have
// whoever gets them reset the connection.
const liberal = "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal"

// silent keeps a holder from answering who asks for its address, where it was made
// so. It ends when all that comes is redirected.
const silent = "/proc/sys/net/ipv4/conf/all/arp_ignore"

// seat is an address and the interface it is on.
type seat struct {
	device string
	addr   netip.Addr
}

// seats lists the addresses of this thread's namespace, loopback and link-local
// ones left out. It does not ask net, which would remember another namespace's
// interfaces as ours.
func seats() ([]seat, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var out []seat
	for _, l := range links {
		if l.Attrs().Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", l.Attrs().Name, err)
		}
		for _, a := range addrs {
			addr, ok := netip.AddrFromSlice(a.IP)
			if addr = addr.Unmap(); ok && !addr.IsLinkLocalUnicast() {
				out = append(out, seat{l.Attrs().Name, addr})
			}
		}
	}
	return out, nil
}

func of(seats []seat, family func(netip.Addr) bool) []seat {
	var out []seat
	for _, s := range seats {
		if family(s.addr) {
			out = append(out, s)
		}
	}
	return out
}

// neighbours are where v6 hosts find each other's link addresses (RFC 4861).
var neighbours = []string{"fe80::/10", "ff00::/8"}

// rules are the input of iptables-restore: the tables they name are replaced
// whole. The filter comes before the redirect, as mangle comes before nat. It
// drops whatever it does not name, so also what should be passed on, as the
// namespace is no router, and what comes by an interface that is not known yet.
func rules(all []seat, port uint16, family func(netip.Addr) bool) string {
	var mangle, nat strings.Builder
	for _, s := range of(all, family) {
		fmt.Fprintf(&mangle, "-A PREROUTING -i %s -d %s -j ACCEPT\n", s.device, s.addr)
		fmt.Fprintf(&nat, "-A PREROUTING -p tcp -i %s -d %s -j REDIRECT --to-ports %d\n", s.device, s.addr, port)
	}
	if family(netip.IPv6Unspecified()) {
		for _, n := range neighbours {
			fmt.Fprintf(&mangle, "-A PREROUTING -p icmpv6 -d %s -j ACCEPT\n", n)
		}
	}
	mangle.WriteString("-A PREROUTING ! -i lo -j DROP\n")
	return "*mangle\n-F PREROUTING\n" + mangle.String() + "COMMIT\n" +
		"*nat\n:" + udpChain + " - [0:0]\n-F PREROUTING\n" + nat.String() + "-A PREROUTING -p udp -j " + udpChain + "\nCOMMIT\n"
}

func restore(ctx context.Context, command, input string) error {
	cmd := exec.CommandContext(ctx, command, "--noflush", "--wait", "5")
	cmd.Stdin = strings.NewReader(input)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, strings.TrimSpace(said.String()))
	}
	return nil
}
