package doctor

import (
	"fmt"
	"strings"
	"time"

	"gesalpai.ch/steady"
)

// Limits from which on a container is told of.
const (
	nearLimit = 0.90             // of its memory
	flapping  = 3                // restarts
	justNow   = 10 * time.Minute // since it was last started
	waiting   = time.Minute      // created and not started
)

func containerRules() []Rule {
	return []Rule{
		{
			ID: "container-exited", Severity: steady.Failure,
			Title: "a container that ended with an error",
			Why:   "The service does not run, or one replica less than it should.",
			Mend:  "steady logs SERVICE",
			find: func(f Facts) []hit {
				return perContainer(f, func(c steady.ExaminedContainer) (string, bool) {
					ended := c.State == steady.StateExited || c.State == steady.StateDead
					text := fmt.Sprintf("%s ended with status %d%s", c.Name, c.ExitCode, meaning(c))
					return text, ended && c.ExitCode != 0 && !c.OOM && !stopped(c)
				})
			},
		},
		{
			ID: "container-restarting", Severity: steady.Failure,
			Title: "a container that starts over and over",
			Why:   "It dies each time; the Engine waits longer and longer before it tries again.",
			Mend:  "steady logs SERVICE",
			find: func(f Facts) []hit {
				return perContainer(f, func(c steady.ExaminedContainer) (string, bool) {
					again := c.State == steady.StateRestarting || c.Running() && c.Restarts >= flapping && f.Now.Sub(c.Started) < justNow
					return fmt.Sprintf("%s was restarted %d times, last with status %d%s", c.Name, c.Restarts, c.ExitCode, meaning(c)), again && !c.OOM
				})
			},
		},
		{
			ID: "container-not-started", Severity: steady.Failure,
			Title: "a container that the Engine could not start",
			Why:   "The service does not run. The Engine says why.",
			Mend:  "docker inspect --format '{{.State.Error}}' CONTAINER",
			find: func(f Facts) []hit {
				return perContainer(f, func(c steady.ExaminedContainer) (string, bool) {
					return fmt.Sprintf("%s did not start: %s", c.Name, c.Error), c.Error != "" && !c.Running()
				})
			},
		},
		{
			ID: "oom-killed", Severity: steady.Failure,
			Title: "a container that was killed for want of memory",
			Why:   "It took more than its limit, or the host had no more; what it was doing is lost.",
			Mend:  "raise deploy.resources.limits.memory for the service, or find the leak; then steady deploy SERVICE",
			find: func(f Facts) []hit {
				return perContainer(f, func(c steady.ExaminedContainer) (string, bool) {
					text := c.Name + " was killed for want of memory"
					if c.MemoryLimit > 0 {
						text += ", its limit is " + size(uint64(c.MemoryLimit))
					}
					return text, c.OOM
				})
			},
		},
	}
}

// serviceRules are about containers that run, and not as they should.
func serviceRules() []Rule {
	return []Rule{
		{
			ID: "unhealthy", Severity: steady.Failure,
			Title: "a failing healthcheck",
			Why:   "steady takes an unhealthy container for one that cannot serve, and a deploy of it fails.",
			Mend:  "run the healthcheck by hand: docker exec CONTAINER …; steady logs SERVICE",
			find:  unhealthy,
		},
		{
			ID: "probe-fails", Severity: steady.Warning,
			Title: "a container that runs and does not answer steady's probe",
			Why:   "The next deploy asks the same question of the new one, and fails if the answer is the same.",
			Mend:  "steady logs SERVICE; x-steady.probe in the Compose file says what to ask",
			find: func(f Facts) []hit {
				return perContainer(f, func(c steady.ExaminedContainer) (string, bool) {
					a, asked := f.Probes[c.Name]
					return fmt.Sprintf("%s does not answer: %s", c.Name, a.Text), asked && !a.Ready && c.Health != steady.HealthUnhealthy && c.Health != steady.HealthStarting
				})
			},
		},
	}
}

// endRules are about how a container will end.
func endRules() []Rule {
	return []Rule{
		{
			ID: "memory-near-limit", Severity: steady.Warning,
			Title: "a container near its memory limit",
			Why:   "At the limit the kernel kills it in the middle of what it does.",
			Mend:  "raise deploy.resources.limits.memory for the service, or find the leak; then steady deploy SERVICE",
			find: func(f Facts) []hit {
				return perContainer(f, func(c steady.ExaminedContainer) (string, bool) {
					if c.MemoryLimit <= 0 {
						return "", false
					}
					part := float64(c.MemoryUsed) / float64(c.MemoryLimit)
					return fmt.Sprintf("%s uses %.0f %% of its memory limit of %s", c.Name, 100*part, size(uint64(c.MemoryLimit))), part > nearLimit
				})
			},
		},
		{
			ID: "stop-unheard", Severity: steady.Warning,
			Title: "a first process that does not hear the stop signal",
			Why:   "It has no handler for it, and as process 1 gets no default: every stop takes the whole stop_grace_period and ends in a kill, in the middle of what it does. Often it is a shell that does not pass the signal on.",
			Mend:  `begin the last command with exec, use the exec form in the Dockerfile (CMD ["serve"]); where the process is no shell, init: true helps`,
			find: func(f Facts) []hit {
				return perContainer(f, func(c steady.ExaminedContainer) (string, bool) {
					return fmt.Sprintf("%s runs %s as its first process, which does not hear %s", c.Name, base(c.Program), c.StopSignal), f.Deaf[c.Name]
				})
			},
		},
		{
			ID: "stop-slow", Severity: steady.Warning,
			Title: "a service that was killed when it was last stopped",
			Why:   "It took the whole of its stop_grace_period, so whatever it still did was cut off.",
			Mend:  "raise stop_grace_period, or end sooner on the stop signal",
			find:  slowStops,
		},
	}
}

// perContainer judges each container that the facts are about.
func perContainer(f Facts, judge func(steady.ExaminedContainer) (string, bool)) []hit {
	var out []hit
	for _, c := range f.containers() {
		if text, holds := judge(c); holds {
			out = append(out, hit{service: c.Service, text: text, lines: c.Tail})
		}
	}
	return out
}

// stopped says whether the container ended by a stop: of those that steady stops
// the restart policy is no by then.
func stopped(c steady.ExaminedContainer) bool {
	return (c.ExitCode == 143 || c.ExitCode == 137) && c.RestartPolicy == "no"
}

// meaning of an exit status, in words.
func meaning(c steady.ExaminedContainer) string {
	switch {
	case c.ExitCode == 126:
		return ": its command cannot be run"
	case c.ExitCode == 127:
		return ": its command is not in the image"
	case c.ExitCode > 128 && c.ExitCode < 160:
		return fmt.Sprintf(": killed by signal %d", c.ExitCode-128)
	}
	return ""
}

func base(program string) string { return program[strings.LastIndexByte(program, '/')+1:] }

func unhealthy(f Facts) []hit {
	var out []hit
	for _, c := range f.containers() {
		if c.Health != steady.HealthUnhealthy {
			continue
		}
		text := fmt.Sprintf("%s failed its healthcheck %d times in a row, with status %d", c.Name, c.HealthFailing, c.HealthExit)
		if a, asked := f.Probes[c.Name]; asked && a.Ready {
			text += fmt.Sprintf("; steady's own probe passes (%s), so look at the healthcheck itself", a.Text)
		} else if asked {
			text += "; steady's own probe fails too"
		}
		var lines []string
		if c.HealthOutput != "" {
			lines = lastLines(c.HealthOutput, 3)
		}
		out = append(out, hit{service: c.Service, text: text, lines: append(lines, c.Tail...), mend: "steady logs " + c.Service})
	}
	return out
}

func slowStops(f Facts) []hit {
	var out []hit
	seen := map[string]bool{}
	for _, s := range f.Stops {
		grace := steady.DefaultStopGrace
		for _, c := range f.containers() {
			if c.Service == s.Service {
				grace = c.StopTimeout
			}
		}
		if s.Took < grace || seen[s.Service] || len(f.Services) > 0 && !f.about(f.Project, s.Service) {
			continue
		}
		seen[s.Service] = true
		out = append(out, hit{service: s.Service, text: fmt.Sprintf("%s took %s to stop, the whole of its grace of %s", s.Replica, s.Took.Round(100*time.Millisecond), grace)})
	}
	return out
}
