package plan

import (
	"slices"

	"gesalpai.ch/steady"
)

// undivided are the routes in force without the splits that an undo left which could
// not come to its end: a release that was on trial then is none of those that serve,
// where another one does.
func undivided(in Input) []steady.Route {
	out := slices.Clone(in.Routes)
	for i, r := range out {
		if r.Split == nil {
			continue
		}
		others := slices.DeleteFunc(slices.Clone(r.Replicas), func(name string) bool {
			c, ok := in.Observed.Named(name)
			return ok && c.Release == r.Split.Release
		})
		serve := slices.ContainsFunc(others, func(name string) bool {
			c, ok := in.Observed.Named(name)
			return ok && c.Running()
		})
		if out[i].Split = nil; serve {
			out[i].Replicas = others
		}
	}
	return out
}
