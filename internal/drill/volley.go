package drill

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// Figures of a volley.
const (
	// keptLanes is over how many connections the kept ones are spread, one after the
	// other, so that each is idle between two requests as a visitor's is.
	keptLanes = 10
	// mostLanes bounds the requests in flight: what is due beyond is late, not fewer.
	mostLanes = 2000
)

// Load is what a volley fires.
type Load struct {
	Target   Target
	Exchange Exchange // its ID and Fresh are the volley's to fill
	Rate     float64  // requests per second
	Fresh    float64  // share of them on a connection of their own, from 0 to 1
	Run      string   // first part of every request's id
}

// Volley is a load that was begun. Whoever starts one stops it.
type Volley struct {
	load    Load
	stop    context.CancelFunc
	done    chan struct{}
	started time.Time
	kept    chan *Lane // free ones, the longest idle first
	room    chan struct{}

	mu      sync.Mutex
	records []record
	losses  []Loss
	opened  int
	dropped int // idle connections whose end was seen before use: no loss
	unsent  int
}

// Start begins a volley and returns.
func Start(l Load) *Volley {
	ctx, cancel := context.WithCancel(context.Background())
	v := &Volley{load: l, stop: cancel, done: make(chan struct{}), started: time.Now(), kept: make(chan *Lane, keptLanes), room: make(chan struct{}, mostLanes)}
	for range keptLanes {
		v.kept <- NewLane(v)
	}
	go func() {
		defer close(v.done)
		v.run(ctx)
	}()
	return v
}

// End ends the sending and awaits what is in flight, at the latest one timeout of
// the target after. Called again it does nothing.
func (v *Volley) End() {
	v.stop()
	<-v.done
}

// Sum is the volley so far: what was sent and has ended, and what of it was lost.
func (v *Volley) Sum() (ended, lost int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.records), len(v.losses)
}

// FirstLoss says how the first request that was lost was, "" where none was.
func (v *Volley) FirstLoss() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.losses) == 0 {
		return ""
	}
	return v.losses[0].String()
}

func (v *Volley) run(ctx context.Context) {
	var flying sync.WaitGroup
	unsent := Schedule{Start: v.started, Rate: v.load.Rate}.Run(ctx, func(n int, due time.Time) bool {
		select {
		case <-ctx.Done():
			return false
		case v.room <- struct{}{}:
		}
		x := v.load.Exchange
		x.ID = fmt.Sprintf("%s-%d", v.load.Run, n)
		l := v.lane(n)
		x.Fresh = l == nil
		flying.Go(func() {
			v.fire(l, x, due)
			<-v.room
		})
		return true
	})
	flying.Wait()
	v.mu.Lock()
	v.unsent = unsent
	v.mu.Unlock()
	for range keptLanes {
		(<-v.kept).HangUp()
	}
}

// lane takes a kept lane for the n-th request, nil where it is to have a connection
// of its own: because it is its turn, or because all kept ones are waiting.
func (v *Volley) lane(n int) *Lane {
	share := v.load.Fresh
	if math.Floor(float64(n+1)*share) > math.Floor(float64(n)*share) {
		return nil
	}
	select {
	case l := <-v.kept:
		return l
	default:
		return nil
	}
}

func (v *Volley) fire(l *Lane, x Exchange, due time.Time) {
	if l == nil {
		l = NewLane(v)
	} else {
		defer func() { v.kept <- l }()
	}
	resp, _, lost := l.Call(v.load.Target, &x)
	if lost == nil {
		lost = failed(&x, resp)
	}
	now := time.Now()
	r := record{due: due.Sub(v.started), took: now.Sub(due), status: resp.Status, lost: lost != nil}
	v.mu.Lock()
	defer v.mu.Unlock()
	if lost != nil {
		r.phase = lost.Phase
		v.losses = append(v.losses, Loss{At: r.due, ID: x.ID, Phase: lost.Phase, Err: lost.Err.Error()})
	}
	v.records = append(v.records, r)
}

// failed says why a whole answer is none: it is another request's, or the server's
// word that it could not.
func failed(x *Exchange, r Response) *Fault {
	switch {
	case r.ID != "" && r.ID != x.ID:
		return &Fault{Wrong, fmt.Errorf("the answer to %s", r.ID)}
	case r.Status >= 500:
		return &Fault{Status, fmt.Errorf("answered %d", r.Status)}
	}
	return nil
}

// Opened implements Watcher.
func (v *Volley) Opened() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.opened++
}

// Unusable implements Watcher.
func (v *Volley) Unusable(Idle) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dropped++
}
