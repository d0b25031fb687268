package doctor

import (
	"fmt"
	"net"
	"slices"

	"gesalpai.ch/steady"
)

func trafficRules() []Rule {
	return []Rule{
		{
			ID: "upstream-dead", Severity: steady.Failure,
			Title: "traffic that goes to a replica on which nobody listens",
			Why:   "Visitors get 502.",
			Mend:  "steady status; steady logs SERVICE; steady deploy --force SERVICE",
			find: func(f Facts) []hit {
				if f.Proxy == nil {
					return nil
				}
				var out []hit
				for _, u := range f.Proxy.Upstreams {
					answers, tried := f.Dials[u.Addr]
					out = append(out, one(tried && !answers, fmt.Sprintf("the proxy sends requests to %s at %s, where nobody listens", u.Name, u.Addr))...)
				}
				return out
			},
		},
		{
			ID: "port-taken", Severity: steady.Failure,
			Title: "a port of the Compose file that somebody else holds",
			Why:   "The service cannot be published there, and its deploy fails.",
			Mend:  "stop who holds it, or publish another port",
			find:  portsTaken,
		},
		{
			ID: "port-past-firewall", Severity: steady.Warning,
			Title: "a port that Docker publishes past the firewall",
			Why:   "Docker's own rules send what comes to a published port on before the firewall's input rules see it: the port is open to the world whatever the firewall says.",
			Mend:  `publish it to this machine only ("127.0.0.1:8080:80"), or let steady publish it: steady deploy`,
			find:  pastFirewall,
		},
		{
			ID: "port-behind-firewall", Severity: steady.Notice,
			Title: "a port of the proxy behind a firewall",
			Why:   "The proxy listens like any program, so the firewall decides who reaches it. Where it is meant for visitors, the firewall must let them through.",
			Mend:  "sudo ufw allow PORT/tcp, if visitors are to reach it without a front",
			find:  behindFirewall,
		},
	}
}

// portsTaken leaves out the proxy itself, and the containers of the project that
// docker compose made: a deploy takes over from them.
func portsTaken(f Facts) []hit {
	if f.Survey == nil {
		return nil
	}
	var out []hit
	for _, d := range f.Survey.Services {
		if !f.about(f.Survey.Project, d.Service) {
			continue
		}
		for _, p := range d.Published {
			i := slices.IndexFunc(f.Ports, func(t TakenPort) bool { return t.Port == p.Published && t.Host == p.HostIP })
			if i < 0 || p.Transport != "tcp" || f.ours(f.Ports[i].Who, p.Published, d) {
				continue
			}
			out = append(out, hit{
				service: d.Service, path: p.Path,
				text: fmt.Sprintf("port %d of %s is held by %s", p.Published, d.Service, f.name(f.Ports[i].Who)),
			})
		}
	}
	return out
}

// ours says whether the one who listens is the proxy, or stands for the service.
func (f Facts) ours(who Listener, port uint16, d steady.Declared) bool {
	// The daemon holds a copy of every listener of the proxy's, so the process found
	// may be either.
	if f.bound(port) || f.Proxy == nil && who.Command == "steady" {
		return true
	}
	c, ok := f.behind(who)
	if ok && c.Project == d.Project && c.Service == d.Service {
		return true
	}
	return f.hostNetwork(who, d)
}

// bound says whether the proxy listens on the port.
func (f Facts) bound(port uint16) bool {
	return f.Proxy != nil && slices.ContainsFunc(f.Proxy.Listeners, func(l ProxyListener) bool {
		return l.Addr != "" && l.Port == port && l.Error == ""
	})
}

// hostNetwork: a container in the host's network listens by itself.
func (f Facts) hostNetwork(who Listener, d steady.Declared) bool {
	if f.Engine == nil {
		return false
	}
	return slices.ContainsFunc(f.Engine.Containers, func(c steady.ExaminedContainer) bool {
		return c.HostNet && c.PID == who.PID && c.Project == d.Project && c.Service == d.Service
	})
}

// behind is the container for which Docker's proxy listens.
func (f Facts) behind(who Listener) (steady.ExaminedContainer, bool) {
	if f.Engine == nil || who.Docker == "" {
		return steady.ExaminedContainer{}, false
	}
	host, _, err := net.SplitHostPort(who.Docker)
	if err != nil {
		return steady.ExaminedContainer{}, false
	}
	for _, c := range f.Engine.Containers {
		for _, addr := range c.Addresses {
			if addr == host {
				return c, true
			}
		}
	}
	return steady.ExaminedContainer{}, false
}

// name is who listens, for a person.
func (f Facts) name(who Listener) string {
	if c, ok := f.behind(who); ok {
		return "container " + c.Name
	}
	if who.Command == "" {
		return "another process"
	}
	return fmt.Sprintf("%s (pid %d)", who.Command, who.PID)
}

func pastFirewall(f Facts) []hit {
	if f.Host.Firewall == "" || f.Engine == nil {
		return nil
	}
	var out []hit
	for _, c := range f.Engine.Containers {
		if f.Project != "" && !f.about(c.Project, c.Service) || !c.Running() {
			continue
		}
		for _, p := range c.Published {
			if p.HostIP == "" && p.Published != 0 {
				out = append(out, hit{service: c.Service, text: fmt.Sprintf("port %d of %s is open to the world, past %s", p.Published, c.Name, f.Host.Firewall)})
			}
		}
	}
	return out
}

func behindFirewall(f Facts) []hit {
	if f.Host.Firewall == "" || f.Proxy == nil {
		return nil
	}
	var out []hit
	for _, l := range f.Proxy.Listeners {
		open := l.Addr != "" && (l.Host == "" || l.Host == "0.0.0.0" || l.Host == "::")
		h := one(open, fmt.Sprintf("port %d is steady's, and %s decides who reaches it", l.Port, f.Host.Firewall))
		for i := range h {
			if f.Host.Firewall == "ufw" {
				h[i].mend = fmt.Sprintf("sudo ufw allow %d/tcp, if visitors are to reach it without a front", l.Port)
			}
		}
		out = append(out, h...)
	}
	return out
}
