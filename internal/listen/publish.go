package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// Publication says where the datagrams go that come to UDP ports of this machine.
type Publication struct {
	Host        string // address, as net.Listen takes it; empty: all, v4 and v6
	First, Last uint16 // ports, Last included
	Target      uint16 // port at the backends to which First leads, First+1 to the next one, …
	Backends    []Backend
	// Shared: another program publishes the ports too, and flows that it has led
	// elsewhere stay there.
	Shared bool
}

// Backend is one address that takes datagrams.
type Backend struct {
	Addr netip.Addr // v4
	// Masquerade has it see this machine as the sender: its answers would not come back
	// to here otherwise.
	Masquerade bool
}

// Publish makes ps all that is published under the chain's name, at most 26 letters;
// none removes the chain. New flows go to the backends, by the address of who sends
// (one client stays with one backend), with the sender's address kept. It takes what
// comes to this machine's v4 addresses from outside, from containers, or from here.
// What it leaves to a socket on this machine: loopback addresses, v6, and what comes
// from a backend's own bridge.
//
// The rules come before those of the Engine; what is in the chain DOCKER-USER is
// asked before a datagram is let in. It needs CAP_NET_ADMIN. Flows that exist stay
// where they are; see EndFlows. Datagrams for the addresses of keep are let in, too: of
// flows that go on, and of those that the rules before still lead there, as the kernel
// takes each table by itself.
func Publish(ctx context.Context, chain string, ps []Publication, keep []netip.Addr) error {
	ps = slices.DeleteFunc(slices.Clone(ps), func(p Publication) bool { return len(p.Backends) == 0 || !p.inKernel() })
	if len(ps) == 0 && len(keep) == 0 {
		return unpublish(ctx, chain)
	}
	if err := restore(ctx, "iptables-restore", publishing(chain, ps, keep, chainThere(ctx, "filter", "DOCKER-USER"))); err != nil {
		return fmt.Errorf("publish udp ports: %w", err)
	}
	_ = os.WriteFile(counting, []byte("1"), 0) // a kernel that cannot count tells less
	for _, h := range hooksOf(chain) {
		if err := h.first(ctx); err != nil {
			return fmt.Errorf("publish udp ports: %w", err)
		}
	}
	return nil
}

// inKernel says whether anything of it is the kernel's to lead: at loopback and v6
// addresses nothing is.
func (p Publication) inKernel() bool {
	a, err := netip.ParseAddr(strings.Trim(p.Host, "[]"))
	return p.Host == "" || err == nil && a.Unmap().Is4() && !a.IsLoopback()
}

// counting has the kernel count the datagrams of each flow, either way, so that a flow is
// not led elsewhere while an answer is under way.
const counting = "/proc/sys/net/netfilter/nf_conntrack_acct"

// hook is a jump to a chain of ours from one of the kernel's.
type hook struct{ table, from, to string }

// postChain is where senders are masqueraded.
func postChain(chain string) string { return chain + "-P" }

func hooksOf(chain string) []hook {
	return []hook{{"filter", "FORWARD", chain}, {"nat", "POSTROUTING", postChain(chain)}, {"nat", "PREROUTING", chain}, {"nat", "OUTPUT", chain}}
}

// first makes sure that the jump is the first rule: an Engine that starts puts its own
// before it.
func (h hook) first(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "iptables", "-w", "5", "-t", h.table, "-S", h.from, "1").Output()
	if err == nil && strings.TrimSpace(string(out)) == fmt.Sprintf("-A %s -j %s", h.from, h.to) {
		return nil
	}
	there := h.run(ctx, "-C", h.from, "-j", h.to) == nil
	if err := h.run(ctx, "-I", h.from, "1", "-j", h.to); err != nil || !there {
		return err
	}
	return h.lastOf(ctx)
}

// lastOf removes the second of two jumps.
func (h hook) lastOf(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "iptables", "-w", "5", "-t", h.table, "-S", h.from).Output()
	if err != nil {
		return err
	}
	at, seen := 0, 0
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "-A ") {
			continue
		}
		at++
		if strings.TrimSpace(line) != fmt.Sprintf("-A %s -j %s", h.from, h.to) {
			continue
		}
		if seen++; seen > 1 {
			return h.run(ctx, "-D", h.from, fmt.Sprint(at))
		}
	}
	return nil
}

func (h hook) run(ctx context.Context, args ...string) error {
	return tableRunIn(ctx, "iptables", h.table, args...)
}

func chainThere(ctx context.Context, table, chain string) bool {
	return exec.CommandContext(ctx, "iptables", "-w", "5", "-t", table, "-n", "-L", chain).Run() == nil
}

func unpublish(ctx context.Context, chain string) error {
	var errs []error
	for _, h := range hooksOf(chain) {
		for h.run(ctx, "-C", h.from, "-j", h.to) == nil {
			if err := h.run(ctx, "-D", h.from, "-j", h.to); err != nil {
				errs = append(errs, err)
				break
			}
		}
	}
	for _, c := range []hook{{"filter", "", chain}, {"nat", "", postChain(chain)}, {"nat", "", chain}} {
		if chainThere(ctx, c.table, c.to) {
			errs = append(errs, c.run(ctx, "-F", c.to), c.run(ctx, "-X", c.to))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("withdraw udp ports: %w", err)
	}
	return nil
}

// publishing is the input of iptables-restore. engine: the Engine's chain for rules of
// the machine's owner is there.
func publishing(chain string, ps []Publication, keep []netip.Addr, engine bool) string {
	var nat, post, filter strings.Builder
	if engine {
		fmt.Fprintf(&filter, "-A %s -p udp -m conntrack --ctstate DNAT -j DOCKER-USER\n", chain)
	}
	for _, p := range ps {
		for _, r := range p.rules() {
			fmt.Fprintf(&nat, "-A %s %s\n", chain, r)
		}
	}
	backends := backendsOf(ps)
	for _, b := range backends {
		if b.Masquerade {
			fmt.Fprintf(&post, "-A %s -p udp -d %s -m conntrack --ctstate DNAT -j MASQUERADE\n", postChain(chain), b.Addr)
		}
	}
	for _, a := range letIn(backends, keep) {
		fmt.Fprintf(&filter, "-A %s -p udp -d %s -m conntrack --ctstate DNAT -j ACCEPT\n", chain, a)
		fmt.Fprintf(&filter, "-A %s -p udp -s %s -m conntrack --ctstate DNAT --ctdir REPLY -j ACCEPT\n", chain, a)
	}
	return fmt.Sprintf("*filter\n:%s - [0:0]\n%sCOMMIT\n*nat\n:%s - [0:0]\n:%s - [0:0]\n%s%sCOMMIT\n",
		chain, filter.String(), chain, postChain(chain), nat.String(), post.String())
}

// letIn lists the addresses of backends and keep, each once.
func letIn(backends []Backend, keep []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, b := range backends {
		out = append(out, b.Addr)
	}
	for _, a := range keep {
		if a.Is4() {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

func backendsOf(ps []Publication) []Backend {
	var out []Backend
	for _, p := range ps {
		for _, b := range p.Backends {
			if !slices.Contains(out, b) {
				out = append(out, b)
			}
		}
	}
	return out
}

// mostNodes is how many backends the cluster match can spread over
// (XT_CLUSTER_NODES_MAX, linux/netfilter/xt_cluster.h).
const mostNodes = 32

// rules are what follows "-A CHAIN". Of n backends the i-th has what hashes to i of n;
// the last has the rest.
func (p Publication) rules() []string {
	to := p.Backends[:min(len(p.Backends), mostNodes)]
	var out []string
	for i, b := range to {
		spread := ""
		if i < len(to)-1 {
			spread = fmt.Sprintf(" -m cluster --cluster-total-nodes %d --cluster-local-node %d --cluster-hash-seed 1", len(to), i+1)
		}
		if bridge := bridgeTo(b.Addr); bridge != "" {
			spread = " ! -i " + bridge + spread
		}
		for _, ports := range p.ports() {
			out = append(out, fmt.Sprintf("-p udp %s --dport %s%s -j DNAT --to-destination %s%s", p.destination(), ports[0], spread, b.Addr, ports[1]))
		}
	}
	return out
}

func (p Publication) destination() string {
	if p.Host == "" || p.Host == "0.0.0.0" {
		return "! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -m udp"
	}
	return "-d " + p.Host + " -m udp"
}

// ports are pairs of what --dport takes and what follows the backend's address: a
// range that stays as it is at once, any other port by port.
func (p Publication) ports() [][2]string {
	if p.First == p.Target {
		if p.First == p.Last {
			return [][2]string{{fmt.Sprint(p.First), fmt.Sprintf(":%d", p.Target)}}
		}
		return [][2]string{{fmt.Sprintf("%d:%d", p.First, p.Last), ""}}
	}
	var out [][2]string
	for i := 0; i <= int(p.Last)-int(p.First); i++ {
		out = append(out, [2]string{fmt.Sprint(int(p.First) + i), fmt.Sprintf(":%d", int(p.Target)+i)})
	}
	return out
}

// bridgeTo names the bridge behind which an address is, empty where it is none: what
// comes from there and went back there would be answered past this machine.
func bridgeTo(a netip.Addr) string {
	routes, err := netlink.RouteGet(net.IP(a.AsSlice()))
	if err != nil || len(routes) == 0 {
		return ""
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil || link.Type() != "bridge" {
		return ""
	}
	return link.Attrs().Name
}
