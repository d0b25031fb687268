package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// replaceRules are about what happens while an old and a new one exchange places.
func replaceRules() []Rule {
	return []Rule{
		{
			ID: "container-name", Severity: steady.Notice,
			Title: "container_name",
			Why:   "With plain docker compose only one container can have the name, so the old one must go before the new one can start. steady names its containers itself and keeps the name as an alias in the networks.",
			Mend:  "take it out; until then docker exec NAME needs the container's own name: steady status",
			each: func(_ Input, d steady.Declared) []hit {
				text := fmt.Sprintf("%s has container_name: %s", d.Service, d.ContainerName)
				if d.Replicas > 1 {
					text += fmt.Sprintf(", which docker compose refuses with %d replicas", d.Replicas)
				}
				return one(d.ContainerName != "", d.Path("container_name"), text)
			},
		},
		{
			ID: "host-network", Severity: steady.Warning,
			Title: "network_mode: host",
			Why:   "Old and new would listen on the same ports, so the old one is stopped first and nobody answers meanwhile; nothing of it goes through the proxy, so nothing is drained.",
			Mend:  "publish the ports that it needs under ports:",
			each: func(_ Input, d steady.Declared) []hit {
				return one(d.NetworkMode == "host", d.Path("network_mode"), d.Service+" lives in the host's network")
			},
		},
		{
			ID: "shared-namespace", Severity: steady.Warning,
			Title: "network_mode: service:… or container:…",
			Why:   "It lives in another container's network: it is replaced stop-first, and loses its network whenever the other one is replaced.",
			Mend:  "give it the networks that both need",
			each: func(_ Input, d steady.Declared) []hit {
				_, other, within := strings.Cut(d.NetworkMode, ":")
				return one(within, d.Path("network_mode"), fmt.Sprintf("%s lives in the network of %s", d.Service, other))
			},
		},
		{
			ID: "depends-on-restart", Severity: steady.Warning,
			Title: "depends_on with restart: true",
			Why:   "docker compose restarts the dependent service whenever the other one is replaced: a second outage. steady does not: names keep their address, so there is no need.",
			Mend:  "take restart: true out",
			each: func(_ Input, d steady.Declared) []hit {
				var out []hit
				for _, on := range d.Follows {
					out = append(out, hit{path: d.Path("depends_on", on, "restart"), text: fmt.Sprintf("docker compose would restart %s with each release of %s", d.Service, on)})
				}
				return out
			},
		},
	}
}

// besideRules are about what must not run twice, and what finds its way around steady.
func besideRules() []Rule {
	return []Rule{
		{
			ID: "cron-inside", Severity: steady.Warning,
			Title: "a scheduler within a service that is called",
			Why:   "While old and new stand side by side, both schedulers run and each job runs twice; with several replicas always.",
			Mend:  "make the scheduler a service of its own, with deploy.update_config.order: stop-first",
			each: func(_ Input, d steady.Declared) []hit {
				r := runs(d)
				w := scheduler.FindString(r.words())
				return one(w != "" && serves(d), r.path, fmt.Sprintf("%s runs %s beside what it serves", d.Service, named(w)))
			},
		},
		{
			ID: "migration-inside", Severity: steady.Warning,
			Title: "a migration in the command of a service that serves",
			Why:   "The new one changes the database while the old one still serves from it, every replica does it at once, and each restart does it again.",
			Mend:  "let x-steady.hooks.before run it once, before any new replica is there, or make it a service of its own that others wait for (service_completed_successfully); change the schema so that the old release still works",
			each: func(_ Input, d steady.Declared) []hit {
				r := runs(d)
				w := migration.FindString(r.words())
				return one(w != "" && !d.Job && more.MatchString(r.words()), r.path, fmt.Sprintf("%s runs %s before it serves", d.Service, named(w)))
			},
		},
		{
			ID: "static-upstream", Severity: steady.Notice,
			Title: "a proxy container before services of the same file",
			Why:   "nginx and its like look a name up when they start. With plain docker compose the address is another one after each release, and the proxy answers 502 until it is reloaded. With steady the name keeps its address, unless x-steady.internal is off.",
			Mend:  "nothing with steady; with docker compose: a resolver 127.0.0.11 and a variable in proxy_pass",
			each:  staticUpstream,
		},
		{
			ID: "docker-driven-proxy", Severity: steady.Warning,
			Title: "a proxy that finds its upstreams through the Docker Engine",
			Why:   "It sees a new container as soon as it runs, ready or not, and sends requests straight to containers, past steady: they are neither held back until ready nor drained.",
			Mend:  "point it at the service's name, or let steady publish the port",
			each: func(_ Input, d steady.Declared) []hit {
				return one(among(d, driven) && dockerSocket(d) != "", d.Path("image"), d.Service+" takes its upstreams from the Engine")
			},
		},
		{
			ID: "auto-updater", Severity: steady.Warning,
			Title: "a container that replaces or restarts others by itself",
			Why:   "It stops first and starts then, behind steady's back; steady puts its own containers back.",
			Mend:  "take it out, or have it leave this project's containers alone",
			each: func(_ Input, d steady.Declared) []hit {
				return one(among(d, updaters), d.Path("image"), d.Service+" replaces containers by itself")
			},
		},
		{
			ID: "replicas-need-steady", Severity: steady.Notice,
			Title: "several replicas and a published port",
			Why:   "docker compose up starts one of them and fails on the others: the port is taken. steady publishes the port itself and spreads requests over them.",
			Mend:  "nothing, as long as the service is deployed with steady deploy",
			each: func(_ Input, d steady.Declared) []hit {
				return one(d.Replicas > 1 && len(d.Published) > 0 && d.Published[0].Published != 0, d.Path("deploy", "replicas"), fmt.Sprintf("%d replicas of %s share a published port", d.Replicas, d.Service))
			},
		},
	}
}

var (
	scheduler = regexp.MustCompile(`(?:^|[\s/;&|])(?:crond?|supercronic|ofelia|supervisord|celery\b.*\bbeat|celery\b.*\bworker\b.*\s-B\b|schedule:work|clockwork|whenever)(?:\s|;|&|$)`)
	migration = regexp.MustCompile(`db:migrate|db:prepare|\bmigrate\b|migrations?[: ](?:run|migrate|up)|alembic\s+(?:-\S+\s+)*upgrade|db upgrade|prisma db push|ecto\.migrate|liquibase update|flyway migrate|\bdb:setup\b`)
	more      = regexp.MustCompile(`&&|;|\n|\|\|`) // there is another command
)

func staticUpstream(in Input, d steady.Declared) []hit {
	if !among(d, fronts) || len(d.Published) == 0 {
		return nil
	}
	var behind []string
	for _, other := range in.Services {
		if other.Service != d.Service && !other.Job && len(other.Published) == 0 && database(other) == "" && !isCache(other) && together(d, other) {
			behind = append(behind, other.Service)
		}
	}
	text := fmt.Sprintf("%s looks up %s when it starts", d.Service, strings.Join(behind, ", "))
	return one(len(behind) > 0, d.Path("image"), text)
}

func together(a, b steady.Declared) bool {
	return slices.ContainsFunc(a.Attached, func(n string) bool { return slices.Contains(b.Attached, n) })
}

// dockerSocket is the path of the entry that hands the Engine's socket over.
func dockerSocket(d steady.Declared) string {
	for _, m := range d.Mounts {
		if strings.HasSuffix(m.Source, "/docker.sock") {
			return m.Path
		}
	}
	return ""
}
