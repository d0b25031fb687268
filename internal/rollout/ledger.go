package rollout

import (
	"context"
	"slices"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

const (
	// readEvery is the pace of readings in a rollout's beginning.
	readEvery = time.Second
	// mostReadings bounds them: every second one goes when there are more, and the
	// pace is halved.
	mostReadings = 240
	// readWithin bounds one reading: a proxy that does not answer holds up nothing.
	readWithin = time.Second
)

// ledger keeps what the proxy had counted, from a rollout's beginning to its end.
// Every reading is journalled, so that a daemon that dies takes none with it.
type ledger struct {
	stop func() // ends the readings; nil before the first

	mu       sync.Mutex
	readings []steady.Reading // by At
	every    time.Duration
	mute     bool // that readings cannot be had or kept was said
}

// count reads the proxy's counters now and from then on. It returns what ends that.
func (r *run) count(ctx context.Context) func() {
	l := &r.ledger
	l.every = r.engine.ReadEvery
	if l.every == 0 {
		l.every = readEvery
	}
	was, err := r.engine.Journal.Readings(ctx, r.ID)
	if err != nil {
		r.engine.Log.Warn("read what was counted before", "rollout", r.ID, "err", err)
	}
	l.mu.Lock()
	l.readings = was
	l.mu.Unlock()
	r.read(ctx, nil)
	ctx, cancel := context.WithCancel(r.engine.base)
	var turning sync.WaitGroup
	turning.Go(func() { r.readOn(ctx) })
	l.stop = func() { cancel(); turning.Wait() }
	return l.stop
}

// readOn reads the counters again and again until ctx ends.
func (r *run) readOn(ctx context.Context) {
	l := &r.ledger
	for {
		l.mu.Lock()
		every := l.every
		l.mu.Unlock()
		if pause(ctx, every) != nil {
			return
		}
		r.read(ctx, nil)
		if gone := l.thin(); len(gone) > 0 {
			r.complain(r.engine.Journal.DropReadings(ctx, r.ID, gone))
		}
	}
}

// read takes one reading; shift is what has just been done, if anything was.
func (r *run) read(ctx context.Context, shift *steady.Step) {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	l := &r.ledger
	now, err := r.engine.Router.Reading(ctx, r.Project, l.since())
	if ctx.Err() != nil && r.engine.base.Err() != nil {
		return // the engine stops
	}
	if r.complain(err) {
		return
	}
	if shift != nil {
		now.Shift = led(r.Project, *shift, now)
	}
	now = l.add(now)
	if !r.backlog.behind() { // else the end would wait for a store that takes nothing
		r.complain(r.engine.Journal.PutReading(ctx, r.ID, now))
	}
}

// shifted takes a reading right behind a shift.
func (r *run) shifted(ctx context.Context, s steady.Step) { r.read(ctx, &s) }

// complain says once that readings are not to be had or kept; a receipt that lacks
// some is no failed rollout.
func (r *run) complain(err error) bool {
	if err == nil {
		return false
	}
	l := &r.ledger
	l.mu.Lock()
	said := l.mute
	l.mute = true
	l.mu.Unlock()
	if !said {
		r.engine.Log.Warn("read the proxy's counters", "rollout", r.ID, "err", err)
	}
	return true
}

// led is what a shift led where. A service that nobody serves then has left
// whatever it had open; one that another release serves what that has not.
func led(project string, s steady.Step, now steady.Reading) *steady.Shifted {
	out := &steady.Shifted{At: now.At, Step: s.ID}
	for _, t := range s.Routes {
		part := steady.ServiceShift{Service: t.Service, Release: t.Release, Replicas: len(t.Replicas), Held: t.Hold != nil}
		if t.Split != nil {
			part.Trial, part.Percent = t.Split.Release, t.Split.Percent
		}
		for n, m := range now.Services[project+"/"+t.Service] {
			serves := n == t.Release || t.Split != nil && n == t.Split.Release
			if !serves || len(t.Replicas) == 0 {
				part.Left = part.Left.Plus(m.Open)
			}
		}
		out.Services = append(out.Services, part)
	}
	return out
}

// since is where the readings began.
func (l *ledger) since() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.readings) == 0 {
		return time.Time{}
	}
	return l.readings[0].At
}

// add keeps a reading. What the past minute was like is told by the first one.
func (l *ledger) add(now steady.Reading) steady.Reading {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.readings) > 0 {
		now.Minute = nil
	}
	l.readings = append(l.readings, now)
	slices.SortStableFunc(l.readings, byTime) // two may overtake each other
	return now
}

func byTime(a, b steady.Reading) int { return a.At.Compare(b.At) }

// thin lets every second reading go where there are too many, and says which: but
// those of shifts, the first and the last, and those before and behind the death
// of a proxy.
func (l *ledger) thin() (gone []time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.readings) < mostReadings {
		return nil
	}
	l.every *= 2
	var kept []steady.Reading
	odd := false
	for i, r := range l.readings {
		edge := i == 0 || i == len(l.readings)-1 || !r.Proxy.Equal(l.readings[i-1].Proxy) || !r.Proxy.Equal(l.readings[i+1].Proxy)
		if r.Shift == nil && !edge {
			odd = !odd
			if odd {
				gone = append(gone, r.At)
				continue
			}
		}
		kept = append(kept, r)
	}
	l.readings = kept
	return gone
}

// close takes the last reading and gives them all. Without one of the end, whole
// is false.
func (r *run) closed(ctx context.Context) (readings []steady.Reading, whole bool) {
	l := &r.ledger
	if l.stop == nil {
		return nil, false
	}
	l.stop()
	before := len(l.readings) // nobody else adds any more
	r.read(ctx, nil)
	return l.carried(), len(l.readings) > before
}

// carried are the readings with what each left out because nothing had changed.
func (l *ledger) carried() []steady.Reading {
	out := slices.Clone(l.readings)
	for i := range out {
		if i > 0 && out[i].Proxy.Equal(out[i-1].Proxy) {
			out[i].Services = overlaid(out[i-1].Services, out[i].Services)
		}
	}
	return out
}
