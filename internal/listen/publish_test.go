package listen

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestPublishing_IsOneRuleForARangeAndOneForEachBackend(t *testing.T) {
	one, two := Backend{Addr: netip.MustParseAddr("198.18.0.2")}, Backend{Addr: netip.MustParseAddr("198.18.0.3"), Masquerade: true}
	got := publishing("STEADY-UDP-T", []Publication{
		{First: 53, Last: 53, Target: 5353, Backends: []Backend{one, two}},
		{Host: "10.9.8.7", First: 10000, Last: 10100, Target: 10000, Backends: []Backend{one}},
	}, []netip.Addr{one.Addr, netip.MustParseAddr("198.18.0.9"), netip.MustParseAddr("2001:db8::9")}, true)
	want := `*filter
:STEADY-UDP-T - [0:0]
-A STEADY-UDP-T -p udp -m conntrack --ctstate DNAT -j DOCKER-USER
-A STEADY-UDP-T -p udp -d 198.18.0.2 -m conntrack --ctstate DNAT -j ACCEPT
-A STEADY-UDP-T -p udp -s 198.18.0.2 -m conntrack --ctstate DNAT --ctdir REPLY -j ACCEPT
-A STEADY-UDP-T -p udp -d 198.18.0.3 -m conntrack --ctstate DNAT -j ACCEPT
-A STEADY-UDP-T -p udp -s 198.18.0.3 -m conntrack --ctstate DNAT --ctdir REPLY -j ACCEPT
-A STEADY-UDP-T -p udp -d 198.18.0.9 -m conntrack --ctstate DNAT -j ACCEPT
-A STEADY-UDP-T -p udp -s 198.18.0.9 -m conntrack --ctstate DNAT --ctdir REPLY -j ACCEPT
COMMIT
*nat
:STEADY-UDP-T - [0:0]
:STEADY-UDP-T-P - [0:0]
-A STEADY-UDP-T -p udp ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -m udp --dport 53 -m cluster --cluster-total-nodes 2 --cluster-local-node 1 --cluster-hash-seed 1 -j DNAT --to-destination 198.18.0.2:5353
-A STEADY-UDP-T -p udp ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -m udp --dport 53 -j DNAT --to-destination 198.18.0.3:5353
-A STEADY-UDP-T -p udp -d 10.9.8.7 -m udp --dport 10000:10100 -j DNAT --to-destination 198.18.0.2
-A STEADY-UDP-T-P -p udp -d 198.18.0.3 -m conntrack --ctstate DNAT -j MASQUERADE
COMMIT
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// udpFlow is a flow that came to an address and port and was led to another.
func udpFlow(to string, port uint16, at string, timeout uint32, asked, answered uint64) *netlink.ConntrackFlow {
	return &netlink.ConntrackFlow{TimeOut: timeout,
		Forward: netlink.IPTuple{Protocol: unix.IPPROTO_UDP, DstIP: net.ParseIP(to), DstPort: port, Packets: asked},
		Reverse: netlink.IPTuple{Protocol: unix.IPPROTO_UDP, SrcIP: net.ParseIP(at), Packets: answered}}
}

func TestReroute_ForgetsFlowsToWhatIsNotListedAndNoOthers(t *testing.T) {
	const host = "10.9.8.7"
	backends := []Backend{{Addr: netip.MustParseAddr("198.18.0.2")}}
	r := rerouted{keep: []netip.Addr{netip.MustParseAddr("198.18.0.3")}, own: map[netip.Addr]bool{netip.MustParseAddr(host): true}, ps: []Publication{
		{First: 53, Last: 54, Target: 53, Backends: backends}, {First: 60, Last: 60}, {First: 70, Last: 70, Backends: backends, Shared: true}, {Host: "10.9.8.6", First: 80, Last: 80},
	}}
	for name, c := range map[string]struct {
		flow *netlink.ConntrackFlow
		want bool
	}{
		"to a backend":                   {udpFlow(host, 53, "198.18.0.2", 30, 1, 1), false},
		"to one that is drained":         {udpFlow(host, 53, "198.18.0.3", 30, 1, 1), false},
		"to one that is gone":            {udpFlow(host, 54, "198.18.0.4", 30, 1, 1), true},
		"to the relay":                   {udpFlow(host, 53, host, 30, 1, 1), true},
		"to the relay, no backend":       {udpFlow(host, 60, host, 30, 1, 1), false},
		"of a port published no more":    {udpFlow(host, 60, "198.18.0.2", 30, 1, 1), true},
		"where another publishes it":     {udpFlow(host, 70, "198.18.0.4", 30, 1, 1), false},
		"to another port":                {udpFlow(host, 55, "198.18.0.4", 30, 1, 1), false},
		"through here to elsewhere":      {udpFlow("198.18.5.5", 53, "198.18.5.5", 30, 1, 1), false},
		"published at another address":   {udpFlow(host, 80, "198.18.0.4", 30, 1, 1), false},
		"to a backend of another port's": {udpFlow(host, 60, "198.18.0.2", 30, 1, 1), true},
	} {
		if got := r.MatchConntrackFlow(c.flow); got != c.want {
			t.Errorf("%s: forgotten %v, want %v", name, got, c.want)
		}
	}
}

func TestEndFlows_ChoosesByHowLongAFlowWasSilentAndWhetherItWasAnswered(t *testing.T) {
	const host, at = "10.9.8.7", "198.18.0.2"
	lively, quiet := udpFlow(host, 53, at, 29, 2, 2), udpFlow(host, 53, at, 20, 1, 0)
	asked, stream := udpFlow(host, 53, at, 30, 2, 1), udpFlow(host, 53, at, 119, 9, 9)
	for name, c := range map[string]struct {
		how  int
		flow *netlink.ConntrackFlow
		want bool
	}{
		"lively": {EndQuiet, lively, false}, "quiet": {EndQuiet, quiet, true}, "a stream": {EndQuiet, stream, false},
		"a silent stream":           {EndQuiet, udpFlow(host, 53, at, 110, 9, 9), true},
		"answered":                  {EndAnswered, lively, true},
		"asked":                     {EndAnswered, asked, false},
		"asked, at last":            {EndAll, asked, true},
		"another's":                 {EndAll, udpFlow(host, 53, "198.18.0.3", 20, 1, 1), false},
		"its own, that is not led":  {EndAll, udpFlow(at, 53, at, 20, 1, 1), false},
		"not counted by the kernel": {EndAnswered, udpFlow(host, 53, at, 30, 0, 0), true},
	} {
		e := &endedFlows{to: netip.MustParseAddr(at), how: c.how, once: 30, stream: 120}
		if got := e.MatchConntrackFlow(c.flow); got != c.want || e.Ended+e.Left > 1 || got != (e.Ended == 1) {
			t.Errorf("%s: ended %v, want %v; %+v", name, got, c.want, e.FlowCount)
		}
	}
}
