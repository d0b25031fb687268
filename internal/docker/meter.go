package docker

import (
	"context"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// How often the meter looks. An Engine before 23 answers at its own next tick, up
// to a second later, so nobody who asks waits for it.
const (
	lookSeldom = 10 * time.Second
	lookOften  = time.Second     // while somebody watches
	watchedFor = 5 * time.Second // since somebody asked
	// newWait is how long who asks waits for a container that has not been looked at.
	newWait = 500 * time.Millisecond
	// staleAfter is how old a look may be to be told: the Engine may be away.
	staleAfter = 3 * lookSeldom
)

// Meter looks at what the replicas on an Engine use, now and then, so that it can
// be told at once. Its methods may be called from several goroutines.
type Meter struct {
	engine *Engine
	wake   chan struct{}

	mu    sync.Mutex
	seen  map[string]pair // by container ID
	asked time.Time
	round chan struct{} // closed and made anew after each round
}

// pair is the last two looks; the first may be none.
type pair struct{ before, last look }

// NewMeter makes a meter, which looks while it runs.
func NewMeter(e *Engine) *Meter {
	return &Meter{engine: e, wake: make(chan struct{}, 1), seen: map[string]pair{}, round: make(chan struct{})}
}

// Run looks until ctx ends.
func (m *Meter) Run(ctx context.Context) error {
	for {
		begin := time.Now()
		m.look(ctx)
		next := time.NewTimer(m.every() - time.Since(begin))
		select {
		case <-ctx.Done():
		case <-next.C:
		case <-m.wake:
		}
		next.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

func (m *Meter) every() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.asked) < watchedFor {
		return lookOften
	}
	return lookSeldom
}

// look looks at every replica that runs. An Engine that is away is nobody's matter
// here: what it would say is missing then.
func (m *Meter) look(ctx context.Context) {
	ids, err := m.engine.running(ctx)
	if err != nil {
		return
	}
	looks := m.engine.looks(ctx, ids)
	m.mu.Lock()
	defer m.mu.Unlock()
	now := make(map[string]pair, len(looks))
	for id, l := range looks {
		now[id] = pair{m.seen[id].last, l}
	}
	m.seen = now
	close(m.round)
	m.round = make(chan struct{})
}

// Read tells the use of the replicas that run, by container ID; nothing of one of
// which nothing is known. Only a replica that nobody has looked at yet makes it
// wait, half a second at most.
func (m *Meter) Read(ctx context.Context, replicas []steady.Replica) map[string]steady.Usage {
	out, round := m.read(replicas)
	if round == nil {
		return out
	}
	late := time.NewTimer(newWait)
	defer late.Stop()
	for range 2 { // the round under way may have begun before
		select {
		case m.wake <- struct{}{}:
		default:
		}
		select {
		case <-round:
		case <-late.C:
			return out
		case <-ctx.Done():
			return out
		}
		if out, round = m.read(replicas); round == nil {
			return out
		}
	}
	return out
}

// Known is Read without waiting.
func (m *Meter) Known(replicas []steady.Replica) map[string]steady.Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	out, _ := m.known(replicas)
	return out
}

// read gives what is known, and where a replica that runs is not known, what is
// closed after the next round.
func (m *Meter) read(replicas []steady.Replica) (out map[string]steady.Usage, round <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = time.Now()
	out, missing := m.known(replicas)
	if missing {
		round = m.round
	}
	return out, round
}

// known gives what is known, and whether a replica that runs is not. m.mu is held.
func (m *Meter) known(replicas []steady.Replica) (out map[string]steady.Usage, missing bool) {
	out = map[string]steady.Usage{}
	for _, r := range replicas {
		p, ok := m.seen[r.ID]
		switch {
		case !r.Running():
		case !ok:
			missing = true
		case time.Since(p.last.at) < staleAfter:
			out[r.ID] = p.usage(r.Started)
		}
	}
	return out, missing
}

// usage is what was used between the two looks, or since the start where there is
// only one.
func (p pair) usage(started time.Time) steady.Usage {
	u := steady.Usage{CPUSeconds: p.last.cpu.Seconds(), Memory: p.last.memory}
	from := p.before
	if from.at.Before(started) { // there is none, or it was of another run
		from = look{at: started}
	}
	if d := p.last.at.Sub(from.at); d > 0 {
		u.CPU = max(0, float64(p.last.cpu-from.cpu)/float64(d))
	}
	return u
}
