package docker

import (
	"net/netip"
	"testing"

	"github.com/moby/moby/api/types/network"
)

func bridge(subnet string) network.Inspect {
	p := netip.MustParsePrefix(subnet)
	return network.Inspect{Network: network.Network{IPAM: network.IPAM{
		Config: []network.IPAMConfig{{Subnet: p, Gateway: p.Addr().Next()}}}}}
}

func TestSeat_IsInTheUpperPartAndTheSameEveryTime(t *testing.T) {
	for subnet, from := range map[string]string{
		"172.18.0.0/16": "172.18.192.0", "10.1.2.0/24": "10.1.2.192", "10.1.2.0/28": "10.1.2.8", "10.0.0.0/8": "10.192.0.0", "10.1.2.16/29": "10.1.2.20"} {
		n := bridge(subnet)
		for _, ref := range []string{"shop/api", "shop/web", "b/worker"} {
			at, ok := seat(n, ref, nil)
			again, _ := seat(n, ref, nil)
			if !ok || at != again || at.Less(netip.MustParseAddr(from)) || !n.IPAM.Config[0].Subnet.Contains(at) {
				t.Errorf("%s in %s: %v, then %v, want from %s on", ref, subnet, at, again, from)
			}
		}
	}
}

func TestSeat_GivesEachAddressOnceAndNoneThatCannotBeHad(t *testing.T) {
	n := bridge("10.1.2.0/27") // 16 to 31: 15 without the broadcast address
	n.IPAM.Config[0].Gateway = netip.MustParseAddr("10.1.2.30")
	n.IPAM.Config[0].AuxAddress = map[string]netip.Addr{"router": netip.MustParseAddr("10.1.2.29")}
	n.Containers = map[string]network.EndpointResource{"c": {IPv4Address: netip.MustParsePrefix("10.1.2.28/27")}}
	var had []netip.Addr
	for {
		at, ok := seat(n, "shop/api", had)
		if !ok {
			break
		}
		for _, h := range append(had, occupied(n)...) {
			if h == at {
				t.Fatalf("%v twice", at)
			}
		}
		if at == netip.MustParseAddr("10.1.2.31") {
			t.Error("the broadcast address")
		}
		had = append(had, at)
	}
	if len(had) != 12 {
		t.Errorf("%d seats: %v", len(had), had)
	}
}

func TestSeat_IsNoneWhereThereIsNoRoom(t *testing.T) {
	for _, subnet := range []string{"10.1.2.0/31", "10.1.2.0/32", "fd00::/64"} {
		if at, ok := seat(bridge(subnet), "shop/api", nil); ok {
			t.Errorf("%s: %v", subnet, at)
		}
	}
}
