package check

import (
	"fmt"
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
			ID: "no-healthcheck", Severity: steady.Warning,
			Title: "a service that is called and has no healthcheck",
			Why:   "Without one, a service counts as ready when its port accepts, or when it has merely stayed up: a release that answers 500 to everything is put in force.",
			Mend:  "healthcheck: {test: [\"CMD\", \"curl\", \"-f\", \"http://localhost:PORT/health\"]}, or x-steady.probe.path: /health",
			each:  noHealthcheck,
		},
		{
			ID: "worker-unprobed", Severity: steady.Notice,
			Title: "a service without ports that has no healthcheck",
			Why:   "All that can be seen of a new one is that it stays up for a second.",
			Mend:  "a healthcheck whose command asks the worker, or sees how old its last sign of life is",
			each: func(_ Input, d steady.Declared) []hit {
				return one(!serves(d) && !asked(d) && !d.Job && database(d) == "" && !isCache(d), d.Path(), d.Service+" has no healthcheck: it is taken for ready when it stays up")
			},
		},
		{
			ID: "slow-healthcheck", Severity: steady.Notice,
			Title: "a healthcheck that takes two minutes or more to say that a service is broken",
			Why:   "steady asks at a pace of its own, but waits start_period + retries × (interval + timeout) before it gives up, and Docker says unhealthy no sooner.",
			Mend:  "interval: 10s, timeout: 5s, retries: 3 and a start_period that fits the service",
			each:  slowHealthcheck,
		},
		{
			ID: "healthcheck-always-passes", Severity: steady.Warning,
			Title: "a healthcheck that cannot fail",
			Why:   "It says healthy whatever the service does, and a broken release is put in force.",
			Mend:  "leave out `|| true` and `exit 0`; curl needs -f to fail on an error status",
			each:  passingHealthcheck,
		},
		{
			ID: "depends-on-started", Severity: steady.Warning,
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
	if d.Job || asked(d) || !serves(d) && database(d) == "" {
		return nil
	}
	path, text := d.Path(), d.Service+" has no healthcheck in these files"
	if d.Health.Disabled {
		path, text = d.Path("healthcheck"), d.Service+" has its healthcheck disabled"
	}
	if d.Probe.Port != 0 {
		text += fmt.Sprintf(": it is taken for ready when port %d accepts", d.Probe.Port)
	}
	return one(true, path, text)
}

func slowHealthcheck(_ Input, d steady.Declared) []hit {
	h := d.Health
	if !h.Declared || h.Disabled || h.Interval == 0 && h.Retries == 0 && h.Timeout == 0 {
		return nil
	}
	retries := max(h.Retries, 1)
	if h.Retries == 0 {
		retries = 3
	}
	takes := time.Duration(retries) * (or(h.Interval, 30*time.Second) + or(h.Timeout, 30*time.Second))
	return one(takes >= tooSlow, d.Path("healthcheck"), fmt.Sprintf("the healthcheck of %s takes up to %s to say unhealthy", d.Service, takes))
}

func or(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}

func passingHealthcheck(_ Input, d steady.Declared) []hit {
	if d.Health.Disabled || len(d.Health.Test) < 2 {
		return nil
	}
	line := strings.Join(d.Health.Test[1:], " ")
	path := d.Path("healthcheck", "test")
	trimmed := strings.TrimRight(line, " ;")
	for _, end := range []string{"|| true", "|| exit 0", "; true", "; exit 0", "|| :"} {
		if strings.HasSuffix(trimmed, end) {
			return one(true, path, fmt.Sprintf("the healthcheck of %s ends with %s", d.Service, end))
		}
	}
	words := strings.Fields(line)
	if slices.Contains([]string{"true", ":", "/bin/true", "exit 0"}, trimmed) {
		return one(true, path, "the healthcheck of "+d.Service+" is "+trimmed)
	}
	if len(words) > 0 && words[0] == "curl" && strings.Contains(line, "://") && !failsOnStatus(words) && !strings.Contains(line, "|") {
		return one(true, path, "curl without -f in the healthcheck of "+d.Service+" passes on every status")
	}
	return nil
}

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
