package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"gesalpai.ch/steady"
)

// Figures of the question to an elder.
const (
	// elderWithin is how long an elder may take to the head of its answer. The
	// client waits meanwhile, for what would else have been a 404.
	elderWithin = 2 * time.Second
	// ownRest is how much of an answer that is not passed on is read, in bytes, so
	// that its connection can be used again; and restWithin for how long.
	ownRest    = 16 << 10
	restWithin = 5 * time.Millisecond
)

var errSlowElder = errors.New("the elder gave no answer in time")

// aside is the question to an elder, a replica of the release before that takes no
// traffic any more, beside the 404 of the upstream claimed. It is in flight at both
// until the exchange is over, so the drain of either waits.
type aside struct {
	flight
	x      *exchange
	elder  *upstream
	ctx    context.Context
	cancel context.CancelCauseFunc
	passed atomic.Bool // its answer is the client's

	own  *http.Response // the claimed one's 404, whole, until it is known whose is passed on
	line *lineUse
}

// recall asks an elder for what the upstream claimed answers 404, where that may be
// an asset of the release before, and gives the answer to be passed on: the elder's
// where it has one, else the 404 untouched. It is asked once, and the exchange stays
// the claimed one's in every count but Counts.Elder.
func (x *exchange) recall(res *http.Response, out *http.Request) *http.Response {
	if res.StatusCode != http.StatusNotFound || !x.recallable(out) {
		return res
	}
	a := &aside{x: x, own: res, line: x.answer.line}
	a.ender, a.from, a.header = a, x.from, x.header
	a.ctx, a.cancel = context.WithCancelCause(out.Context()) // before the claim: from then on it may be cut
	a.elder = x.pool.claimElder(&a.flight, x.upstream.Release)
	if a.elder == nil {
		a.cancel(nil)
		return res
	}
	x.aside = a
	a.elder.count.elder.Add(1)
	x.answer.line = nil
	if theirs := a.ask(out); theirs != nil {
		a.passed.Store(true)
		return theirs
	}
	x.answer.line = a.line
	return res
}

// recallable says whether a request may be asked of an elder at all: one that only
// reads, that has no body, and whose connection stays what it is.
func (x *exchange) recallable(out *http.Request) bool {
	method := x.in.Method == http.MethodGet || x.in.Method == http.MethodHead
	return method && x.body == nil && x.aside == nil && x.plain(out) && x.pool.lends(x.in.URL)
}

// ask gives the elder's answer, nil where it has none that helps.
func (a *aside) ask(out *http.Request) *http.Response {
	x := a.x
	late := time.AfterFunc(elderWithin, func() { a.cancel(errSlowElder) })
	res, err := x.send(a.elder, out.WithContext(a.ctx), true)
	inTime := late.Stop()
	if !inTime {
		x.pool.tarried(a.elder)
	}
	if err != nil {
		return nil
	}
	if !inTime || a.ctx.Err() != nil || !helps(res) {
		drop(res, x.answer.line)
		return nil
	}
	return res
}

// helps says whether an elder's answer is better than a 404.
func helps(res *http.Response) bool {
	switch {
	case res.StatusCode == http.StatusNotFound, res.StatusCode >= http.StatusInternalServerError,
		res.StatusCode == http.StatusSwitchingProtocols:
		return false
	}
	return !isEvents(res)
}

// over leaves the elder, and lets go of the answer that was not passed on.
func (a *aside) over() {
	if a == nil {
		return
	}
	if a.passed.Load() {
		drop(a.own, a.line)
	}
	a.cancel(nil)
	a.x.pool.leave(&a.flight)
}

// drop reads the little that is left of an answer, so that its connection can be
// used again, and closes it.
func drop(res *http.Response, l *lineUse) {
	if l == nil {
		_ = res.Body.Close()
		return
	}
	_ = l.conn.SetReadDeadline(time.Now().Add(restWithin))
	n, err := io.CopyN(io.Discard, res.Body, ownRest+1)
	_ = l.conn.SetReadDeadline(time.Time{})
	l.done(n <= ownRest && errors.Is(err, io.EOF))
}

// cut implements ender: before the elder's head has come the 404 is left to answer
// with.
func (a *aside) cut() {
	a.cancel(errCut)
	if a.passed.Load() {
		a.x.cut()
	}
}

func (a *aside) end(time.Duration) {}
func (a *aside) how() int          { return byItself }
func (a *aside) peer() string      { return a.x.peer() }

// lends says whether what a URL names may be an asset of the release before.
func (p *pool) lends(u *url.URL) bool {
	p.mu.Lock()
	some, assets := len(p.elders) > 0, p.assets
	p.mu.Unlock()
	return some && steady.IsAsset(assets, u.EscapedPath(), u.Path)
}

// claimElder claims the least busy elder of another release that is neither failing
// nor being drained, nil where there is none. Once a shift that leaves an elder out
// has returned, nothing can be claimed on it.
func (p *pool) claimElder(f *flight, release int) *upstream {
	p.mu.Lock()
	defer p.mu.Unlock()
	var best *upstream
	for _, u := range p.elders {
		if u.Release == release || !u.known() || u.failing() || len(u.tallies) > 0 {
			continue
		}
		if best == nil || u.flights.total() < best.flights.total() {
			best = u
		}
	}
	if best == nil {
		return nil
	}
	f.upstream = best
	best.flights.add(f)
	return best
}

// tarried keeps others from waiting for an upstream that was too slow, for a while.
func (p *pool) tarried(u *upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u.failedAt = time.Now()
}

// age puts a table's elders in force, and gives the upstreams that are none any
// more. p.mu is held, and the upstreams in force are those of the table already.
func (p *pool) age(as steady.Pool) []*upstream {
	before := p.elders
	p.elders, p.assets = nil, as.Assets
	for _, u := range before {
		u.elder = false
	}
	for _, s := range as.Elders {
		u := p.upstream(s)
		u.elder = true
		p.elders = append(p.elders, u)
	}
	return slices.DeleteFunc(before, func(u *upstream) bool { return u.elder })
}

// aged says whether those are the elders in force already.
func (p *pool) aged(as steady.Pool) bool {
	return slices.Equal(p.assets, as.Assets) &&
		slices.EqualFunc(p.elders, as.Elders, func(u *upstream, s steady.Upstream) bool { return u.Upstream == s })
}

// checkElders says what is wrong with a pool's elders and assets.
func checkElders(p steady.Pool) error {
	if err := steady.CheckAssets(p.Assets); err != nil {
		return badTable("pool %s: %v", p.Name, err)
	}
	routed := func(u steady.Upstream) bool {
		return slices.ContainsFunc(p.Upstreams, func(r steady.Upstream) bool { return r.ID == u.ID })
	}
	if slices.ContainsFunc(p.Elders, routed) {
		return badTable("pool %s: an elder takes traffic", p.Name)
	}
	return checkUpstreams(steady.Pool{Name: p.Name, Upstreams: p.Elders})
}
