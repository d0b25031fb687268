package check

import (
	"fmt"
	"net/netip"
	"slices"

	"gesalpai.ch/steady"
)

// reachRules are about who reaches a service, and how.
func reachRules() []Rule {
	return []Rule{
		{
			ID: "database-published", Severity: steady.Warning,
			Title: "a database, or a console of one, published to the world",
			Why:   "Docker's own rules let published ports past ufw and firewalld, and steady listens on all addresses too: whoever finds the port may try passwords.",
			Mend:  `publish it to this machine only: "127.0.0.1:5432:5432", or not at all: services reach each other by name`,
			each:  databasePublished,
		},
		{
			ID: "published-to-world", Severity: steady.Notice,
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
			ID: "port-unnamed", Severity: steady.Notice,
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

// networkRules are about networks and what steady does not relay.
func networkRules() []Rule {
	return []Rule{
		{
			ID: "udp-port", Severity: steady.Failure,
			Title: "a published UDP port",
			Why:   "steady relays TCP only so far and refuses to deploy the service.",
			Mend:  "leave the service to docker compose, or publish the port without udp",
			each: func(_ Input, d steady.Declared) []hit {
				var out []hit
				for _, p := range d.Published {
					out = append(out, one(p.Transport == "udp", p.Path, fmt.Sprintf("%s publishes udp port %d", d.Service, p.Published))...)
				}
				return out
			},
		},
		{
			ID: "external-network", Severity: steady.Notice,
			Title: "an external network",
			Why:   "It must be there before a deploy, and steady neither makes nor removes it. Engines can only give a container its address back in a network whose subnet was declared; in others names are given to a new container before it is ready.",
			Mend:  "docker network create --subnet 10.99.0.0/24 NAME",
			all: func(in Input) []hit {
				var out []hit
				for _, n := range in.Networks {
					out = append(out, one(n.External, "networks."+n.Key, fmt.Sprintf("network %s is external: it must be there, with a declared subnet", n.Name))...)
				}
				return out
			},
		},
		{
			ID: "fixed-address", Severity: steady.Notice,
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
func local(p steady.DeclaredPort) bool {
	ip, err := netip.ParseAddr(p.HostIP)
	return err == nil && !ip.IsUnspecified()
}

func databasePublished(_ Input, d steady.Declared) []hit {
	if database(d) == "" && !isCache(d) && !among(d, consoles) {
		return nil
	}
	var out []hit
	for _, p := range d.Published {
		out = append(out, one(!local(p), p.Path, fmt.Sprintf("%s is published on port %d of all addresses", d.Service, p.Published))...)
	}
	return out
}

// webPorts are meant for the world.
var webPorts = []uint16{80, 443}

func publishedToWorld(_ Input, d steady.Declared) []hit {
	if database(d) != "" || isCache(d) || among(d, consoles) {
		return nil
	}
	var out []hit
	for _, p := range d.Published {
		world := !local(p) && p.Published != 0 && !slices.Contains(webPorts, p.Published)
		out = append(out, one(world, p.Path, fmt.Sprintf("port %d of %s is open to whoever reaches this host", p.Published, d.Service))...)
	}
	return out
}

// taken is one published port and who publishes it.
type taken struct {
	service string
	steady.DeclaredPort
}

func portTwice(in Input) []hit {
	var all []taken
	var out []hit
	for _, d := range in.Services {
		for _, p := range d.Published {
			out = append(out, collisions(all, taken{d.Service, p})...)
			all = append(all, taken{d.Service, p})
		}
	}
	return out
}

func collisions(all []taken, next taken) []hit {
	var out []hit
	for _, t := range all {
		if t.service != next.service && collide(t.DeclaredPort, next.DeclaredPort) {
			out = append(out, hit{
				service: next.service, path: next.Path, text: fmt.Sprintf("%s and %s both publish port %d", t.service, next.service, next.Published),
			})
		}
	}
	return out
}

// collide says whether two services cannot both have their port.
func collide(a, b steady.DeclaredPort) bool {
	apart := local(a) && local(b) && a.HostIP != b.HostIP
	return a.Published != 0 && a.Published == b.Published && a.Transport == b.Transport && !apart
}
