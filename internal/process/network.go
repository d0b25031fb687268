package process

import (
	"bytes"
	"encoding/hex"
	"net/netip"
)

// Has says whether the process lives and its network namespace has that address as
// its own, now. What has been connected to before is then the process's network.
func (h *Handle) Has(a netip.Addr) bool {
	if a = a.Unmap(); a.Is4() {
		b, err := h.read("net/fib_trie")
		return err == nil && local4(b, a)
	}
	b, err := h.read("net/if_inet6")
	return err == nil && bytes.Contains(append([]byte("\n"), b...), hexOf(a))
}

// hexOf is an address as a line of if_inet6 begins, after the end of the one before.
func hexOf(a netip.Addr) []byte {
	b := a.As16()
	return append(hex.AppendEncode([]byte("\n"), b[:]), ' ')
}

// local4 says whether the routes of a namespace have an address as its own: a leaf
// "|-- 10.0.0.2" with "/32 host LOCAL" among the lines about it.
func local4(trie []byte, a netip.Addr) bool {
	leaf := []byte("|-- " + a.String() + "\n")
	for {
		i := bytes.Index(trie, leaf)
		if i < 0 {
			return false
		}
		trie = trie[i+len(leaf):]
		about := trie
		for len(about) > 0 {
			line, rest, _ := bytes.Cut(about, []byte("\n"))
			if line = bytes.TrimSpace(line); !bytes.HasPrefix(line, []byte("/")) {
				break
			}
			if bytes.HasPrefix(line, []byte("/32 host LOCAL")) {
				return true
			}
			about = rest
		}
	}
}
