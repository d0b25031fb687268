package docker

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"

	"github.com/moby/moby/api/types/network"
)

// seat chooses a holder's address in a network where the file gives none. An Engine
// keeps nothing free for a container that does not run, and gives the others the
// lowest address there is: after a reboot the first replica to start would have the
// holder's. So a holder sits in the upper part of the subnet, at a place that
// follows from its name, where it also finds it again should it be made anew.
// It is false where there is no room.
func seat(n network.Inspect, ref string, not []netip.Addr) (netip.Addr, bool) {
	for _, c := range n.IPAM.Config {
		if !c.Subnet.IsValid() || !c.Subnet.Addr().Is4() {
			continue
		}
		size := uint32(1) << min(32-c.Subnet.Bits(), 31)
		seats := size / 4
		if size < 256 {
			seats = size / 2
		}
		if seats < 2 {
			return netip.Addr{}, false
		}
		sum := fnv.New32a()
		sum.Write([]byte(ref))
		base := binary.BigEndian.Uint32(c.Subnet.Masked().Addr().AsSlice())
		taken := append(occupied(n), not...)
		for i := range seats - 1 { // the highest of all is the broadcast address
			var raw [4]byte
			binary.BigEndian.PutUint32(raw[:], base+size-seats+(sum.Sum32()+i)%(seats-1))
			if at := netip.AddrFrom4(raw); !slices.Contains(taken, at) {
				return at, true
			}
		}
	}
	return netip.Addr{}, false
}

// occupied are the addresses of a network that cannot be had.
func occupied(n network.Inspect) []netip.Addr {
	var out []netip.Addr
	for _, c := range n.IPAM.Config {
		out = append(out, c.Gateway)
		for _, a := range c.AuxAddress {
			out = append(out, a)
		}
	}
	for _, c := range n.Containers {
		out = append(out, c.IPv4Address.Addr(), c.IPv6Address.Addr())
	}
	return out
}
