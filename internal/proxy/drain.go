package proxy

import (
	"context"
	"slices"
	"time"

	"gesalpai.ch/steady"
)

const (
	// spreadMost bounds the last part of the streams' clock over which they are
	// ended one by one, so that their clients do not come back as a herd. It is a
	// quarter of the clock where that is less.
	spreadMost = 10 * time.Second
	// lastWords is how long a stream that was told its end may take to be gone.
	lastWords = 2 * time.Second
	// settle is how long what was cut may take to be gone.
	settle = 3 * time.Second
)

// drain waits until nothing is in flight at the containers named by ids, which
// no table in force may list. Requests that outlive clocks.Requests are cut;
// streams are ended towards clocks.Streams, each at its first quiet moment. A clock below 0 never runs out. What
// of them it was when ctx ended is left as it is.
func (p *Proxy) drain(ctx context.Context, ids []string, clocks steady.Drain) (steady.Drained, error) {
	if name, ok := p.routes(ids); ok {
		return steady.Drained{}, steady.ErrUsage.With("cannot drain "+name+": it still takes traffic",
			"put a table without it in force first")
	}
	us := p.replicas(ids)
	d := newDraining(us, clocks)
	defer d.stop()
	flows := make(chan steady.Drained, 1)
	go func() { flows <- p.drainFlows(ctx, ids, clocks) }()
	err := d.run(ctx)
	for _, u := range us {
		u.closeIdle()
	}
	sum := d.tally.drained().Plus(<-flows)
	p.drained.add(sum)
	return sum, err
}

// draining is one drain under way. Only run touches it.
type draining struct {
	tally     *tally
	upstreams []*upstream
	clocks    steady.Drain
	ending    []*flight     // streams still to be asked
	due       time.Duration // when the next of them is, since the begin
	pace      time.Duration // between two of them
	askedLast time.Time
	patience  time.Duration // of each that was asked, for a quiet moment
}

func newDraining(us []*upstream, clocks steady.Drain) *draining {
	d := &draining{tally: newTally(), upstreams: us, clocks: clocks, patience: clocks.Patience()}
	for _, u := range us {
		d.tally.watch(u)
	}
	return d
}

func (d *draining) stop() {
	for _, u := range d.upstreams {
		d.tally.unwatch(u)
	}
}

// run turns until all is quiet; each turn does what is due and waits for the
// next thing due or for a change.
func (d *draining) run(ctx context.Context) error {
	for {
		requests, streams := d.tally.open()
		if requests == 0 && streams == 0 {
			return nil
		}
		next, over := d.turn(requests, streams)
		if over {
			return nil
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-d.tally.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

const never = time.Duration(1<<63 - 1)

// turn does what is due and says in how long something will be again, or that
// there is nothing left to wait for.
func (d *draining) turn(requests, streams int) (next time.Duration, over bool) {
	since := time.Since(d.tally.begin)
	next = never
	stuck := 0
	if requests > 0 && d.clocks.Requests >= 0 {
		left := d.clocks.Requests - since
		if left <= 0 {
			d.cut(request)
			left = max(left+settle, 0)
		}
		if left == 0 {
			stuck += requests
		} else {
			next = min(next, left)
		}
	}
	if streams > 0 && d.clocks.Streams >= 0 {
		left := d.endStreams(since)
		if left == 0 {
			stuck += streams
		} else {
			next = min(next, left)
		}
	}
	return next, stuck == requests+streams
}

// endStreams asks the streams that are due to end, cuts those that were asked
// and did not, and says how long until it has to be called again; 0 when nothing
// more can be done.
func (d *draining) endStreams(since time.Duration) time.Duration {
	begin := d.clocks.Streams - min(d.clocks.Streams/4, spreadMost)
	if since < begin {
		return begin - since
	}
	if len(d.ending) == 0 {
		d.ending = d.unasked()
		left := max(d.clocks.Streams-since, 0)
		d.pace = left / time.Duration(max(len(d.ending), 1))
		d.due = since + d.pace // so that the last, or the only one, has the whole clock
	}
	for len(d.ending) > 0 && since >= d.due {
		d.askNext()
		d.due += d.pace
	}
	if len(d.ending) > 0 {
		return d.due - since
	}
	waited := time.Since(d.askedLast) - d.patience
	if waited < lastWords {
		return lastWords - waited
	}
	d.cut(stream)
	return max(lastWords+settle-waited, 0)
}

func (d *draining) askNext() {
	f := d.ending[0]
	d.ending = d.ending[1:]
	d.askedLast = time.Now()
	p := f.upstream.pool
	p.mu.Lock()
	f.asked = f.next != nil // else it left meanwhile
	asked := f.asked
	p.mu.Unlock()
	if asked {
		f.end(d.patience)
	}
}

func (d *draining) unasked() []*flight {
	var out []*flight
	for _, u := range d.upstreams {
		u.pool.mu.Lock()
		for _, f := range d.tally.of(u, stream) {
			if !f.asked {
				out = append(out, f)
			}
		}
		u.pool.mu.Unlock()
	}
	return out
}

func (d *draining) cut(kind int) {
	for _, u := range d.upstreams {
		u.pool.mu.Lock()
		for _, f := range d.tally.of(u, kind) {
			f.wasCut = true
			f.cut()
		}
		u.pool.mu.Unlock()
	}
}

// routes finds one of the containers in the table in force.
func (p *Proxy) routes(ids []string) (name string, ok bool) {
	for _, pool := range p.inForce().Pools {
		for _, u := range pool.Upstreams {
			if slices.Contains(ids, u.ID) {
				return u.Name, true
			}
		}
	}
	return "", false
}
