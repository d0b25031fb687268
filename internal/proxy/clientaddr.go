package proxy

import (
	"net/http"
	"net/netip"
	"strings"
)

// addresses are who asks: the other end of the connection, and whom it asks for.
// Only those who are trusted are believed what they say in X-Forwarded-For. The entries are read from the last, which the
// front wrote itself, backwards over those that are fronts in turn; the first that
// is none, or that came first of all, is the client. What is no address ends the
// search: whoever wrote it is not to be believed.
func addresses(in *http.Request, trusts func(netip.Addr) bool) (client, peer netip.Addr) {
	at, err := netip.ParseAddrPort(in.RemoteAddr)
	if err != nil {
		return netip.Addr{}, netip.Addr{}
	}
	peer = at.Addr().Unmap()
	client = peer
	for values := in.Header["X-Forwarded-For"]; len(values) > 0; values = values[:len(values)-1] {
		rest, more := values[len(values)-1], true
		for more && trusts(client) {
			entry := rest
			if i := strings.LastIndexByte(rest, ','); i >= 0 {
				rest, entry = rest[:i], rest[i+1:]
			} else {
				more = false
			}
			before, err := netip.ParseAddr(strings.TrimSpace(entry))
			if err != nil {
				return client, peer
			}
			client = before.Unmap().WithZone("")
		}
	}
	return client, peer
}

// front says whether an address is this host's or of a private network.
func front(a netip.Addr) bool {
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast()
}
