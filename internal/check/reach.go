package check

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// reachRules are about who reaches a service, and how.
func reachRules() []Rule {
	return []Rule{
		{
			ID: "database-published", Severity: steady.Warning,
			Title: "a database, or a console of one, published to the world",
			Why:   "Docker's own rules let published ports past ufw and firewalld, and steady listens on all addresses too: whoever finds the port may try passwords.",
			Mend:  "publish it to this machine only, or not at all: services reach each other by name",
			each:  databasePublished,
		},
		{
			ID: "published-to-world", Severity: steady.Notice, many: "services are open to whoever reaches this host",
			Title: "a port other than 80 and 443 published on all addresses",
			Why:   "Anyone who reaches this host reaches the service, past a front such as nginx and what it asks of visitors.",
			Mend:  "behind a front: publish to 127.0.0.1 only",
			each:  publishedToWorld,
		},
		{
			ID: "port-twice", Severity: steady.Failure,
			Title: "two services that publish the same port",
			Why:   "Only one can have it; the deploy fails.",
			Mend:  "give one of them another port",
			all:   portTwice,
		},
		{
			ID: "port-unnamed", Severity: steady.Notice, many: "services are published on ports of steady's choice",
			Title: "a port published without saying where",
			Why:   "docker compose picks another port each time. steady chooses one, once.",
			Mend:  `name it: "8080:80"`,
			each: func(_ Input, d steady.Declared) []hit {
				var out []hit
				for _, p := range d.Published {
					out = append(out, one(p.Published == 0, p.Path, fmt.Sprintf("container port %d of %s is published on a port of steady's choice", p.Target, d.Service))...)
				}
				return out
			},
		},
	}
}

// networkRules are about networks.
func networkRules() []Rule {
	return []Rule{
		{
			ID: "external-network", Severity: steady.Notice, many: "networks are external: they must be there, with a declared subnet",
			Title: "an external network",
			Why:   "It must be there before a deploy, and steady neither makes nor removes it. Engines can only give a container its address back in a network whose subnet was declared; in others names are given to a new container before it is ready.",
			Mend:  "docker network create --subnet 10.99.0.0/24 NAME",
			all: func(in Input) []hit {
				var out []hit
				for _, n := range in.Networks {
					if n.External {
						out = append(out, hit{path: "networks." + n.Key, name: n.Name, text: fmt.Sprintf("network %s is external: it must be there, with a declared subnet", n.Name)})
					}
				}
				return out
			},
		},
		{
			ID: "fixed-address", Severity: steady.Notice, many: "services have a fixed address",
			Title: "a fixed address in a network",
			Why:   "Two containers cannot have it: with plain docker compose, and with x-steady.internal: off, the old one must go first. With steady the service's holder has it.",
			Mend:  "call the service by its name",
			each: func(_ Input, d steady.Declared) []hit {
				var out []hit
				for _, key := range d.FixedAddress {
					out = append(out, hit{path: d.Path("networks", key), text: fmt.Sprintf("%s has a fixed address in network %s", d.Service, key)})
				}
				return out
			},
		},
	}
}

// local says whether a port is published to this machine, or to one chosen address.
func local(p steady.Port) bool {
	ip, err := netip.ParseAddr(p.HostIP)
	return err == nil && !ip.IsUnspecified()
}

func databasePublished(_ Input, d steady.Declared) []hit {
	if !guarded(d) {
		return nil
	}
	var open, mend []string
	at := ""
	for _, p := range d.Published {
		if local(p.Port) {
			continue
		}
		at = cmp.Or(at, p.Path)
		if p.Published == 0 { // of steady's choice
			open, mend = append(open, "a port of steady's choice"), append(mend, fmt.Sprintf(`"127.0.0.1::%d"`, p.Target))
			continue
		}
		open, mend = append(open, fmt.Sprintf("port %d", p.Published)), append(mend, fmt.Sprintf(`"127.0.0.1:%d:%d"`, p.Published, p.Target))
	}
	if at == "" {
		return nil
	}
	return []hit{{
		path: at, text: fmt.Sprintf("%s is published on %s of all addresses", d.Service, strings.Join(open, " and ")),
		mend: fmt.Sprintf("publish it to this machine only: ports: [%s], or not at all: services reach each other by name", strings.Join(mend, ", ")),
	}}
}

// guarded services are not for visitors: databases, caches and their consoles. Those
// among them whose API is made for browsers and the open network are left out.
func guarded(d steady.Declared) bool {
	return database(d) != "" && !slices.Contains(openly, database(d)) || isCache(d) || among(d, consoles)
}

// webPorts are meant for the world.
var webPorts = []uint16{80, 443}

func publishedToWorld(_ Input, d steady.Declared) []hit {
	if guarded(d) {
		return nil
	}
	var out []hit
	for _, p := range d.Ranges() {
		world := !local(p.Port) && p.Published != 0 && (p.More > 0 || !slices.Contains(webPorts, p.Published))
		out = append(out, one(world, p.Path, fmt.Sprintf("port %s of %s is open to whoever reaches this host", p, d.Service))...)
	}
	return out
}

func portTwice(in Input) []hit {
	var out []hit
	for i, d := range in.Services {
		for _, other := range in.Services[:i] {
			if other.Service != d.Service && !exclusive(in, other, d) {
				out = append(out, collisions(other, d)...)
			}
		}
	}
	return out
}

// collisions are the ports of two services of which only one can have each; those of a
// range are told at once.
func collisions(first, next steady.Declared) []hit {
	both := next
	both.Published = slices.DeleteFunc(slices.Clone(next.Published), func(p steady.DeclaredPort) bool {
		return !slices.ContainsFunc(first.Published, func(q steady.DeclaredPort) bool { return collide(q, p) })
	})
	var out []hit
	for _, p := range both.Ranges() {
		out = append(out, hit{service: next.Service, path: p.Path, text: fmt.Sprintf("%s and %s both publish port %s", first.Service, next.Service, p)})
	}
	return out
}

// family4 says whether a port is published to an address of IPv4.
func family4(p steady.DeclaredPort) bool {
	ip, err := netip.ParseAddr(p.HostIP)
	return err == nil && ip.Is4()
}

// collide says whether two services cannot both have their port.
func collide(a, b steady.DeclaredPort) bool {
	apart := local(a.Port) && local(b.Port) && a.HostIP != b.HostIP || family4(a) != family4(b) && a.HostIP != "" && b.HostIP != ""
	return a.Published != 0 && a.Published == b.Published && a.Transport == b.Transport && !apart
}
