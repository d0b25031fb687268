package proxy

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"gesalpai.ch/steady"
)

// rule is what a listener does with what comes for a host and below a path.
type rule struct {
	steady.Match
	pool *pool // nil for a redirect
}

// rules are a listener's. They are immutable.
type rules struct {
	exact map[string][]rule // by host, the longest path first
	wild  []rule            // wildcards, the closest first
}

// rules makes those of a listener. The pools are there already. p.mu is held.
func (p *Proxy) rules(matches []steady.Match) *rules {
	out := &rules{exact: map[string][]rule{}}
	for _, m := range slices.SortedFunc(slices.Values(matches), steady.Closer) {
		r := rule{Match: m}
		if m.Redirect == 0 {
			r.pool = p.pools[m.Pool].(*pool) // as check has seen
		}
		if strings.HasPrefix(m.Host, "*") {
			out.wild = append(out.wild, r)
			continue
		}
		out.exact[m.Host] = append(out.exact[m.Host], r)
	}
	return out
}

// find gives the closest rule for a request, nil where there is none.
func (rs *rules) find(host, target string) *rule {
	if target == "*" { // of OPTIONS: the server as a whole
		target = "/"
	}
	if strings.Contains(target, "//") || strings.Contains(target, "/.") {
		target = path.Clean(target) // as the app will, or a path could look like another
	}
	for i, r := range rs.exact[host] {
		if steady.Below(r.Path, target) {
			return &rs.exact[host][i]
		}
	}
	for i, r := range rs.wild {
		if steady.Fits(r.Host, host) && steady.Below(r.Path, target) {
			return &rs.wild[i]
		}
	}
	return nil
}

// hostOf is the host that a request asks for: lower case, no port, no final dot.
func hostOf(in *http.Request) string {
	host := in.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// choose finds the pool of a request that came to a listener with rules. False:
// it has been answered.
func (x *exchange) choose(rs *rules) bool {
	host := hostOf(x.in)
	r := rs.find(host, x.in.URL.Path)
	switch {
	case x.proxy.misdirected(x.in, host):
		x.tell(http.StatusMisdirectedRequest)
		return false
	case x.in.TLS == nil && x.proxy.certs.Challenge(x, x.in, host):
		return false
	case r == nil:
		x.tell(http.StatusNotFound)
		return false
	case r.pool == nil:
		x.redirect(host, r.Redirect)
		return false
	}
	x.pool, x.http2 = r.pool, r.Protocol == steady.H2C
	return true
}

// redirect sends the client to where the host is served with TLS. 308, as the
// method and the body shall stay (RFC 9110, 15.4.9).
func (x *exchange) redirect(host string, port uint16) {
	to := url.URL{Scheme: "https", Host: host, Path: x.in.URL.Path, RawPath: x.in.URL.RawPath, RawQuery: x.in.URL.RawQuery}
	if port != 443 {
		to.Host = net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	x.Header().Set("Location", to.String())
	x.tell(http.StatusPermanentRedirect)
}

// tell is an answer of our own that has nothing to do with any replica: the
// connection may go on, and nothing is counted.
func (x *exchange) tell(status int) {
	h, body := x.Header(), http.StatusText(status)+"\n"
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	x.WriteHeader(status)
	_, _ = io.WriteString(x, body)
	x.hearOut()
}

// welcome hands a connection to a listener with rules to net/http, once the client
// has begun to speak: until then it may be one that a browser has opened ahead.
func (p *Proxy) welcome(c *clientConn) {
	if _, err := c.listen(p.peekTimes(true)); err != nil {
		c.Close()
		return
	}
	p.handHTTP(c)
}

// checkRules checks a listener that chooses by host and path.
func checkRules(l steady.Listener, pools map[string]bool) error {
	if l.Pool != "" || l.Port == 0 {
		return badTable("listener %s: rules, and a pool of its own or no port", l.Addr())
	}
	for i, m := range l.Rules {
		switch {
		case m.Host == "" || !strings.HasPrefix(m.Path, "/"):
			return badTable("listener %s: a rule for host %q and path %q", l.Addr(), m.Host, m.Path)
		case m.Redirect == 0 && (!pools[m.Pool] || inner(m.Pool)):
			return badTable("listener %s: no pool %q", l.Addr(), m.Pool)
		case slices.ContainsFunc(l.Rules[:i], func(o steady.Match) bool { return o.Host == m.Host && o.Path == m.Path }):
			return badTable("listener %s: %s%s is there twice", l.Addr(), m.Host, m.Path)
		}
	}
	return nil
}

// serves says whether a door is the listener's, be it at another address.
func (b *behind) serves(l steady.Listener) bool {
	if b.rules != nil || len(l.Rules) > 0 {
		return b.rules != nil && len(l.Rules) > 0
	}
	return b.pool.name == l.Pool
}
