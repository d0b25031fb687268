package nginx

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// claimed refuses a domain for which another enabled site answers on a port of
// ours: nginx would take the first it reads, and only warn.
func (h *Host) claimed(c configuration, s steady.Site) error {
	ports := []string{fmt.Sprint(s.HTTPPort)}
	if s.TLS() {
		ports = append(ports, fmt.Sprint(s.HTTPSPort))
	}
	for _, other := range c.servers() {
		if other.of(h.enabled(s.Name), h.available(s.Name)) || !anyOf(other.ports, ports) {
			continue
		}
		for _, domain := range s.Domains {
			if slices.ContainsFunc(other.names, func(n string) bool { return strings.EqualFold(n, domain) }) {
				return h.taken(domain, other, s)
			}
		}
	}
	return nil
}

func (h *Host) taken(domain string, by server, s steady.Site) error {
	if slices.Contains(by.pass, canonical(s.Upstream)) {
		return steady.ErrSiteTaken.With(
			fmt.Sprintf("%s is served by %s already, which passes on to %s", domain, by.file, s.Upstream),
			fmt.Sprintf("leave it: it needs no change for steady; or have it written anew: steady nginx install --name %s …", filepath.Base(by.file)))
	}
	return steady.ErrSiteTaken.With(fmt.Sprintf("%s is claimed by %s", domain, by.file),
		"choose another --domain, or take that site out of "+filepath.Dir(by.file))
}

func anyOf(these, those []string) bool {
	return slices.ContainsFunc(these, func(s string) bool { return slices.Contains(those, s) })
}

// foreign refuses to write over a file that is not the service's, and shows what
// would become of it: first where it passes requests on to, then the rest.
func (h *Host) foreign(s steady.Site, old, text string) error {
	whose := "was not written by steady"
	if strings.HasPrefix(old, mark) {
		whose = "is another service's"
	}
	e := steady.ErrSiteTaken.With(fmt.Sprintf("%s is there and %s", h.available(s.Name), whose),
		"add --yes to have it replaced as shown, and the file kept beside it; or choose another --name")
	was := upstreamsOf(old)
	e.Tail = append(e.Tail, "- passes on to "+listed(was), "+ passes on to "+s.Upstream)
	e.Tail = append(e.Tail, diff(old, text)...)
	return e
}

// upstreamsOf lists the addresses to which a site's file alone passes on.
func upstreamsOf(text string) []string {
	var out []string
	c := configuration{files: []file{{directives: parse(text)}}}
	for _, s := range c.servers() {
		for _, addr := range s.pass {
			if !slices.Contains(out, addr) {
				out = append(out, addr)
			}
		}
	}
	return out
}

func listed(words []string) string {
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ", ")
}
