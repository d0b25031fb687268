package doctor

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// proxyIdle is how long steady's proxy keeps an idle connection
// (proxy.DefaultIdleTimeout; a test of the wiring holds them together).
const proxyIdle = 120 * time.Second

// ProxyIdle tells it to that test.
func ProxyIdle() time.Duration { return proxyIdle }

func nginxRules() []Rule {
	return []Rule{
		{
			ID: "nginx-broken", Severity: steady.Failure,
			Title: "an nginx configuration that does not load",
			Why:   "nginx goes on with the one it has, until it is restarted or the host reboots: then every site is down. No change takes effect.",
			Mend:  "sudo nginx -t, mend what it names, sudo systemctl reload nginx",
			find: func(f Facts) []hit {
				if len(f.Nginx.Broken) == 0 {
					return nil
				}
				return []hit{{text: "nginx does not load its configuration", lines: f.Nginx.Broken}}
			},
		},
		{
			ID: "nginx-stopped", Severity: steady.Warning,
			Title: "nginx has sites and does not run",
			Why:   "Nobody answers for them.",
			Mend:  "sudo systemctl start nginx",
			find: func(f Facts) []hit {
				return one(f.Nginx.Installed && !f.Nginx.Running && len(f.Nginx.Passes) > 0, "nginx does not run, and it has "+strings.Join(sites(f), ", "))
			},
		},
		{
			ID: "nginx-upstream-dead", Severity: steady.Failure,
			Title: "a site that nginx passes on to where nobody listens",
			Why:   "Visitors get 502 Bad Gateway.",
			Mend:  "steady status; steady deploy the service that publishes the port, or mend proxy_pass",
			find:  deadPasses,
		},
		{
			ID: "nginx-past-steady", Severity: steady.Warning,
			Title: "a site that nginx passes on to a container, past steady",
			Why:   "Docker itself publishes that port: with the next release the container goes, and until the new one listens visitors get 502.",
			Mend:  "steady deploy the service: steady takes the port over, and nginx stays as it is",
			find: func(f Facts) []hit {
				var out []hit
				for _, p := range f.Nginx.Passes {
					t, ok := f.takenBy(p.Addr)
					if !ok || t.Who.Docker == "" {
						continue
					}
					h := hit{text: fmt.Sprintf("%s goes to %s, which is %s", p.Site, p.Addr, f.name(t.Who))}
					if c, ok := f.behind(t.Who); ok {
						h.service = c.Service
					}
					out = append(out, h)
				}
				return out
			},
		},
		{
			ID: "nginx-idle-timeout", Severity: steady.Warning,
			Title: "an upstream that nginx keeps connections to for longer than steady does",
			Why:   fmt.Sprintf("steady closes an idle connection after %s. If nginx keeps it longer, a request may be on its way when it is closed, and is lost.", proxyIdle),
			Mend:  "keepalive_timeout 60s; within the upstream block",
			find: func(f Facts) []hit {
				var out []hit
				for _, p := range f.Nginx.Passes {
					out = append(out, one(p.KeepAlive && p.IdleTimeout >= proxyIdle && f.proxyAt(p.Addr), fmt.Sprintf("upstream %s has keepalive_timeout %s", p.Upstream, p.IdleTimeout))...)
				}
				return out
			},
		},
	}
}

func sites(f Facts) []string {
	var out []string
	for _, p := range f.Nginx.Passes {
		if !slices.Contains(out, p.Site) {
			out = append(out, p.Site)
		}
	}
	return out
}

func deadPasses(f Facts) []hit {
	var out []hit
	seen := map[string]bool{}
	for _, p := range f.Nginx.Passes {
		answers, tried := f.Dials[p.Addr]
		if !tried || answers || seen[p.Site+p.Addr] {
			continue
		}
		seen[p.Site+p.Addr] = true
		h := hit{text: fmt.Sprintf("%s goes to %s, where nobody listens (%s)", p.Site, p.Addr, p.File)}
		if d, ok := f.publishes(p.Addr); ok {
			h.service, h.mend = d.Service, "steady status; steady deploy "+d.Service
			h.text += ": it is the port of " + d.Service
		}
		for _, line := range f.Nginx.Errors {
			if strings.Contains(line, p.Addr) {
				h.lines = []string{line} // the last one
			}
		}
		out = append(out, h)
	}
	return out
}

// publishes finds the service of the files that publishes the address's port.
func (f Facts) publishes(addr string) (steady.Declared, bool) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil || f.Survey == nil {
		return steady.Declared{}, false
	}
	for _, d := range f.Survey.Services {
		for _, p := range d.Published {
			if strconv.Itoa(int(p.Published)) == port {
				return d, true
			}
		}
	}
	return steady.Declared{}, false
}

func (f Facts) takenBy(addr string) (TakenPort, bool) {
	for _, t := range f.Ports {
		if net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))) == addr {
			return t, true
		}
	}
	return TakenPort{}, false
}

// proxyAt says whether steady's proxy listens on the port of the address.
func (f Facts) proxyAt(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	if err != nil || f.Proxy == nil {
		return false
	}
	return slices.ContainsFunc(f.Proxy.Listeners, func(l ProxyListener) bool { return l.Addr != "" && strconv.Itoa(int(l.Port)) == port })
}
