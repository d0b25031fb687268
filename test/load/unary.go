package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"gesalpai.ch/steady/internal/drill"
)

// unary is a load of requests with one answer each.
type unary struct {
	target   target
	tally    *tally
	schedule schedule
	lanes    chan *drill.Lane                // the free ones, the longest idle first
	draw     func(n int, id string) exchange // called by one goroutine
}

func newUnary(t target, ty *tally, rate float64, lanes int, draw func(int, string) exchange) *unary {
	u := &unary{target: t, tally: ty, schedule: schedule{Start: ty.start, Rate: rate}, draw: draw, lanes: make(chan *drill.Lane, lanes)}
	for range lanes {
		u.lanes <- drill.NewLane(ty)
	}
	return u
}

// run fires until ctx ends, then waits for what is in flight.
func (u *unary) run(ctx context.Context) {
	var flying sync.WaitGroup
	unsent := u.schedule.Run(ctx, func(n int, due time.Time) bool {
		select {
		case <-ctx.Done():
			return false
		case l := <-u.lanes:
			x := u.draw(n, u.tally.id(n))
			u.tally.sent()
			flying.Go(func() {
				u.once(l, &x, n, due)
				u.lanes <- l
			})
			return true
		}
	})
	flying.Wait()
	u.tally.unsent(unsent)
	for range cap(u.lanes) {
		(<-u.lanes).HangUp()
	}
}

func (u *unary) once(l *drill.Lane, x *exchange, n int, due time.Time) {
	resp, sent, lost := l.Call(u.target, x)
	done := time.Now()
	if lost != nil {
		u.tally.lost(x.ID, lost)
		return
	}
	lost = wants(x, resp)
	u.tally.took(done.Sub(due))
	u.tally.status(resp.Status)
	u.tally.answered(Answer{
		N: n, Sent: sent.Sub(u.tally.start), Done: done.Sub(u.tally.start), Release: resp.Release, OK: lost == nil,
	})
	if lost != nil {
		u.tally.lost(x.ID, lost)
		return
	}
	u.tally.ok()
}

func (t *tally) id(n int) string { return requestID(t.run, t.sum.Load, n) }

// requestID is the X-Request-Id of a load's n-th request or stream.
func requestID(run, load string, n int) string { return run + "-" + load + "-" + strconv.Itoa(n) }

func drawGet(path string) func(int, string) exchange {
	return func(_ int, id string) exchange { return exchange{ID: id, Path: path} }
}

// drawFresh has every other connection ended by the server, the rest by the rig.
func drawFresh(path string) func(int, string) exchange {
	return func(n int, id string) exchange { return exchange{ID: id, Path: path, Fresh: true, Close: n%2 == 0} }
}

// drawSlow asks for delays evenly between 0 and longest.
func drawSlow(path string, longest time.Duration, fresh bool, rng *rand.Rand) func(int, string) exchange {
	joint := "?"
	if strings.Contains(path, "?") {
		joint = "&"
	}
	return func(_ int, id string) exchange {
		d := time.Duration(rng.Int64N(int64(longest) + 1))
		return exchange{ID: id, Path: fmt.Sprintf("%s%sd=%dms", path, joint, d.Milliseconds()), Fresh: fresh}
	}
}

const (
	smallBody = 8 << 10  // most bodies are at most so long
	largeBody = 64 << 10 // one in ten is at least so long, and at most twice that
)

// drawPost draws bodies as slices of one random block: no two are likely to be
// alike, and none costs anything. One in four is chunked.
func drawPost(path string, rng *rand.Rand) func(int, string) exchange {
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(rng.Uint32())
	}
	return func(_ int, id string) exchange {
		size := 1 + rng.IntN(smallBody)
		if rng.IntN(10) == 0 {
			size = largeBody + rng.IntN(largeBody+1)
		}
		at := rng.IntN(len(block) - size)
		return exchange{ID: id, Path: path, Body: block[at : at+size], Chunked: rng.IntN(4) == 0}
	}
}
