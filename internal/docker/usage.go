package docker

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

// lookers is how many containers are looked at at once.
const lookers = 64

// look is one container's use at one moment.
type look struct {
	at     time.Time
	cpu    time.Duration // since it started
	memory int64
}

// running lists the replicas that run, of every project, by container ID.
func (e *Engine) running(ctx context.Context) ([]string, error) {
	got, err := e.api.ContainerList(ctx, client.ContainerListOptions{Filters: client.Filters{}.Add("label", steady.LabelRelease)})
	if err != nil {
		return nil, e.fail("list containers", err)
	}
	var out []string
	for _, c := range got.Items {
		if !aside(c.Labels) {
			out = append(out, c.ID)
		}
	}
	return out, nil
}

// looks looks at containers, many at once: they may all wait for one tick. One
// that cannot be looked at is left out.
func (e *Engine) looks(ctx context.Context, ids []string) map[string]look {
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := make(map[string]look, len(ids))
	slots := make(chan struct{}, lookers)
	for _, id := range ids {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			l, err := e.look(ctx, id)
			if err != nil || l.at.IsZero() {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			out[id] = l
		})
	}
	wg.Wait()
	return out
}

// look asks for one sample. The zero look is one that does not run.
func (e *Engine) look(ctx context.Context, id string) (look, error) {
	got, err := e.api.ContainerStats(ctx, id, client.ContainerStatsOptions{})
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
