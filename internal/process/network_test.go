package process

import (
	"net/netip"
	"testing"
)

const trie = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 172.18.0.0/16 2 0 2
        |-- 172.18.0.0
           /16 link UNICAST
        |-- 172.18.0.9
           /32 link UNICAST
Local:
  +-- 172.18.0.0/16 2 0 2
        |-- 172.18.0.0
           /16 link UNICAST
        |-- 172.18.0.3
           /32 link UNICAST
           /32 host LOCAL
        |-- 172.18.0.30
           /32 host LOCAL
        |-- 172.18.255.255
           /32 link BROADCAST
`

func TestLocal4(t *testing.T) {
	for addr, want := range map[string]bool{
		"172.18.0.3": true, "172.18.0.30": true, "172.18.0.9": false, "172.18.0.0": false,
		"172.18.255.255": false, "172.18.0.4": false, "0.0.0.0": false, "72.18.0.3": false,
	} {
		if got := local4([]byte(trie), netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}
