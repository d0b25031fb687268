package check

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// tooSlow is how long a service may take to be seen as broken.
const tooSlow = 2 * time.Minute

// readyRules are about how it is learnt that a service can serve.
func readyRules() []Rule {
	return []Rule{
		{
			ID: "no-healthcheck", Severity: steady.Warning, many: "services that are called have no healthcheck in these files",
			Title: "a service that is called and has no healthcheck",
			Why:   "Without one, a service counts as ready when its port accepts, or when it has merely stayed up: a release that answers 500 to everything is put in force.",
			Mend:  "healthcheck: {test: [\"CMD\", \"curl\", \"-f\", \"http://localhost:PORT/health\"]}, or x-steady.probe.path: /health",
			each:  noHealthcheck,
		},
		{
			ID: "worker-unprobed", Severity: steady.Notice, many: "services have neither ports nor a healthcheck in these files",
			Title: "a service without ports that has no healthcheck",
			Why:   "All that can be seen of a new one is that a port which its image exposes accepts, or that it stays up for a second.",
			Mend:  "a healthcheck whose command asks the worker, or sees how old its last sign of life is",
			each: func(_ Input, d steady.Declared) []hit {
				return one(!serves(d) && !asked(d) && !mayEnd(d) && database(d) == "" && !isCache(d), d.Path(), d.Service+" has neither ports nor a healthcheck in these files")
			},
		},
		{
			ID: "slow-healthcheck", Severity: steady.Notice, many: "healthchecks take two minutes or more to say unhealthy",
			Title: "a healthcheck that takes two minutes or more to say that a service is broken",
			Why:   "Docker says unhealthy after as many failed checks in a row as retries says, one per interval, and whoever waits for that, such as the watch window, waits as long. Checks that hang take their timeout on top.",
			Mend:  "interval: 10s, retries: 3 and a start_period that fits the service",
			each:  slowHealthcheck,
		},
		{
			ID: "healthcheck-always-passes", Severity: steady.Warning, many: "services have a healthcheck that cannot fail",
			Title: "a healthcheck that cannot fail",
			Why:   "It says healthy whatever the service does, and a broken release is put in force.",
			Mend:  "leave out `|| true` and `exit 0`; curl needs -f to fail on an error status",
			each:  passingHealthcheck,
		},
		{
			ID: "healthcheck-other-port", Severity: steady.Warning,
			Title: "a healthcheck that asks another port than the published ones",
			Why:   "Where nothing listens on the published port, every request is answered with 502 while the healthcheck says healthy.",
			Mend:  "publish the port that the service listens on; where the healthcheck's is one for management only, x-steady.probe: {kind: tcp, port: PORT} asks the published one",
			each:  healthcheckOtherPort,
		},
		{
			ID: "depends-on-started", Severity: steady.Warning, many: "services wait for the start of a database, not until it is healthy",
			Title: "depends_on that waits only for the start of a service with a healthcheck",
			Why:   "The container is there long before the database in it answers; the dependent service fails or must try again by itself.",
			Mend:  "condition: service_healthy",
			each:  dependsOnStarted,
		},
		{
			ID: "job-restarts", Severity: steady.Failure,
			Title: "a job that is restarted when it has completed",
			Why:   "Others wait for it with service_completed_successfully, but its restart policy never lets it end.",
			Mend:  `restart: "no", or on-failure`,
			each: func(_ Input, d steady.Declared) []hit {
				always := d.Restart == "always" || d.Restart == "unless-stopped"
				return one(d.Job && always, d.Path("restart"), d.Service+" is a job with restart: "+d.Restart)
			},
		},
	}
}

// asked says whether anything is known to ask the service.
func asked(d steady.Declared) bool {
	if d.Probe.Cause == "x-steady.probe" || d.Probe.Kind == steady.ProbeHTTP {
		return true
	}
	return d.Health.Declared && !d.Health.Disabled || !d.Health.Declared && d.Dockerfile.HealthcheckStandsHere
}

func noHealthcheck(_ Input, d steady.Declared) []hit {
	if mayEnd(d) || asked(d) || !serves(d) && database(d) == "" {
		return nil
	}
	at, text := d.Path(), d.Service+" has no healthcheck in these files"
	if d.Health.Disabled {
		at, text = d.Path("healthcheck"), d.Service+" has its healthcheck disabled"
	}
	if d.Probe.Port != 0 {
		text += fmt.Sprintf(": it is taken for ready when port %d accepts", d.Probe.Port)
	}
	return one(true, at, text)
}

func slowHealthcheck(_ Input, d steady.Declared) []hit {
	h := d.Health
	if !h.Declared || h.Disabled {
		return nil
	}
	retries := max(h.Retries, 1)
	if h.Retries == 0 {
		retries = 3
	}
	takes := time.Duration(retries) * cmp.Or(h.Interval, 30*time.Second)
	return one(takes >= tooSlow, d.Path("healthcheck"), fmt.Sprintf("the healthcheck of %s says unhealthy after %d failures in a row, one every %s", d.Service, retries, cmp.Or(h.Interval, 30*time.Second)))
}

func passingHealthcheck(_ Input, d steady.Declared) []hit {
	if d.Health.Disabled || len(d.Health.Test) < 2 {
		return nil
	}
	line := strings.Join(d.Health.Test[1:], " ")
	at := d.Path("healthcheck", "test")
	trimmed := strings.TrimRight(line, " ;")
	for _, end := range []string{"|| true", "|| exit 0", "; true", "; exit 0", "|| :"} {
		if strings.HasSuffix(trimmed, end) {
			return one(true, at, fmt.Sprintf("the healthcheck of %s ends with %s", d.Service, end))
		}
	}
	if slices.Contains([]string{"true", ":", "/bin/true", "exit 0"}, trimmed) {
		return one(true, at, "the healthcheck of "+d.Service+" is "+trimmed)
	}
	if curl := asks(d.Health); len(curl) > 0 && !failsOnStatus(curl) {
		return one(true, at, "curl without -f in the healthcheck of "+d.Service+" passes on every status")
	}
	return nil
}

// asks is the curl command with an address that is all of a healthcheck, maybe with
// an "|| exit 1" behind it; nil where its answer goes elsewhere, or it is none.
func asks(h steady.Health) []string {
	calls := [][]string{h.Test[1:]}
	if h.Test[0] == "CMD-SHELL" {
		line := strings.ReplaceAll(strings.Join(h.Test[1:], " "), "||", ";")
		if strings.ContainsAny(line, "|[&") || strings.Contains(line, "$(") {
			return nil
		}
		calls = scriptCalls(line)
	}
	if len(calls) == 0 || path.Base(calls[0][0]) != "curl" || !strings.Contains(strings.Join(calls[0], " "), "://") {
		return nil
	}
	return calls[0]
}

func healthcheckOtherPort(in Input, d steady.Declared) []hit {
	p := d.Probe
	if borrowed(in, d, func(b steady.Borrowed) bool { return b.Kind == steady.ShareNetwork }) {
		return nil // its ports may be opened by those that live in its network
	}
	if p.Kind != steady.ProbeHTTP || !strings.HasPrefix(p.Cause, "healthcheck:") || d.Exposed || among(d, managed) || database(d) != "" {
		return nil
	}
	var targets []string
	for _, port := range d.Published {
		if port.Target == p.Port {
			return nil
		}
		if port.Transport == "tcp" && !slices.Contains(targets, fmt.Sprint(port.Target)) {
			targets = append(targets, fmt.Sprint(port.Target))
		}
	}
	if len(targets) != 1 || !webPort.MatchString(targets[0]) { // one of several may well be for management
		return nil
	}
	return one(true, d.Path("healthcheck", "test"), fmt.Sprintf("the healthcheck of %s asks port %d, and what is published is port %s", d.Service, p.Port, targets[0]))
}

// webPort is one on which applications answer HTTP by custom, as a healthcheck that
// asks for a page does: others may speak something else.
var webPort = regexp.MustCompile(`^(?:80|443|1337|30\d\d|4000|4200|5000|5173|8\d\d\d|9000)$`)

// managed images tell their health on a port of its own.
var managed = []string{"keycloak", "traefik", "envoy", "nats", "haproxy", "consul", "synapse", "mailcow-dockerized", "emqx", "pulsar", "gitlab-ce", "gitlab-ee"}

func failsOnStatus(words []string) bool {
	for _, w := range words {
		short := strings.HasPrefix(w, "-") && !strings.HasPrefix(w, "--")
		if short && strings.Contains(w, "f") || strings.HasPrefix(w, "--fail") {
			return true
		}
	}
	return false
}

func dependsOnStarted(in Input, d steady.Declared) []hit {
	var out []hit
	for _, dep := range d.DependsOn {
		i := slices.IndexFunc(in.Services, func(s steady.Declared) bool { return s.Service == dep.Service })
		if i < 0 || dep.Condition != "service_started" {
			continue
		}
		on := in.Services[i]
		waits := on.Health.Declared && !on.Health.Disabled && (database(on) != "" || isCache(on))
		out = append(out, one(waits, d.Path("depends_on", dep.Service), fmt.Sprintf("%s waits for the start of %s, not until it is healthy", d.Service, dep.Service))...)
	}
	return out
}
