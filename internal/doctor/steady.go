package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

func steadyRules() []Rule {
	return []Rule{
		{
			ID: "daemon-away", Severity: steady.Failure,
			Title: "no steady daemon answers",
			Why:   "Nothing can be deployed, and a replica that dies or comes back is not noticed. The proxy serves on what it last knew.",
			Mend:  "sudo systemctl start steady, or sudo steady daemon",
			find: func(f Facts) []hit {
				if f.DaemonError == nil {
					return nil
				}
				return []hit{{text: f.DaemonError.Text}}
			},
		},
		{
			ID: "proxy-away", Severity: steady.Failure,
			Title: "no proxy answers",
			Why:   "Nobody listens on the published ports: visitors are refused.",
			Mend:  "sudo systemctl start steady-proxy, or start the daemon, which starts it: sudo steady daemon",
			find: func(f Facts) []hit {
				if f.ProxyError == nil {
					return nil
				}
				text, _, _ := strings.Cut(f.ProxyError.Text, ": Get ") // the HTTP client's words say no more
				return []hit{{text: text}}
			},
		},
		{
			ID: "versions-differ", Severity: steady.Warning,
			Title: "a daemon of another version than this command",
			Why:   "The binary was replaced and the daemon still runs the old one; they may not understand each other.",
			Mend:  "sudo systemctl restart steady (it interrupts nothing)",
			find: func(f Facts) []hit {
				if f.Daemon == nil || f.Version == "" {
					return nil
				}
				return one(f.Daemon.Version != f.Version, fmt.Sprintf("the daemon is %s and this command is %s", f.Daemon.Version, f.Version))
			},
		},
		{
			ID: "listener-closed", Severity: steady.Failure,
			Title: "a published port on which the proxy cannot listen",
			Why:   "The table in force has it, and visitors are refused. The proxy tries again every second.",
			Mend:  "stop who holds it: sudo ss -ltnp",
			find: func(f Facts) []hit {
				var out []hit
				if f.Proxy == nil {
					return nil
				}
				for _, l := range f.Proxy.Listeners {
					out = append(out, one(l.Error != "", "the proxy cannot listen on "+l.Addr+": "+l.Error)...)
				}
				return out
			},
		},
	}
}

// leftoverRules are about what nobody looks after any more.
func leftoverRules() []Rule {
	return []Rule{
		{
			ID: "holder-left", Severity: steady.Warning,
			Title: "a holder of a service that has no container any more",
			Why:   "It keeps the service's names in the networks, and calls to them end nowhere. The project's networks cannot be removed.",
			Mend:  "docker rm -f the container, or steady down for the project",
			find:  holdersLeft,
		},
		{
			ID: "project-unknown", Severity: steady.Warning,
			Title: "containers that steady made, of a project that the daemon does not know",
			Why:   "Another daemon deployed them, or its store was lost together with the proxy's table. Nobody routes to them, replaces them or removes them.",
			Mend:  "steady deploy all, where the project's Compose file is; or remove them: docker rm -f",
			find:  strangers,
		},
	}
}

// strangers names each project once.
func strangers(f Facts) []hit {
	if f.Daemon == nil {
		return nil
	}
	n := map[string]int{}
	for _, c := range f.containers() {
		if c.Release > 0 && !slices.Contains(f.Daemon.Projects, c.Project) {
			n[c.Project]++
		}
	}
	var out []hit
	for _, project := range slices.Sorted(maps.Keys(n)) {
		out = append(out, hit{text: fmt.Sprintf("the daemon does not know project %s, of which steady made containers: %d", project, n[project])})
	}
	return out
}

func holdersLeft(f Facts) []hit {
	if f.Engine == nil {
		return nil
	}
	type key struct{ project, service string }
	there := map[key]bool{}
	for _, c := range f.Engine.Containers {
		if c.Holder == "" {
			there[key{c.Project, c.Service}] = true
		}
	}
	var out []hit
	for _, c := range f.Engine.Containers {
		if c.Holder == "" || !f.about(c.Project, c.Holder) || there[key{c.Project, c.Holder}] {
			continue
		}
		out = append(out, hit{
			service: c.Holder, text: fmt.Sprintf("%s holds the names of %s/%s, of which no container is there", c.Name, c.Project, c.Holder),
			mend: "docker rm -f " + c.Name,
		})
	}
	return out
}
