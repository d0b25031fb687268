package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"gesalpai.ch/steady"
)

// check says what is wrong with a table, nil when nothing is. It is
// steady.ErrUsage: only a wrong caller can cause it.
func check(t steady.Table) error {
	pools := map[string]bool{}
	for _, p := range t.Pools {
		if p.Name == "" || pools[p.Name] {
			return badTable("pool %q is there twice, or has no name", p.Name)
		}
		pools[p.Name] = true
		if err := checkUpstreams(p); err != nil {
			return err
		}
	}
	addrs := map[string]bool{}
	for _, l := range t.Listeners {
		if l.Host != "" {
			if _, err := netip.ParseAddr(l.Host); err != nil {
				return badTable("listener %s: the host is no address", l.Addr())
			}
		}
		switch l.Protocol {
		case steady.Auto, steady.HTTP, steady.TCP:
		default:
			return badTable("listener %s: no protocol %q", l.Addr(), l.Protocol)
		}
		if !pools[l.Pool] {
			return badTable("listener %s: no pool %q", l.Addr(), l.Pool)
		}
		if l.Port != 0 && addrs[l.Addr()] {
			return badTable("listener %s is there twice", l.Addr())
		}
		addrs[l.Addr()] = true
	}
	return nil
}

func checkUpstreams(p steady.Pool) error {
	ids := map[string]bool{}
	for _, u := range p.Upstreams {
		if u.ID == "" || ids[u.ID] {
			return badTable("pool %s: upstream %q is there twice, or has no id", p.Name, u.ID)
		}
		ids[u.ID] = true
		host, port, err := net.SplitHostPort(u.Addr)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 || host == "" {
			return badTable("pool %s: %q is no address", p.Name, u.Addr)
		}
	}
	return nil
}

func badTable(format string, args ...any) error {
	return steady.ErrUsage.With("bad table: "+fmt.Sprintf(format, args...), "")
}
