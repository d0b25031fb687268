package daemon

import (
	"cmp"
	"slices"

	"gesalpai.ch/steady"
)

// choice is the release of a service that serves as far as can be known, its replicas,
// and why it is that one.
type choice struct {
	release  int // 0: none
	replicas []steady.Replica
	why      string
}

// choose says which replicas serve: those that the proxy's table lists, without a
// release that was only being tried out. Where it lists none that are there, the
// labels decide: a release whose replicas all run and are healthy, and whose rollout
// has left no container half made, before any other; of several the newest.
func (s *tabled) choose(seen steady.Observed) choice {
	listed := s.listed(seen, func(u steady.Upstream) bool { return u.Release != s.trial })
	if len(listed.replicas) == 0 {
		listed = s.listed(seen, func(steady.Upstream) bool { return true })
	}
	if listed.release > 0 {
		return listed
	}
	return byLabels(s.service, seen)
}

func (s *tabled) listed(seen steady.Observed, counts func(steady.Upstream) bool) choice {
	out := choice{why: "as the proxy serves it"}
	for _, c := range seen.Of(s.service) {
		i := slices.IndexFunc(s.upstreams, func(u steady.Upstream) bool { return u.ID == c.ID })
		if i < 0 || !counts(s.upstreams[i]) {
			continue
		}
		out.replicas = append(out.replicas, c)
		out.release = max(out.release, c.Release)
	}
	return out
}

func byLabels(service string, seen steady.Observed) choice {
	half := map[int64]bool{} // rollouts that have left a container which never ran
	of := map[int][]steady.Replica{}
	for _, c := range seen.Replicas {
		half[c.Rollout] = half[c.Rollout] || c.State == steady.StateCreated
		if c.Service == service && c.Release > 0 {
			of[c.Release] = append(of[c.Release], c)
		}
	}
	rank := func(release int) int {
		all := of[release]
		fit := func(c steady.Replica) bool {
			return c.Running() && (c.Health == "" || c.Health == steady.HealthHealthy) && !half[c.Rollout]
		}
		switch {
		case !slices.ContainsFunc(all, func(c steady.Replica) bool { return !fit(c) }):
			return 2
		case slices.ContainsFunc(all, steady.Replica.Running):
			return 1
		}
		return 0
	}
	var out choice
	for release := range of {
		if out.release == 0 || cmp.Or(cmp.Compare(rank(release), rank(out.release)), cmp.Compare(release, out.release)) > 0 {
			out.release = release
		}
	}
	if out.release == 0 {
		return out
	}
	out.replicas = of[out.release]
	out.why = [...]string{"the newest of which a container is there", "the newest of which a replica runs",
		"the newest whose replicas all run and are healthy"}[rank(out.release)]
	return out
}
