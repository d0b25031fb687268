package proxy

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// passOn makes the headers that reach the app of those that the client sent.
func (x *exchange) passOn(in, out *http.Request) {
	x.dropAmbiguous(out.Header)
	x.forwarded(in, out.Header)
	x.limitUpgrade(out.Header)
}

// dropAmbiguous drops headers whose names are more than letters, digits and hyphens,
// as nginx does: CGI and its heirs read any other character as they read a hyphen, so
// X_Forwarded_For would be X-Forwarded-For to them. Calls by name are the project's own,
// and lose only what reads like a header of ours.
func (x *exchange) dropAmbiguous(h http.Header) {
	ingress := x.pool.ingress.Load()
	underscores := ingress != nil && ingress.Underscores
	for name := range h {
		switch odd := oddBytes(name); {
		case odd == "":
		case reserved(name):
			delete(h, name)
		case x.pool.template == nil && !(underscores && strings.Trim(odd, "_") == ""):
			delete(h, name)
		}
	}
}

// oddBytes are those of a header's name that are no letter, digit or hyphen.
func oddBytes(name string) string {
	odd := func(c byte) bool {
		letter := c | 0x20
		return (letter < 'a' || letter > 'z') && (c < '0' || c > '9') && c != '-'
	}
	for i := range len(name) {
		if !odd(name[i]) {
			continue
		}
		var out []byte
		for _, c := range []byte(name[i:]) {
			if odd(c) {
				out = append(out, c)
			}
		}
		return string(out)
	}
	return ""
}

// reserved says whether a name reads like that of a header which we set, or which says
// how long a request is.
func reserved(name string) bool {
	alike := strings.ToLower(strings.Map(func(r rune) rune {
		if oddBytes(string(r)) != "" {
			return '-'
		}
		return r
	}, name))
	return tellsOfClient(http.CanonicalHeaderKey(alike)) || slices.Contains(ours, alike)
}

var ours = []string{"x-request-id", "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}

// tellsOfClient says whether a header is one by which proxies tell apps who asks, and
// for what.
func tellsOfClient(name string) bool {
	return strings.HasPrefix(name, "X-Forwarded") || name == "Forwarded" || name == "X-Real-Ip"
}

// forwarded adds what we see to what a trusted proxy before us has said. From anybody
// else nothing of the kind is believed or passed on.
func (x *exchange) forwarded(in *http.Request, h http.Header) {
	ip, proto := host(in.RemoteAddr), "http"
	if in.TLS != nil {
		proto = "https"
	}
	if !x.trusts(addrOf(remote(in.RemoteAddr).RemoteAddr())) {
		for name := range h {
			if tellsOfClient(name) {
				delete(h, name)
			}
		}
		h["X-Forwarded-For"], h["X-Forwarded-Host"], h["X-Forwarded-Proto"] = []string{ip}, []string{in.Host}, []string{proto}
		return
	}
	if before := in.Header["X-Forwarded-For"]; len(before) > 0 {
		ip = strings.Join(before, ", ") + ", " + ip
	}
	h["X-Forwarded-For"] = []string{ip}
	keep(h, in.Header, "X-Forwarded-Host", in.Host)
	keep(h, in.Header, "X-Forwarded-Proto", proto)
	if v := in.Header["Forwarded"]; v != nil {
		h["Forwarded"] = v
	}
}

func keep(out, in http.Header, key, otherwise string) {
	if v := in[key]; len(v) > 0 {
		out[key] = v
		return
	}
	out[key] = []string{otherwise}
}

// trusts says whether an address is of a proxy before us. Where the service does not
// name them, with TLS there is none, and without it is one on this host or in a
// private network.
func (x *exchange) trusts(a netip.Addr) bool {
	if x.pool != nil {
		if ingress := x.pool.ingress.Load(); ingress != nil && len(ingress.Trusted) > 0 {
			return contains(ingress.Trusted, a)
		}
	}
	return x.in.TLS == nil && front(a)
}

// limitUpgrade leaves of the protocols that the client would switch to those that the
// service may be switched to. The settings of an upgrade to HTTP/2 are never passed on.
func (x *exchange) limitUpgrade(h http.Header) {
	delete(h, "Http2-Settings")
	asked := h["Upgrade"]
	if asked == nil {
		return
	}
	ingress := x.pool.ingress.Load()
	x.upgrades = slices.DeleteFunc(tokens(strings.Join(asked, ",")), func(protocol string) bool { return !ingress.Switches(protocol) })
	if len(x.upgrades) == 0 {
		delete(h, "Upgrade")
		delete(h, "Connection")
		return
	}
	h["Upgrade"] = []string{strings.Join(x.upgrades, ", ")}
}

// tokens are the members of a list in a header.
func tokens(list string) []string {
	var out []string
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// switchesTo says whether an app's 101 names a protocol that was asked for.
func (x *exchange) switchesTo(protocol string) bool {
	return slices.ContainsFunc(x.upgrades, func(asked string) bool { return strings.EqualFold(asked, protocol) })
}
