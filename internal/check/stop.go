package check

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"gesalpai.ch/steady"
)

// stopRules are about how a service ends.
func stopRules() []Rule {
	return []Rule{
		{
			ID: "shell-swallows-stop", Severity: steady.Warning, many: "services run under a shell that keeps the stop signal",
			Title: "a shell that stays the first process and swallows SIGTERM",
			Why:   "The stop signal goes to the first process. A shell that waits for another command does not pass it on, so the service never hears it, runs on for the whole stop_grace_period and is then killed in the middle of what it does.",
			Mend:  `begin the last command with exec: sh -c "prepare && exec serve"; in a Dockerfile use the exec form: CMD ["serve"]`,
			each:  swallows,
		},
		{
			ID: "no-init", Severity: steady.Notice, many: "services run a program that needs an init as their first process",
			Title: "a first process that needs an init and has none",
			Why:   "As process 1 a program gets no default for SIGTERM: node, python, npm and the like go on unless their code handles it. Nobody collects their children either.",
			Mend:  "init: true",
			each:  noInit,
		},
		{
			ID: "grace-short", Severity: steady.Warning,
			Title: "a stop_grace_period shorter than what the service says it needs to end",
			Why:   "After the grace it is killed, with whatever it still does.",
			Mend:  "stop_grace_period longer than the service's own time limit",
			each:  graceShort,
		},
		{
			ID: "drain-short", Severity: steady.Warning,
			Title: "requests that may take longer than a drain waits",
			Why:   "The server allows requests to take longer than x-steady.drain.requests: what is still in flight then is cut.",
			Mend:  "x-steady: {drain: {requests: …}} at least as long as the server's own time limit",
			each:  drainShort,
		},
		{
			ID: "worker-grace", Severity: steady.Warning, many: "workers have ten seconds to end their job",
			Title: "a worker with the default grace of 10 seconds",
			Why:   "The job that it works on when it is stopped has ten seconds to end, then it is killed.",
			Mend:  "stop_grace_period: as long as the longest job",
			each: func(_ Input, d steady.Declared) []hit {
				w := worker.FindString(runs(d).words())
				return one(w != "" && !serves(d) && !d.GraceSet && !mayEnd(d), d.Path(), fmt.Sprintf("%s runs %s and has no stop_grace_period", d.Service, named(w)))
			},
		},
		{
			ID: "stop-signal-kills", Severity: steady.Warning,
			Title: "stop_signal: SIGKILL",
			Why:   "The service cannot end what it does, whatever the grace.",
			Mend:  "take the line out, or name the signal that the service ends on",
			each: func(_ Input, d steady.Declared) []hit {
				kills := d.StopSignal == "SIGKILL" || d.StopSignal == "KILL" || d.StopSignal == "9"
				return one(kills, d.Path("stop_signal"), d.Service+" is stopped by SIGKILL")
			},
		},
	}
}

func swallows(_ Input, d steady.Declared) []hit {
	r := runs(d)
	if mayEnd(d) || !r.swallows(d) {
		return nil
	}
	text := d.Service + " runs under a shell that does not pass the stop signal on"
	if d.Init { // as process 2 the shell does end, and the namespace with it
		text = d.Service + " runs under a shell that ends on the stop signal, upon which the service is killed"
	}
	if at := dockerLine(d, r); at != "" {
		text += " (" + at + ")"
	}
	return one(true, r.path, text)
}

// dockerLine is where in the Dockerfile the shell form stands.
func dockerLine(d steady.Declared, r running) string {
	switch {
	case !r.shell || d.Dockerfile.File == "":
		return ""
	case d.Dockerfile.EntrypointShell:
		return fmt.Sprintf("%s:%d", d.Dockerfile.File, d.Dockerfile.EntrypointAt)
	}
	return fmt.Sprintf("%s:%d", d.Dockerfile.File, d.Dockerfile.CommandAt)
}

// orphans are programs that, as process 1, do not end on SIGTERM by themselves.
var orphans = map[string]bool{
	"node": true, "npm": true, "npx": true, "yarn": true, "pnpm": true, "python": true, "python3": true, "ruby": true, "bun": true, "deno": true,
}

func noInit(_ Input, d steady.Declared) []hit {
	r := runs(d)
	bare := orphans[r.program()] && !r.wrapped()
	return one(bare && !d.Init && !d.Job && !(d.RestartSet && mayEnd(d)), r.path, fmt.Sprintf("%s runs %s as its first process without an init", d.Service, r.program()))
}

var (
	// worker is how job runners of the field are started.
	worker = regexp.MustCompile(`\b(?:celery\b.*\bworker|sidekiq|rq worker|queue:work|queue:listen|horizon|resque|bullmq|dramatiq|huey|good_job|delayed_job|jobs:work|arq|worker(?:\.js|\.py|\.rb|\.mjs)?)(?:\s|$)`)
	// timeLimit and gracefulLimit are gunicorn's and its like, in seconds.
	timeLimit     = regexp.MustCompile(`gunicorn\b.*(?:--timeout|-t)[ =](\d+)`)
	gracefulLimit = regexp.MustCompile(`(?:--graceful-timeout|--timeout-graceful-shutdown|--shutdown-timeout)[ =](\d+)`)
)

func seconds(pattern *regexp.Regexp, text string) time.Duration {
	m := pattern.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n > 1<<30 {
		return 0
	}
	return time.Duration(n) * time.Second
}

func graceShort(_ Input, d steady.Declared) []hit {
	path := d.Path("stop_grace_period")
	if needs := seconds(gracefulLimit, runs(d).words()); needs > d.StopGrace {
		return one(true, path, fmt.Sprintf("%s may take %s to end and is killed after %s", d.Service, needs, d.StopGrace))
	}
	// What comes through the proxy is drained before the stop; without a published
	// port the grace is all there is.
	alone := len(d.Published) == 0 && d.DrainSet && d.Drain.Requests > d.StopGrace
	return one(alone, path, fmt.Sprintf("requests of %s may take %s, and it is killed after %s", d.Service, d.Drain.Requests, d.StopGrace))
}

func drainShort(_ Input, d steady.Declared) []hit {
	r := runs(d)
	takes := seconds(timeLimit, r.words())
	return one(takes > d.Drain.Requests, r.path, fmt.Sprintf("requests of %s may take %s, and a drain waits %s", d.Service, takes, d.Drain.Requests))
}
