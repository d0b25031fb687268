package steady

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// H2C is the protocol of what speaks HTTP/2 without TLS: gRPC, too.
const H2C = "h2c"

// Where requests by host come in, unless x-steady.listen says otherwise.
const (
	DefaultListenHTTP  = ":80"
	DefaultListenHTTPS = ":443"
)

// DefaultCA is the directory of the ACME server that certificates come from.
const DefaultCA = "https://acme-v02.api.letsencrypt.org/directory"

// Rule says which requests come to a service by host and path: one entry of
// x-steady.routes, with all that concerns it.
type Rule struct {
	Host     string `json:"host"`               // lower case; "*.example.ch" is any one label before it, "*" any host
	Path     string `json:"path"`               // "/v1" is /v1 and all below it
	Port     uint16 `json:"port"`               // in the container
	Protocol string `json:"protocol,omitempty"` // HTTP or H2C: what the app speaks
	HTTP     string `json:"http"`               // address of the plain listener, ":80"
	HTTPS    string `json:"https,omitempty"`    // address of the TLS listener, ":443"; empty: plain HTTP only
	TLS      TLS    `json:"tls"`                // where the host's certificate comes from
}

// TLS says where a certificate comes from: files, else the ACME server. It holds
// no secret.
type TLS struct {
	Certificate string `json:"certificate,omitempty"` // absolute path of a PEM file, the chain included
	Key         string `json:"key,omitempty"`         // absolute path of its key
	CA          string `json:"ca,omitempty"`          // URL of the ACME server's directory
	CARoot      string `json:"ca_root,omitempty"`     // absolute path of a PEM file: who else is trusted to be that server
	Email       string `json:"email,omitempty"`       // of the ACME account
}

// Plain says whether the rule's host is served without TLS.
func (r Rule) Plain() bool { return r.HTTPS == "" }

// Name is the host and the path, as people write it.
func (r Rule) Name() string { return r.Host + strings.TrimSuffix(r.Path, "/") }

// Meets says whether two rules claim the same requests, or want the same host to
// have two certificates; why is a sentence's end.
func (r Rule) Meets(other Rule) (why string, meets bool) {
	switch {
	case r.Host != other.Host:
		return "", false
	case r.Path == other.Path && r.meetsAt(other):
		return r.Name() + " is claimed twice", true
	case !r.Plain() && r.HTTPS == other.HTTPS && r.TLS != other.TLS:
		return r.Host + " has two different certificates", true
	}
	return "", false
}

// tangled says whether the listeners of two rules cannot be side by side: one
// address plain and with TLS, or a port at all addresses and at one; at is it.
func (r Rule) tangled(other Rule) (at string, yes bool) {
	for _, mine := range []string{r.HTTP, r.HTTPS} {
		for _, its := range []string{other.HTTP, other.HTTPS} {
			a, port, ok := HostPort(mine)
			b, otherPort, there := HostPort(its)
			mixed := mine == its && (mine == r.HTTPS) != (its == other.HTTPS)
			wide := a != b && (a == "" || b == "")
			if ok && there && port == otherPort && (mixed || wide) {
				return mine, true
			}
		}
	}
	return "", r.HTTP == r.HTTPS
}

// meetsAt says whether both are served at one listener. A host with TLS has its
// plain listener too, for the redirect.
func (r Rule) meetsAt(other Rule) bool {
	if r.Plain() || other.Plain() {
		return r.HTTP == other.HTTP
	}
	return r.HTTPS == other.HTTPS
}

// Listens says whether a published port and a rule's listeners cannot be side by
// side, and at which port.
func (r Rule) Listens(p Port) (port uint16, meets bool) {
	for _, at := range []string{r.HTTP, r.HTTPS} {
		host, port, ok := HostPort(at)
		answered := p.Transport != UDP || at == r.HTTPS // HTTP/3
		if ok && port == p.Published && answered && (host == p.HostIP || host == "" || p.HostIP == "") {
			return port, true
		}
	}
	return 0, false
}

// HostPort takes a listen address apart; an empty host is every address.
func HostPort(addr string) (host string, port uint16, ok bool) {
	i := strings.LastIndexByte(addr, ':')
	if i < 0 {
		return "", 0, false
	}
	host = strings.TrimSuffix(strings.TrimPrefix(addr[:i], "["), "]")
	n, err := strconv.ParseUint(addr[i+1:], 10, 16)
	return host, uint16(n), err == nil && n > 0
}

// Match is one rule of a listener: what comes for a host and below a path goes to
// a pool.
type Match struct {
	Host     string `json:"host"`               // as in Rule
	Path     string `json:"path"`               // as in Rule
	Pool     string `json:"pool,omitempty"`     // name of a pool in the same table
	Protocol string `json:"protocol,omitempty"` // H2C: the app speaks HTTP/2 without TLS; else HTTP/1.1
	Redirect uint16 `json:"redirect,omitempty"` // instead of a pool: the port where the host is served with TLS
}

// Certificate is where the proxy gets a host's certificate from.
type Certificate struct {
	Host  string `json:"host"` // as in Rule
	HTTP  string `json:"http"` // as in Rule: where challenges arrive
	HTTPS string `json:"https"`
	TLS
}

// CertificateStatus is what became of a Certificate.
type CertificateStatus struct {
	Host     string    `json:"host"`
	Source   string    `json:"source"`             // the file, or the ACME server's directory
	Issuer   string    `json:"issuer,omitempty"`   // empty: there is none yet
	NotAfter time.Time `json:"not_after,omitzero"` // zero: there is none yet
	Error    string    `json:"error,omitempty"`    // why it could not be had, read or renewed the last time
	Next     time.Time `json:"next,omitzero"`      // of the next attempt to have it
}

// Closer orders matches so that the first that fits is the closest: an exact host
// before a wildcard, the longer wildcard before the shorter, then the longer path.
func Closer(a, b Match) int {
	return cmp.Or(
		cmp.Compare(wildness(a.Host), wildness(b.Host)),
		cmp.Compare(len(b.Host), len(a.Host)),
		cmp.Compare(a.Host, b.Host),
		cmp.Compare(len(b.Path), len(a.Path)),
		cmp.Compare(a.Path, b.Path),
	)
}

func wildness(host string) int {
	switch {
	case host == "*":
		return 2
	case strings.HasPrefix(host, "*."):
		return 1
	}
	return 0
}

// Fits says whether a host name, lower case and without a port, is the match's.
func Fits(pattern, host string) bool {
	if pattern == "*" || pattern == host {
		return true
	}
	suffix, wild := strings.CutPrefix(pattern, "*")
	label, ok := strings.CutSuffix(host, suffix)
	return wild && ok && label != "" && !strings.Contains(label, ".")
}

// Below says whether a path is the match's prefix or below it, by whole segments.
func Below(prefix, path string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// ruled lists the rules of several routes with whose they are.
func ruled(routes []Route) []claim {
	var out []claim
	for _, r := range routes {
		for _, rule := range r.Rules {
			out = append(out, claim{rule: rule, by: r})
		}
	}
	return out
}

type claim struct {
	rule Rule
	by   Route
}

// Clash is the first two of the routes that cannot be served side by side for
// their rules' sake, as an error that names both; nil where there are none. A
// rule may meet another rule, or a published port at its listener.
func Clash(routes []Route) *Error {
	claims := ruled(routes)
	for i, a := range claims {
		for _, b := range claims[:i+1] {
			if at, yes := a.rule.tangled(b.rule); yes {
				return ErrPortTaken.With(a.rule.Name()+" of "+a.by.ref()+" and "+b.rule.Name()+" of "+b.by.ref()+" cannot share "+at, "set x-steady.listen alike for both")
			}
		}
		for _, b := range claims[:i] {
			if why, meets := a.rule.Meets(b.rule); meets {
				return ErrRouteTaken.With(why+", by "+b.by.ref()+" and "+a.by.ref(), "give one of them another host or path under x-steady.routes")
			}
		}
	}
	for _, a := range claims {
		for _, r := range routes {
			if i := slices.IndexFunc(r.Ports, func(p Port) bool { _, meets := a.rule.Listens(p); return meets }); i >= 0 {
				return ErrPortTaken.With("port "+r.Ports[i].String()+" is published by "+r.ref()+", and "+a.rule.Name()+" of "+a.by.ref()+" is served there",
					"publish another port, or set x-steady.listen")
			}
		}
	}
	return nil
}

func (r Route) ref() string { return r.Project + "/" + r.Service }
