package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"gesalpai.ch/steady"
)

// check says what is wrong with a table, nil when nothing is. It is
// steady.ErrUsage: only a wrong caller can cause it.
func check(t steady.Table) error {
	notices, err := checkMaintenance(t.Maintenance)
	if err != nil {
		return err
	}
	pools := map[string]bool{}
	for _, p := range t.Pools {
		if !notices[p.Maintenance] || p.Maintenance != "" && inner(p.Name) {
			return badTable("pool %s: no maintenance %q", p.Name, p.Maintenance)
		}
		if p.Sticky != nil && !steady.IsCookieName(p.Sticky.Cookie) {
			return badTable("pool %s: no cookie can be named %q", p.Name, p.Sticky.Cookie)
		}
		if h := p.Hold; h != nil && (h.Most < 0 || h.Bytes < 0 || h.For <= 0 || h.Lease <= 0) {
			return badTable("pool %s: a gate without bounds", p.Name)
		}
		if err := checkSplit(p); err != nil {
			return err
		}
		if p.Name == "" || pools[p.Name] {
			return badTable("pool %q is there twice, or has no name", p.Name)
		}
		pools[p.Name] = true
		if err := errors.Join(checkUpstreams(p), checkElders(p)); err != nil {
			return err
		}
	}
	if err := checkUDP(t.UDP, pools); err != nil {
		return err
	}
	addrs := map[string]bool{}
	for _, l := range t.Listeners {
		switch l.Protocol {
		case steady.Auto, steady.HTTP, steady.H2C, steady.TCP:
		default:
			return badTable("listener %s: no protocol %q", listenerName(l), l.Protocol)
		}
		if name := listenerName(l); addrs[name] && (l.Port != 0 || l.Holder != "") {
			return badTable("listener %s is there twice", name)
		}
		addrs[listenerName(l)] = true
		if l.TLS && len(l.Rules) == 0 {
			return badTable("listener %s: TLS, and no rule", listenerName(l))
		}
		if l.Holder != "" {
			if err := checkHolder(l, pools); err != nil {
				return err
			}
			continue
		}
		if l.Host != "" {
			if _, err := netip.ParseAddr(l.Host); err != nil {
				return badTable("listener %s: the host is no address", l.Addr())
			}
		}
		if len(l.Rules) > 0 {
			if err := checkRules(l, pools); err != nil {
				return err
			}
			continue
		}
		if !pools[l.Pool] || inner(l.Pool) {
			return badTable("listener %s: no pool %q", l.Addr(), l.Pool)
		}
	}
	return nil
}

// What the name of a published port's listener begins with.
const (
	published    = "tcp:"
	publishedUDP = "udp:"
)

// checkUDP checks the table's UDP addresses.
func checkUDP(listeners []steady.Listener, pools map[string]bool) error {
	addrs := map[string]bool{}
	for _, l := range listeners {
		addr := l.Addr()
		if l.Protocol != steady.UDP || l.Holder != "" || len(l.Rules) > 0 || l.TLS {
			return badTable("listener %s: no UDP address", addr)
		}
		if l.Host != "" {
			if _, err := netip.ParseAddr(l.Host); err != nil {
				return badTable("listener %s/udp: the host is no address", addr)
			}
		}
		if addrs[addr] && l.Port != 0 {
			return badTable("listener %s/udp is there twice", addr)
		}
		addrs[addr] = true
		if !pools[l.Pool] || inner(l.Pool) {
			return badTable("listener %s/udp: no pool %q", addr, l.Pool)
		}
	}
	return nil
}

// checkMaintenance gives the names that pools may name; the empty one is none.
func checkMaintenance(all []steady.Maintenance) (map[string]bool, error) {
	names := map[string]bool{"": true}
	for _, m := range all {
		if names[m.Ref()] {
			return nil, badTable("maintenance %q is there twice, or has no name", m.Ref())
		}
		if err := m.Validate(); err != nil {
			return nil, err
		}
		names[m.Ref()] = true
	}
	return names, nil
}

// listenerName is what a listener is lent, inherited and complained of under.
func listenerName(l steady.Listener) string {
	if l.Holder != "" {
		return steady.HolderListener(l.Holder)
	}
	if l.Protocol == steady.UDP {
		return publishedUDP + l.Addr()
	}
	return published + l.Addr()
}

// checkHolder checks a listener in a holder's network namespace.
func checkHolder(l steady.Listener, pools map[string]bool) error {
	if l.Host != "" || l.Port != 0 || l.Pool != "" {
		return badTable("listener of holder %s: an address or a pool of its own", l.Holder)
	}
	for addr, pool := range l.Arrivals {
		if _, err := netip.ParseAddr(addr); err != nil {
			return badTable("listener of holder %s: %q is no address", l.Holder, addr)
		}
		if !pools[pool] || !inner(pool) {
			return badTable("listener of holder %s: no pool %q for calls from within", l.Holder, pool)
		}
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
		if !isAddr(u.Addr, inner(p.Name)) {
			return badTable("pool %s: %q is no address", p.Name, u.Addr)
		}
	}
	return nil
}

// isAddr says whether addr is "host:port", or a bare address.
func isAddr(addr string, bare bool) bool {
	if bare {
		_, err := netip.ParseAddr(addr)
		return err == nil
	}
	host, port, err := net.SplitHostPort(addr)
	n, bad := strconv.ParseUint(port, 10, 16)
	return err == nil && bad == nil && n > 0 && host != ""
}

func badTable(format string, args ...any) error {
	return steady.ErrUsage.With("bad table: "+fmt.Sprintf(format, args...), "")
}
