package proxy

import (
	"net/http"
	"testing"
)

func TestAddresses_BelieveAFrontAndNobodyElse(t *testing.T) {
	for name, c := range map[string]struct {
		peer, client string
		forwarded    []string
	}{
		"no front":                       {"203.0.113.9:1", "203.0.113.9", nil},
		"a stranger's word":              {"203.0.113.9:1", "203.0.113.9", []string{"198.51.100.7"}},
		"nginx on this host":             {"127.0.0.1:1", "198.51.100.7", []string{"198.51.100.7"}},
		"what its client made up before": {"127.0.0.1:1", "198.51.100.7", []string{"1.2.3.4, 198.51.100.7"}},
		"a front before the front":       {"10.0.0.2:1", "198.51.100.7", []string{"198.51.100.7, 10.0.0.1"}},
		"two headers":                    {"127.0.0.1:1", "198.51.100.7", []string{"198.51.100.7", "10.0.0.1"}},
		"a client in the house":          {"127.0.0.1:1", "10.0.0.9", []string{"10.0.0.9"}},
		"no address":                     {"127.0.0.1:1", "127.0.0.1", []string{"unknown"}},
		"no address behind one that is":  {"127.0.0.1:1", "10.0.0.1", []string{"198.51.100.7, <script>, 10.0.0.1"}},
		"IPv6":                           {"[::1]:1", "2001:db8::7", []string{"2001:db8::7"}},
		"IPv4 in IPv6":                   {"[::ffff:127.0.0.1]:1", "198.51.100.7", []string{"::ffff:198.51.100.7"}},
		"an empty header":                {"127.0.0.1:1", "127.0.0.1", []string{""}},
	} {
		in := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if client, _ := addresses(in, front); client.String() != c.client {
			t.Errorf("%s: client %s, want %s", name, client, c.client)
		}
	}
}
