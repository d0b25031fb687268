package proxy

import (
	"net/http"
	"net/netip"
	"testing"

	"gesalpai.ch/steady"
)

func TestNotice_TheClientIsWhoItsNextTrustedHopSaw(t *testing.T) {
	n := newNotice(steady.Maintenance{RetryAfter: 1, Trust: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16"), netip.MustParsePrefix("fd00::/8")}})
	for _, c := range []struct {
		peer string
		hops []string
		want string
	}{
		{"203.0.113.7", nil, "203.0.113.7"},
		{"203.0.113.7", []string{"198.51.100.1"}, "203.0.113.7"}, // it comes directly: what it says is nothing
		{"127.0.0.1", nil, "127.0.0.1"},
		{"127.0.0.1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"::1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"127.0.0.1", []string{"203.0.113.7, 198.51.100.1"}, "198.51.100.1"}, // nginx appended the second
		{"127.0.0.1", []string{"203.0.113.7", "198.51.100.1"}, "198.51.100.1"},
		{"127.0.0.1", []string{"203.0.113.7, 198.51.100.1, 10.9.1.1"}, "198.51.100.1"},
		{"10.9.1.1", []string{"203.0.113.7,, 198.51.100.1 ,"}, "198.51.100.1"},
		{"10.8.1.1", []string{"198.51.100.1"}, "10.8.1.1"},
		{"fd00::1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"127.0.0.1", []string{"203.0.113.7, unknown"}, "invalid IP"},
		{"127.0.0.1", []string{"203.0.113.7, ::ffff:198.51.100.1"}, "198.51.100.1"},
		{"127.0.0.1", []string{"10.9.3.3, 10.9.1.1"}, "10.9.3.3"},
	} {
		got := n.client(netip.MustParseAddr(c.peer), http.Header{"X-Forwarded-For": c.hops}).String()
		if got != c.want {
			t.Errorf("peer %s, hops %q: %s, want %s", c.peer, c.hops, got, c.want)
		}
	}
}

func TestNotice_NobodyIsLetThroughByAnAddressThatIsNone(t *testing.T) {
	n := newNotice(steady.Maintenance{RetryAfter: 1, Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}})
	if n.admits(netip.Addr{}, nil) || n.admits(netip.MustParseAddr("127.0.0.1"), http.Header{"X-Forwarded-For": {"x"}}) {
		t.Error("let through")
	}
	if !n.admits(netip.MustParseAddr("203.0.113.7"), nil) {
		t.Error("kept out")
	}
}
