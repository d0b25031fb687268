package plan

import (
	"slices"

	"gesalpai.ch/steady"
)

// Target is where one service shall get to.
type Target struct {
	Release steady.Release // Number 0: not numbered yet, the plan shows what would be done
	Asked   bool           // by name, or because all were; else it is only somebody's dependency
	Bring   string         // StepPull: the release's image is gone, and comes back by its digest
	Stays   []string       // a rollback: files that it mounts and cannot bring back, by name
}

// ordered puts every target behind those it depends on or shares with, and else leaves
// the order as it is.
func ordered(ts []Target, specs []steady.Spec) []Target {
	var out []Target
	seen := map[string]bool{}
	var visit func(Target)
	visit = func(t Target) {
		if seen[t.Release.Service] {
			return
		}
		seen[t.Release.Service] = true
		for _, service := range needed(t.Release.Spec, specs) {
			i := slices.IndexFunc(ts, func(o Target) bool { return o.Release.Service == service })
			if i >= 0 {
				visit(ts[i])
			}
		}
		out = append(out, t)
	}
	for _, t := range ts {
		visit(t)
	}
	return out
}

// needed are the services that must be there before one: those that it depends on, and
// those that it shares with.
func needed(s steady.Spec, specs []steady.Spec) []string {
	var out []string
	for _, d := range s.DependsOn {
		out = append(out, d.Service)
	}
	for _, sh := range s.Shares(specs) {
		if sh.Service != "" {
			out = append(out, sh.Service)
		}
	}
	return out
}

// meeting are the published ports of one side that meet some of the other, by range.
func meeting(ports, others []steady.Port) []steady.PortRange {
	return steady.Ranges(slices.DeleteFunc(slices.Clone(ports), func(p steady.Port) bool { return !slices.ContainsFunc(others, p.Meets) }))
}

// shared is the image step of a target whose image another service's build makes.
const shared = "shared"

// built tells which service's build makes an image, by reference. Another service
// may name that image without a build section of its own, as Compose has it.
func built(in Input) map[string]string {
	out := map[string]string{}
	for _, t := range in.Targets {
		s := t.Release.Spec
		running := slices.ContainsFunc(in.Observed.Of(s.Service), steady.Replica.Running)
		if how, err := imageStep(in, t); err == nil && how == steady.StepBuild && (t.Asked || !running) {
			out[s.Image] = s.Service
		}
	}
	return out
}
