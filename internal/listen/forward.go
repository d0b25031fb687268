package listen

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Chains of ours in the nat table of a holder's namespace.
const (
	udpChain = "STEADY-UDP" // which replica a flow goes to
	outChain = "STEADY-OUT" // its answers come back through here
)

// Forward sends the UDP flows that came for one of the addresses of the network
// namespace of process pid to one of the addresses that to lists for it, whatever
// the port; Redirect must have been called. Flows to what is not listed any more
// are forgotten, so that their next packet goes to one that is.
func Forward(ctx context.Context, pid int, to map[netip.Addr][]netip.Addr) error {
	err := inNamespace(ctx, pid, func() error {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
			return fmt.Errorf("forward packets: %w", err)
		}
		if err := restore(ctx, "iptables-restore", flows(to)); err != nil {
			return err
		}
		if err := jump(ctx, "POSTROUTING", outChain); err != nil {
			return err
		}
		return forget(to)
	})
	if err != nil {
		return fmt.Errorf("forward in the network of process %d: %w", pid, err)
	}
	return nil
}

// flows spreads new flows evenly: of n replicas the first takes one of n, the
// next one of n-1 of the rest.
func flows(to map[netip.Addr][]netip.Addr) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*nat\n:%s - [0:0]\n:%s - [0:0]\n", udpChain, outChain)
	for own, replicas := range to {
		for i, r := range replicas {
			spread := ""
			if left := len(replicas) - i; left > 1 {
				spread = fmt.Sprintf("-m statistic --mode nth --every %d --packet 0 ", left)
			}
			fmt.Fprintf(&b, "-A %s -p udp -d %s %s-j DNAT --to-destination %s\n", udpChain, own, spread, r)
			fmt.Fprintf(&b, "-A %s -p udp -d %s -m conntrack --ctstate DNAT -j MASQUERADE\n", outChain, r)
		}
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// jump makes sure that chain is reached; the Engine has rules of its own beside.
func jump(ctx context.Context, from, chain string) error {
	if exec.CommandContext(ctx, "iptables", "-w", "5", "-t", "nat", "-C", from, "-j", chain).Run() == nil {
		return nil
	}
	out, err := exec.CommandContext(ctx, "iptables", "-w", "5", "-t", "nat", "-A", from, "-j", chain).CombinedOutput()
	if err != nil {
		return fmt.Errorf("iptables: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// stale picks the UDP flows that were sent to what is not listed any more, or to
// the holder itself while nothing was: they would stay there as long as packets come.
type stale map[netip.Addr][]netip.Addr

func (s stale) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	own, ok := netip.AddrFromSlice(to4(f.Forward.DstIP))
	replicas, ours := s[own]
	if f.Forward.Protocol != unix.IPPROTO_UDP || !ok || !ours {
		return false
	}
	replica, ok := netip.AddrFromSlice(to4(f.Reverse.SrcIP))
	return ok && !slices.Contains(replicas, replica)
}

func to4(ip net.IP) net.IP {
	if v4 := ip.To4(); v4 != nil {
		return v4
	}
	return ip
}

func forget(to map[netip.Addr][]netip.Addr) error {
	_, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, stale(to))
	if err != nil {
		return fmt.Errorf("forget flows: %w", err)
	}
	return nil
}
