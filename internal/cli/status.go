package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gesalpai.ch/steady"
)

func (s *session) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Aliases: []string{"ps"},
		Short:   "Show what serves: releases, replicas, ports and traffic",
		Long: `Show what serves: a line per replica with its release, state, health, whether it
takes traffic, and the processors and memory it uses beside its limits; for each
service requests per second, errors (answers of status 500 and above, ours too) and
latencies of the last minute, its restart policy, published ports and routes, and
what the proxy counted for it since it began; then a line per certificate. Which
services are under maintenance or locked, what is held, how far a canary is, and which
older releases are kept warm for how long, is said above it. It exits 0 whatever state
the services are in.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			project, err := s.project(c.Context())
			if err != nil {
				return err
			}
			status, err := s.backend().Status(c.Context(), project)
			if err != nil {
				return err
			}
			if s.json() {
				s.print(object(status))
				return nil
			}
			return s.showStatus(status, time.Now())
		},
	}
}

func (s *session) showStatus(status steady.Status, now time.Time) error {
	if r := status.Rollout; r != nil {
		s.say(fmt.Sprintf("rollout %d (%s) runs since %s: steady watch %d", r.ID, r.Kind, age(now, r.Started), r.ID))
		if r.Stage != nil {
			s.say("canary " + stageText(*r.Stage, now))
			s.say("hint: " + stageHint(*r.Stage, r.ID))
		}
	}
	if shut := maintainedNames(status); len(shut) > 0 {
		s.say("under maintenance: " + strings.Join(shut, ", ") + "; steady maintenance status tells more")
	}
	for _, l := range status.Locks {
		s.say(l.Ref() + " is under " + l.Holder() + " for " + left(l.Expires.Sub(now)) + " more: steady lock show")
	}
	for _, v := range status.Services {
		if v.Gate != nil {
			s.say(v.Service + " " + gateText(*v.Gate, now))
		}
	}
	if names := orphanNames(status); len(names) > 0 {
		s.say(fmt.Sprintf("not in the Compose file any more: %s; steady deploy --remove-orphans, or steady down %s", strings.Join(names, ", "), strings.Join(names, " ")))
	}
	for _, line := range warmLines(status, now) {
		s.say(line)
	}
	s.warnOfUnstored(status.Unstored)
	for _, u := range status.Unknown {
		s.warn(u)
	}
	if len(status.Services) == 0 {
		s.say(fmt.Sprintf("%s has no service that runs", status.Project))
		return nil
	}
	if _, err := fmt.Fprint(s.out, statusTable(status, now)); err != nil || len(status.Certificates) == 0 {
		return err
	}
	_, err := fmt.Fprint(s.out, "\n"+certificateTable(status.Certificates, now))
	return err
}

func orphanNames(status steady.Status) []string {
	var out []string
	for _, v := range status.Services {
		if v.Orphan {
			out = append(out, v.Service)
		}
	}
	return out
}

func maintainedNames(status steady.Status) []string {
	var out []string
	for _, v := range status.Services {
		if v.Maintenance != nil {
			out = append(out, v.Service)
		}
	}
	return out
}

func statusTable(status steady.Status, now time.Time) string {
	rows := [][]string{{"SERVICE", "RELEASE", "REPLICA", "STATE", "HEALTH", "ROUTED", "REQ/S", "ERRORS", "P50", "P99", "CPU", "MEMORY", "RESTART", "PORTS", "REQUESTS", "LOST", "AGE", "IMAGE"}}
	for _, v := range status.Services {
		pace := paceCells(v, v.Minute)
		rest := []string{orDash(v.Restart), reachText(v), number(v.Traffic.Requests), number(v.Traffic.Lost)}
		if len(v.Replicas) == 0 {
			state := "none"
			if !v.Done.IsZero() {
				state = doneText(v, now)
			}
			row := append([]string{v.Service, releaseText(v.Release), "-", state, "-", "-"}, pace...)
			rows = append(rows, append(append(append(row, "-", "-"), rest...), age(now, v.Since), orDash(v.Image)))
		}
		for i, r := range v.Replicas {
			if i > 0 { // counted by service, not by replica
				pace, rest = make([]string, len(pace)), []string{orDash(v.Restart), "", "", ""}
			}
			row := append([]string{v.Service, releaseText(r.Release), short(status.Project, r.Name), stateText(v, r, now), orDash(r.Health), routedText(v, r)}, pace...)
			row = append(append(row, cpuText(r), memoryText(r)), rest...)
			rows = append(rows, append(row, age(now, r.Started), orDash(v.Image)))
		}
	}
	return table(rows)
}

func releaseText(n int) string {
	if n == 0 {
		return "-" // made by Docker Compose
	}
	return strconv.Itoa(n)
}

func stateText(v steady.ServiceStatus, r steady.ReplicaStatus, now time.Time) string {
	if r.Release == v.Release && !r.Running() && !v.Done.IsZero() {
		return doneText(v, now)
	}
	if r.State == steady.StateExited {
		return fmt.Sprintf("exited (%d)", r.ExitCode)
	}
	return orDash(r.State)
}

// doneText tells of a release that has run to its end.
func doneText(v steady.ServiceStatus, now time.Time) string {
	return "done, exit 0, " + age(now, v.Done) + " ago"
}

func routedText(v steady.ServiceStatus, r steady.ReplicaStatus) string {
	switch {
	case r.Routed:
		return "yes"
	case v.Warm != nil && v.Warm.Release == r.Release:
		return "warm"
	}
	return "no"
}

func portsText(ports []steady.Port) string {
	var out []string
	for _, p := range steady.Ranges(ports) {
		text, udp := strings.CutSuffix(p.String(), "/udp")
		if text += "->" + p.Targets(); udp {
			text += "/udp"
		}
		out = append(out, text)
	}
	return orDash(strings.Join(out, ", "))
}
