package listen

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// flowQuiet is for how many seconds a flow must have been silent to count as quiet:
// whatever was asked on it has been answered, or will not be. The kernel tells whole
// seconds.
const flowQuiet = 2

// Reroute forgets the flows that came to the ports of ps and lead neither to one of
// their backends nor to an address of keep, so that their next datagram is led anew:
// what was led to a container that is gone must not reach the next one with its
// address. Flows that a socket on this machine answers are forgotten too where there
// are backends.
func Reroute(ps []Publication, keep []netip.Addr) error {
	own, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list the addresses of this machine: %w", err)
	}
	r := rerouted{ps: ps, keep: keep, own: map[netip.Addr]bool{}}
	for _, a := range own {
		if ip, ok := netip.AddrFromSlice(to4(a.IP)); ok && !ip.IsLoopback() {
			r.own[ip] = true
		}
	}
	return forgetFlows(r)
}

func forgetFlows(f netlink.CustomConntrackFilter) error {
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, f); err != nil {
		return fmt.Errorf("forget flows: %w", err)
	}
	return nil
}

type rerouted struct {
	ps   []Publication
	keep []netip.Addr
	own  map[netip.Addr]bool
}

func (r rerouted) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	if f.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	to, ok := netip.AddrFromSlice(to4(f.Forward.DstIP))
	at, known := netip.AddrFromSlice(to4(f.Reverse.SrcIP))
	if !ok || !known || !r.own[to] || slices.Contains(r.keep, at) {
		return false
	}
	i := slices.IndexFunc(r.ps, func(p Publication) bool { return p.has(to, f.Forward.DstPort) })
	switch {
	case i < 0:
		return false
	case at == to:
		return len(r.ps[i].Backends) > 0
	case r.ps[i].Shared:
		return false
	}
	return !slices.ContainsFunc(r.ps[i].Backends, func(b Backend) bool { return b.Addr == at })
}

func (p Publication) has(to netip.Addr, port uint16) bool {
	host, err := netip.ParseAddr(p.Host)
	return p.First <= port && port <= p.Last && (err != nil || host.IsUnspecified() || host == to)
}

// How EndFlows chooses.
const (
	EndQuiet    = iota // flows that have been silent for a while
	EndAnswered        // those too of which every datagram was answered
	EndAll
)

// FlowCount is what EndFlows found.
type FlowCount struct {
	Ended, Left int
	Answering   bool // something has answered on one of them: a datagram without an answer may get one
}

// EndFlows forgets the published flows that lead to an address, as far as how says.
func EndFlows(to netip.Addr, how int) (FlowCount, error) {
	f := &endedFlows{to: to, how: how, once: seconds("nf_conntrack_udp_timeout", 30), stream: seconds("nf_conntrack_udp_timeout_stream", 120)}
	err := forgetFlows(f)
	return f.FlowCount, err
}

// endedFlows counts and picks the flows that end.
type endedFlows struct {
	FlowCount
	to           netip.Addr
	how          int
	once, stream uint32 // seconds after which the kernel forgets a flow
}

func (e *endedFlows) MatchConntrackFlow(f *netlink.ConntrackFlow) bool {
	at, ok := netip.AddrFromSlice(to4(f.Reverse.SrcIP))
	if f.Forward.Protocol != unix.IPPROTO_UDP || !ok || at != e.to || f.Forward.DstIP.Equal(f.Reverse.SrcIP) {
		return false
	}
	e.Answering = e.Answering || f.Reverse.Packets > 0
	answered := f.Reverse.Packets >= f.Forward.Packets // also where the kernel does not count
	if e.how == EndAll || e.how == EndAnswered && answered || e.quiet(f.TimeOut) {
		e.Ended++
		return true
	}
	e.Left++
	return false
}

// quiet says whether a flow has been silent for a while, from the seconds after which
// the kernel forgets it: each datagram sets them to once or stream again.
func (e *endedFlows) quiet(timeout uint32) bool {
	lively := func(full uint32) bool { return timeout+flowQuiet >= full && timeout <= full }
	return !lively(e.once) && !lively(e.stream)
}

func seconds(name string, otherwise uint32) uint32 {
	b, err := os.ReadFile("/proc/sys/net/netfilter/" + name)
	n, bad := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	if err != nil || bad != nil {
		return otherwise
	}
	return uint32(n)
}

// Gateway finds which of its addresses process pid answers strangers from: the one in
// the network of its default route. False where that is none of them.
func Gateway(pid int, addrs []netip.Addr) (netip.Addr, bool) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/net/route", pid))
	if err != nil {
		return netip.Addr{}, false
	}
	defer f.Close()
	device := ""
	networks := map[string][]*net.IPNet{} // by device
	for lines := bufio.NewScanner(f); lines.Scan(); {
		field := strings.Fields(lines.Text())
		if len(field) < 8 {
			continue
		}
		to, mask := word(field[1]), word(field[7])
		switch {
		case to == nil || mask == nil: // the head
		case net.IP(mask).Equal(net.IPv4zero) && device == "":
			device = field[0]
		default:
			networks[field[0]] = append(networks[field[0]], &net.IPNet{IP: net.IP(to), Mask: net.IPMask(mask)})
		}
	}
	for _, a := range addrs {
		if slices.ContainsFunc(networks[device], func(n *net.IPNet) bool { return n.Contains(a.AsSlice()) }) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// word reads "0010A8C0", 32 bits of host order (see parseAddr); nil for anything else.
func word(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 4 {
		return nil
	}
	return binary.BigEndian.AppendUint32(nil, binary.LittleEndian.Uint32(b))
}
