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
			ID: "container-name", Severity: steady.Notice, many: "services have a container_name",
			Title: "container_name",
			Why:   "With plain docker compose only one container can have the name, so the old one must go before the new one can start. steady names its containers itself and keeps the name as an alias in the networks.",
			Mend:  "take it out; until then docker exec NAME needs the container's own name: steady status",
			each: func(in Input, d steady.Declared) []hit {
				if borrowed(in, d, func(b steady.Borrowed) bool { return b.Container == d.ContainerName }) {
					return nil // another service names the container by it
				}
				text := fmt.Sprintf("%s has container_name: %s", d.Service, d.ContainerName)
				if d.Replicas > 1 {
					text += fmt.Sprintf(", which docker compose refuses with %d replicas", d.Replicas)
				}
				return one(d.ContainerName != "", d.Path("container_name"), text)
			},
		},
		{
			ID: "host-network", Severity: steady.Warning, many: "services live in the host's network",
			Title: "network_mode: host",
			Why:   "Old and new would listen on the same ports, so the old one is stopped first and nobody answers meanwhile; nothing of it goes through the proxy, so nothing is drained.",
			Mend:  "publish the ports that it needs under ports:",
			each: func(_ Input, d steady.Declared) []hit {
				return one(d.NetworkMode == "host", d.Path("network_mode"), d.Service+" lives in the host's network")
			},
		},
		{
			ID: "foreign-namespace", Severity: steady.Warning, many: "services share with containers that are not this project's",
			Title: "a namespace or volumes of a container that is not the project's",
			Why:   "What is shared ends with the container that lends it. Of this project's containers steady takes care: what shares with one is replaced with it. A container of another project it does not follow: when that is replaced or restarted, what shares with it is left without, for example, a network.",
			Mend:  "steady deploy SERVICE --force whenever that container was replaced",
			each: func(in Input, d steady.Declared) []hit {
				var out []hit
				for _, b := range d.Borrows {
					out = append(out, one(b.Service == "", d.Path(b.Key), fmt.Sprintf("%s shares the %s of container %s, which is not this project's", d.Service, b.Kind, b.Container))...)
				}
				return out
			},
		},
		{
			ID: "shared-replicas", Severity: steady.Failure,
			Title: "a service in the network of one with several replicas",
			Why:   "Only one of the replicas would have it in its network, and the others answer nothing on its ports; steady refuses to deploy it.",
			Mend:  "one replica of the service whose network is shared",
			each: func(in Input, d steady.Declared) []hit {
				var out []hit
				for _, b := range d.Borrows {
					i := slices.IndexFunc(in.Services, func(o steady.Declared) bool { return o.Service == b.Service })
					if i >= 0 && b.Kind == steady.ShareNetwork && in.Services[i].Replicas > 1 {
						out = append(out, hit{path: d.Path(b.Key), text: fmt.Sprintf("%s lives in the network of %s, which has %d replicas", d.Service, b.Service, in.Services[i].Replicas)})
					}
				}
				return out
			},
		},
		{
			ID: "depends-on-restart", Severity: steady.Notice,
			Title: "depends_on with restart: true",
			Why:   "docker compose restarts the dependent service whenever the other one is replaced: a second outage. steady does not: names keep their address, so there is no need.",
			Mend:  "take restart: true out",
			each: func(_ Input, d steady.Declared) []hit {
				var out []hit
				for _, on := range d.Follows {
					if slices.ContainsFunc(d.Borrows, func(b steady.Borrowed) bool { return b.Service == on }) {
						continue // docker compose must restart what shares, and so does steady
					}
					out = append(out, hit{path: d.Path("depends_on", on, "restart"), text: fmt.Sprintf("docker compose would restart %s with each release of %s", d.Service, on)})
				}
				return out
			},
		},
	}
}

// borrowed says whether another service shares something with one, such that the
// condition holds.
func borrowed(in Input, d steady.Declared, such func(steady.Borrowed) bool) bool {
	return slices.ContainsFunc(in.Services, func(o steady.Declared) bool {
		return slices.ContainsFunc(o.Borrows, func(b steady.Borrowed) bool { return b.Service == d.Service && such(b) })
	})
}

// besideRules are about what must not run twice, and what finds its way around steady.
func besideRules() []Rule {
	return []Rule{
		{
			ID: "cron-inside", Severity: steady.Warning, many: "services run a scheduler beside what they serve",
			Title: "a scheduler within a service that is called",
			Why:   "While old and new stand side by side, both schedulers run and each job runs twice; with several replicas always.",
			Mend:  "make the scheduler a service of its own, with deploy.update_config.order: stop-first",
			each: func(in Input, d steady.Declared) []hit {
				r := runs(d)
				w := scheduler(r)
				return one(w != "" && serves(d) && !stopFirst(in, d), r.path, fmt.Sprintf("%s runs %s beside what it serves", d.Service, w))
			},
		},
		{
			ID: "migration-inside", Severity: steady.Warning,
			Title: "a migration in the command of a service that serves",
			Why:   "The new one changes the database while the old one still serves from it, every replica does it at once, and each restart does it again.",
			Mend:  "let x-steady.hooks.before run it once, before any new replica is there, or make it a service of its own that others wait for (service_completed_successfully); change the schema so that the old release still works",
			each: func(_ Input, d steady.Declared) []hit {
				r := runs(d)
				w := migrates(r)
				return one(w != "" && !d.Job && (!mayEnd(d) || servesLast(r)), r.path, fmt.Sprintf("%s runs %s before it serves", d.Service, named(w)))
			},
		},
		{
			ID: "static-upstream", Severity: steady.Warning,
			Title: "a proxy container before services whose addresses change",
			Why:   "With x-steady.internal: off each release has another address. nginx and its like look names up when they start, unless told otherwise, and then answer 502 until they are reloaded.",
			Mend:  "take internal: off out, or in nginx: a resolver 127.0.0.11 and a variable in proxy_pass",
			each:  staticUpstream,
		},
		{
			ID: "docker-driven-proxy", Severity: steady.Warning,
			Title: "a proxy that finds its upstreams through the Docker Engine",
			Why:   "It sends requests straight to containers, past steady: they are not drained, and a new container without a healthcheck gets them as soon as it runs, ready or not.",
			Mend:  "point it at the service's name, or let steady publish the port",
			each: func(_ Input, d steady.Declared) []hit {
				return one(among(d, driven) && dockerSocket(d) != "", d.Path("image"), d.Service+" takes its upstreams from the Engine")
			},
		},
		{
			ID: "auto-updater", Severity: steady.Warning, many: "containers replace or restart others by themselves",
			Title: "a container that replaces or restarts others by itself",
			Why:   "It stops first and starts then, behind steady's back; steady puts its own containers back.",
			Mend:  "take it out, or have it leave this project's containers alone",
			each: func(_ Input, d steady.Declared) []hit {
				return one(among(d, updaters) && !onlyWatches(d), d.Path("image"), d.Service+" replaces or restarts containers by itself")
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
	migration = regexp.MustCompile(`db:migrate|db:prepare|\bmigrate\b|migrations?[: ](?:run|migrate|up)|alembic\s+(?:-\S+\s+)*upgrade|db upgrade|prisma db push|ecto\.migrate|liquibase update|flyway migrate|\bdb:setup\b`)
)

// migrates is the migration that a script runs before its last command.
func migrates(r running) string {
	calls := r.calls()
	for _, argv := range calls[:max(len(calls)-1, 0)] {
		if w := migration.FindString(strings.Join(argv, " ")); w != "" && !slices.Contains(builtins, argv[0]) {
			return w
		}
	}
	return ""
}

// servers are programs, or their arguments, that answer requests.
var servers = regexp.MustCompile(`\b(?:gunicorn|uvicorn|daphne|hypercorn|puma|unicorn|rails s|node|start|serve|server|caddy|nginx|apache2-foreground|php-fpm|supervisord)\b`)

// servesLast says whether the last command of a script is a server, as far as its
// name tells.
func servesLast(r running) bool {
	calls := r.calls()
	return len(calls) > 0 && servers.MatchString(strings.Join(calls[len(calls)-1], " "))
}

// onlyWatches: an updater that is told to report and nothing else.
func onlyWatches(d steady.Declared) bool {
	return slices.Contains(runs(d).argv, "--monitor-only") ||
		slices.ContainsFunc(d.Environment, func(v steady.Variable) bool { return v.Name == "WATCHTOWER_MONITOR_ONLY" })
}

func staticUpstream(in Input, d steady.Declared) []hit {
	if !among(d, fronts) || len(d.Published) == 0 {
		return nil
	}
	var behind []string
	for _, other := range in.Services {
		if other.Service != d.Service && other.Internal == "off" && !other.Job && len(other.Published) == 0 && together(d, other) {
			behind = append(behind, other.Service)
		}
	}
	text := fmt.Sprintf("%s stands before %s, whose address changes with each release", d.Service, strings.Join(behind, ", "))
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
