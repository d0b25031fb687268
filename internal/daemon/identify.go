package daemon

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/process"
)

// identifyTries is how often a container may be started again between the look at
// it and the look at its process.
const identifyTries = 3

// replica looks a replica up together with its process, so that the proxy can tell
// it from whoever gets its address later. Where the process cannot be seen although
// the container runs, as the Engine's processes are not ours to see, there is none.
func (r *router) replica(ctx context.Context, name string) (steady.Replica, error) {
	c, err := r.engine.Replica(ctx, name)
	for range identifyTries {
		if err != nil || !c.Running() || c.PID == 0 {
			return c, err
		}
		p, unseen := process.Identify(c.PID, addresses(c)...)
		if unseen == nil {
			c.Process = p
			return c, nil
		}
		was := c.PID
		c, err = r.engine.Replica(ctx, name)
		if err == nil && c.PID == was {
			r.log.Warn("the process of a replica cannot be seen: its address counts as its own until it is known to have ended", "replica", name, "pid", was, "err", unseen)
			return c, nil
		}
	}
	return c, err
}

// addresses are those of a replica's own network.
func addresses(c steady.Replica) []netip.Addr {
	if c.HostNet {
		return nil
	}
	var out []netip.Addr
	for _, text := range slices.Sorted(maps.Values(c.Addresses)) {
		if a, err := netip.ParseAddr(text); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// tellProcesses has the table's upstreams name their processes where the proxy that
// runs can use that. One from before refuses a table that does.
func (r *router) tellProcesses(t steady.Table) steady.Table {
	if !r.untold {
		return t
	}
	t.Pools = slices.Clone(t.Pools)
	for i, p := range t.Pools {
		t.Pools[i].Upstreams, t.Pools[i].Elders = untold(p.Upstreams), untold(p.Elders)
	}
	return t
}

func untold(us []steady.Upstream) []steady.Upstream {
	us = slices.Clone(us)
	for i := range us {
		us[i].Process = steady.Process{}
	}
	return us
}

// meetProxy notes that another proxy runs, which may know more than the last.
func (r *router) meetProxy() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.untold = false
}

// older says whether the proxy refused a table for naming processes, and has the
// next ones name none.
func (r *router) older(err error) bool {
	if r.untold || !errors.Is(err, steady.ErrUnsupported) {
		return false
	}
	r.untold = true
	r.log.Warn("the proxy that runs is older than the daemon: it cannot tell a container from another that got its address", "err", err)
	return true
}
