package docker

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

// How old a first look may be for a second one to tell from it how busy a
// container is: shorter says nothing, longer is not now.
const (
	shortestLook = 200 * time.Millisecond
	longestLook  = 15 * time.Second
)

// Meter reads what containers use. It remembers the last look at each, so that
// whoever asks again soon need not wait for a second one. Its methods may be
// called from several goroutines.
type Meter struct {
	engine *Engine

	mu   sync.Mutex
	seen map[string]look // by container ID
}

// look is one container's use at one moment.
type look struct {
	at     time.Time
	cpu    time.Duration // since it started
	memory int64
}

// NewMeter makes a meter of an Engine's containers.
func NewMeter(e *Engine) *Meter { return &Meter{engine: e, seen: map[string]look{}} }

// Read tells the use of the containers with these IDs; of one that is gone or does
// not run nothing. It takes 200 ms where a container has not been looked at in the
// last 15 s.
func (m *Meter) Read(ctx context.Context, ids []string) (map[string]steady.Usage, error) {
	first, fresh := m.before(ids)
	if len(fresh) > 0 {
		looks, err := m.engine.looks(ctx, fresh)
		if err != nil {
			return nil, err
		}
		for id, l := range looks {
			first[id] = l
		}
		if len(looks) > 0 && !pause(ctx, shortestLook) {
			return nil, context.Cause(ctx)
		}
	}
	now, err := m.engine.looks(ctx, ids)
	if err != nil {
		return nil, err
	}
	m.keep(now)
	out := make(map[string]steady.Usage, len(now))
	for id, l := range now {
		out[id] = l.since(first[id])
	}
	return out, nil
}

// before gives the looks that are old enough and not too old, and who has none.
func (m *Meter) before(ids []string) (first map[string]look, fresh []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first = map[string]look{}
	for _, id := range ids {
		l, ok := m.seen[id]
		if age := time.Since(l.at); ok && age >= shortestLook && age <= longestLook {
			first[id] = l
			continue
		}
		fresh = append(fresh, id)
	}
	return first, fresh
}

// keep remembers these looks and forgets those too old to be of use.
func (m *Meter) keep(now map[string]look) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, l := range m.seen {
		if time.Since(l.at) > longestLook {
			delete(m.seen, id)
		}
	}
	for id, l := range now {
		m.seen[id] = l
	}
}

func (l look) since(before look) steady.Usage {
	u := steady.Usage{CPUSeconds: l.cpu.Seconds(), Memory: l.memory}
	if d := l.at.Sub(before.at); !before.at.IsZero() && d > 0 {
		u.CPU = max(0, float64(l.cpu-before.cpu)/float64(d))
	}
	return u
}

// looks looks at containers side by side.
func (e *Engine) looks(ctx context.Context, ids []string) (map[string]look, error) {
	found := make([]look, len(ids))
	errs := make([]error, len(ids))
	sideBySide(len(ids), func(i int) { found[i], errs[i] = e.look(ctx, ids[i]) })
	out := make(map[string]look, len(ids))
	for i, err := range errs {
		switch {
		case errors.Is(err, steady.ErrNoReplica):
		case err != nil:
			return nil, err
		case !found[i].at.IsZero():
			out[ids[i]] = found[i]
		}
	}
	return out, nil
}

// look asks for one sample, which the Engine reads from the cgroup at once. The
// zero look is one that does not run.
func (e *Engine) look(ctx context.Context, id string) (look, error) {
	got, err := e.api.ContainerStats(ctx, id, client.ContainerStatsOptions{})
	if gone(err) {
		return look{}, noReplica(id)
	}
	if err != nil {
		return look{}, e.fail("ask for the use of container "+id, err)
	}
	defer got.Body.Close()
	var s container.StatsResponse
	if err := json.NewDecoder(got.Body).Decode(&s); err != nil {
		return look{}, e.fail("read the use of container "+id, err)
	}
	if s.CPUStats.CPUUsage.TotalUsage == 0 && s.MemoryStats.Usage == 0 {
		return look{}, nil
	}
	return look{at: s.Read, cpu: time.Duration(s.CPUStats.CPUUsage.TotalUsage), memory: memory(s.MemoryStats)}, nil
}

// memory is what docker stats shows: without the inactive part of the file cache,
// which has one name with cgroups v1 and another with v2.
func memory(s container.MemoryStats) int64 {
	for _, key := range []string{"total_inactive_file", "inactive_file"} {
		if cache, ok := s.Stats[key]; ok && cache < s.Usage {
			return int64(s.Usage - cache)
		}
	}
	return int64(s.Usage)
}

// limits are a container's as it was created or updated.
func limits(r container.Resources) steady.Limits {
	l := steady.Limits{CPUs: float64(r.NanoCPUs) / 1e9, Memory: r.Memory}
	if l.CPUs == 0 && r.CPUQuota > 0 {
		period := r.CPUPeriod
		if period == 0 {
			period = 100_000 // the kernel's own, in microseconds
		}
		l.CPUs = float64(r.CPUQuota) / float64(period)
	}
	return l
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
