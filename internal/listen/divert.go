package listen

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
)

// divertChain is in the nat table of a container that others are led away from.
const divertChain = "STEADY-DIVERT"

// Divert sends new TCP connections that come for one of the addresses of the
// network namespace of process pid on to another address, with the same port; none
// ends that. Connections that are open stay. It holds until the namespace is gone.
func Divert(ctx context.Context, pid int, to map[netip.Addr]netip.Addr) error {
	err := inNamespace(ctx, pid, func() error {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
			return fmt.Errorf("forward packets: %w", err)
		}
		var b strings.Builder
		fmt.Fprintf(&b, "*nat\n:%s - [0:0]\n:%s - [0:0]\n", divertChain, outChain)
		for own, other := range to {
			// Only a connection's first packet: what was open before anything was
			// tracked here must not be taken for new.
			fmt.Fprintf(&b, "-A %s -p tcp --syn -d %s -j DNAT --to-destination %s\n", divertChain, own, other)
			fmt.Fprintf(&b, "-A %s -p tcp -d %s -m conntrack --ctstate DNAT -j MASQUERADE\n", outChain, other)
		}
		b.WriteString("COMMIT\n")
		if err := restore(ctx, "iptables-restore", b.String()); err != nil {
			return err
		}
		if err := jump(ctx, "POSTROUTING", outChain); err != nil {
			return err
		}
		return jump(ctx, "PREROUTING", divertChain)
	})
	if err != nil {
		return fmt.Errorf("divert from the network of process %d: %w", pid, err)
	}
	return nil
}

// Connected counts the TCP connections that others have open to ports on which
// something listens in the network namespace of process pid; those from within it
// do not count.
func Connected(pid int) (int, error) {
	listening, open := map[uint16]bool{}, map[uint16]int{}
	for _, file := range []string{"tcp", "tcp6"} {
		if err := connections(fmt.Sprintf("/proc/%d/net/%s", pid, file), listening, open); err != nil {
			return 0, err
		}
	}
	n := 0
	for port := range listening {
		n += open[port]
	}
	return n, nil
}

// connections reads which ports are listened on and how many have come to each.
func connections(file string, listening map[uint16]bool, open map[uint16]int) error {
	err := scan(file, func(local, peer netip.AddrPort, state, _ string) {
		switch {
		case state == stateListen:
			listening[local.Port()] = true
		case state == stateEstablished && !peer.Addr().Unmap().IsLoopback():
			open[local.Port()]++
		}
	})
	if err != nil {
		return fmt.Errorf("list connections: %w", err)
	}
	return nil
}
