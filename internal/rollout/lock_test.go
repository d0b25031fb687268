package rollout_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
	"gesalpai.ch/steady/internal/rollout"
)

// book is a LeaseBook in memory: what of it would be on disk.
type book struct {
	mu   sync.Mutex
	kept []steady.Lease
	full bool
}

func (b *book) drop(gone func(steady.Lease) bool) error {
	if b.full {
		return steady.ErrStore.With("the store is full", "df -h")
	}
	b.kept = slices.DeleteFunc(b.kept, gone)
	return nil
}

func (b *book) Leases(context.Context) ([]steady.Lease, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.kept), nil
}

func (b *book) BeatLease(ctx context.Context, l steady.Lease) error {
	err := b.DropLease(ctx, l.Rollout)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, l)
	return err
}

func (b *book) DropLease(_ context.Context, id int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.drop(func(l steady.Lease) bool { return l.Rollout == id })
}

func (b *book) KeepLeases(_ context.Context, project string, persons []steady.Lease) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.drop(func(l steady.Lease) bool { return l.Project == project && l.Kind == steady.LeasePerson })
	if err == nil {
		b.kept = append(b.kept, persons...)
	}
	return err
}

// locked boots an engine with a book.
func locked(t *testing.T, p *place, b *book) *daemon {
	t.Helper()
	e := rollout.New(p, p, p, journal{p}, slog.New(slog.DiscardHandler))
	e.Leases = b
	d := start(t, e)
	eventually(t, func() bool { // it takes none before it is up
		_, err := d.Unlock(t.Context(), "other", nil, "", false)
		return err == nil
	})
	return d
}

func lock(owner string, span time.Duration, services ...string) steady.Lease {
	return steady.Lease{Project: "shop", Services: services, Owner: owner, Message: "the fair is on", Expires: time.Now().Add(span)}
}

func TestLock_KeepsEverybodyFromDeployingUntilItIsReleased(t *testing.T) {
	p := newPlace()
	d := locked(t, p, &book{})
	d.deploy(t, p, request(spec("api", "v1")))
	got, err := d.Lock(t.Context(), lock("eva@host", time.Hour), "", 0)
	if err != nil || got.Kind != steady.LeasePerson || time.Until(got.Expires) < 59*time.Minute {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = d.Accept(t.Context(), request(spec("api", "v2")))
	if !errors.Is(err, steady.ErrBusy) || !strings.Contains(err.Error(), "locked by eva@host until") || !strings.Contains(err.Error(), "the fair is on") {
		t.Errorf("deploy: %v", err)
	}
	if _, err = d.Lock(t.Context(), lock("ben@host", time.Hour, "api"), "", 0); !errors.Is(err, steady.ErrBusy) {
		t.Errorf("a second lock: %v", err)
	}
	_, err = d.Unlock(t.Context(), "shop", nil, "ben@host", false)
	if e := steady.AsError(err); e.Code != steady.ErrBusy.Code || e.Hint != "steady lock release --force" {
		t.Errorf("another's release: %+v", e)
	}
	if gone, err := d.Unlock(t.Context(), "shop", nil, "ben@host", true); err != nil || len(gone) != 1 {
		t.Errorf("with force: %v, %v", gone, err)
	}
	if gone, err := d.Unlock(t.Context(), "shop", nil, "ben@host", false); err != nil || len(gone) != 0 {
		t.Errorf("none is held: %v, %v", gone, err)
	}
	if r := d.deploy(t, p, request(spec("api", "v2"))); r.State != steady.RolloutDone {
		t.Errorf("%s, %v", r.State, r.Error)
	}
}

func TestLock_OfOneServiceLeavesTheOthers(t *testing.T) {
	p := newPlace()
	d := locked(t, p, &book{})
	if _, err := d.Lock(t.Context(), lock("eva@host", time.Hour, "web"), "", 0); err != nil {
		t.Fatal(err)
	}
	if r := d.deploy(t, p, request(spec("api", "v1"))); r.State != steady.RolloutDone {
		t.Errorf("%s, %v", r.State, r.Error)
	}
	if _, err := d.Accept(t.Context(), rollout.Request{Kind: steady.KindDown, Project: "shop"}); !errors.Is(err, steady.ErrBusy) {
		t.Errorf("down: %v", err)
	}
}

// Whoever waits is let in when the lock expires, though nobody does anything.
func TestLock_ThatExpiresKeepsNobodyWaiting(t *testing.T) {
	p := newPlace()
	d := locked(t, p, &book{})
	if _, err := d.Lock(t.Context(), lock("eva@host", 50*time.Millisecond), "", 0); err != nil {
		t.Fatal(err)
	}
	p.images["shop/api:v1"] = steady.Image{ID: "v1"}
	q := request(spec("api", "v1"))
	q.Options.WaitLock = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	r, err := d.Accept(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	d.await(t, p, r.ID)
	if h := d.Holds("shop"); len(h.Held) != 0 {
		t.Errorf("%+v", h)
	}
}

func TestLock_OutlivesTheDaemonAndExpiresWithoutIt(t *testing.T) {
	p, b := newPlace(), &book{}
	first := locked(t, p, b)
	if _, err := first.Lock(t.Context(), lock("eva@host", time.Hour), "", 0); err != nil {
		t.Fatal(err)
	}
	first.stop()
	second := locked(t, p, b)
	if _, err := second.Accept(t.Context(), request(spec("api", "v1"))); !errors.Is(err, steady.ErrBusy) {
		t.Errorf("deploy: %v", err)
	}
	second.stop()
	b.mu.Lock()
	b.kept[0].Expires = time.Now()
	b.mu.Unlock()
	third := locked(t, p, b)
	if r := third.deploy(t, p, request(spec("api", "v1"))); r.State != steady.RolloutDone {
		t.Errorf("%s, %v", r.State, r.Error)
	}
}

func TestLock_ThatCannotBeKeptIsNotHeld(t *testing.T) {
	p := newPlace()
	d := locked(t, p, &book{})
	d.Leases.(*book).full = true
	if _, err := d.Lock(t.Context(), lock("eva@host", time.Hour), "", 0); !errors.Is(err, steady.ErrStore) {
		t.Errorf("lock: %v", err)
	}
	if h := d.Holds("shop"); len(h.Held) != 0 {
		t.Errorf("%+v", h)
	}
	d.Leases.(*book).full = false
	if _, err := d.Lock(t.Context(), lock("eva@host", time.Hour), "", 0); err != nil {
		t.Fatal(err)
	}
	d.Leases.(*book).full = true
	if gone, err := d.Unlock(t.Context(), "shop", nil, "eva@host", false); !errors.Is(err, steady.ErrStore) || len(gone) > 0 || len(d.Holds("shop").Held) != 1 {
		t.Errorf("a lock whose release cannot be kept: %v, %v, held %+v", gone, err, d.Holds("shop").Held)
	}
	d.Leases.(*book).full = false
	if gone, err := d.Unlock(t.Context(), "shop", nil, "eva@host", false); err != nil || len(gone) != 1 || len(d.Holds("shop").Held) != 0 {
		t.Errorf("released: %v, %v", gone, err)
	}
	if _, err := d.Lock(t.Context(), lock("eva@host", -time.Second), "", 0); !errors.Is(err, steady.ErrUsage) {
		t.Errorf("for no time: %v", err)
	}
}

// A rollout's lease is shown with its step and heartbeat, is nobody's to release, and
// is gone with the rollout; the next daemon takes that of one it takes up.
func TestLease_OfARolloutLivesAndEndsWithIt(t *testing.T) {
	p, b := newPlace(), &book{}
	d := locked(t, p, b)
	gate := make(chan struct{})
	p.blocked["shop-api-1-1"] = gate
	q := request(spec("api", "v1"))
	q.Options.Who = "anna@ci"
	r := d.accept(t, p, q)
	eventually(t, func() bool { return p.called("probe shop-api-1-1") })
	held := d.Holds("shop").Held
	if len(held) != 1 || held[0].Holder() != "rollout 1 of anna@ci (step api/probe/shop-api-1-1)" || held[0].Beat.IsZero() || held[0].Expired(time.Now()) {
		t.Errorf("%+v", held)
	}
	eventually(t, func() bool { kept, _ := b.Leases(t.Context()); return len(kept) == 1 && kept[0].Rollout == r.ID })
	_, err := d.Unlock(t.Context(), "shop", nil, "anna@ci", true)
	if e := steady.AsError(err); e == nil || e.Code != steady.ErrBusy.Code || e.Hint != "steady abort 1" {
		t.Errorf("release: %+v", e)
	}
	d.stop() // as it stands: the next one takes it up
	if kept, _ := b.Leases(t.Context()); len(kept) != 1 {
		t.Errorf("kept %+v", kept)
	}
	p.mu.Lock()
	p.blocked["shop-api-1-1"] = nil
	p.mu.Unlock()
	second := locked(t, p, b)
	second.await(t, p, r.ID)
	eventually(t, func() bool { kept, _ := b.Leases(t.Context()); return len(kept) == 0 })
}

func TestLease_OfARolloutThatHasEndedIsDropped(t *testing.T) {
	b := &book{kept: []steady.Lease{{Project: "shop", Services: []string{"api"}, Kind: steady.LeaseRollout, Rollout: 9, Expires: time.Now().Add(time.Hour)}}}
	p := newPlace()
	d := locked(t, p, b)
	if kept, _ := b.Leases(t.Context()); len(kept) != 0 {
		t.Errorf("kept %+v", kept)
	}
	if r := d.deploy(t, p, request(spec("api", "v1"))); r.State != steady.RolloutDone {
		t.Errorf("%s, %v", r.State, r.Error)
	}
}

// The first to come is the first to be served; who comes without waiting does not
// overtake, and who gives up keeps nobody back.
func TestAccept_WaitersAreServedInTheOrderInWhichTheyCame(t *testing.T) {
	p := newPlace()
	d := locked(t, p, &book{})
	for _, v := range []string{"v1", "v2", "v3", "v4"} {
		p.images["shop/api:"+v] = steady.Image{ID: v}
	}
	if _, err := d.Lock(t.Context(), lock("eva@host", time.Hour), "", 0); err != nil {
		t.Fatal(err)
	}
	quits, quit := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i, v := range []string{"v1", "v2", "v3", "v4"} {
		q := request(spec("api", v))
		q.Options.WaitLock, q.Options.Who, q.Options.Ticket = soon, v, v
		ctx := t.Context()
		if v == "v2" {
			ctx = quits
		}
		all.Go(func() {
			if _, err := d.Accept(ctx, q); (err == nil) == (v == "v2") {
				t.Errorf("%s: %v", v, err)
			}
		})
		eventually(t, func() bool { return len(d.Holds("shop").Waiting) == i+1 })
	}
	w := d.Holds("shop").Waiting
	if w[0].For != "the lock of eva@host (the fair is on)" || w[3].For != w[0].For || w[2].Ticket != "v3" || w[3].What != "deploy" {
		t.Errorf("waiting: %+v", w)
	}
	quit()
	eventually(t, func() bool { return len(d.Holds("shop").Waiting) == 3 })
	if _, err := d.Unlock(t.Context(), "shop", nil, "eva@host", false); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	eventually(t, func() bool { return d.Running("shop") == nil })
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, v := range []string{"v1", "v3", "v4"} {
		if got := p.rollouts[int64(i+1)].Who; got != v {
			t.Errorf("rollout %d is of %s, want %s", i+1, got, v)
		}
	}
}

func TestAccept_WhoDoesNotWaitDoesNotOvertake(t *testing.T) {
	p := newPlace()
	d := locked(t, p, &book{})
	p.images["shop/api:v1"] = steady.Image{ID: "v1"}
	if _, err := d.Lock(t.Context(), lock("eva@host", time.Hour, "web"), "", 0); err != nil {
		t.Fatal(err)
	}
	q := request(spec("api", "v1"), spec("web", "v1", func(s *steady.Spec) { s.Ports[0].Published = 8080 }))
	q.Options.WaitLock, q.Options.Who = 200*time.Millisecond, "anna@ci"
	var waits sync.WaitGroup
	waits.Go(func() {
		if _, err := d.Accept(t.Context(), q); !errors.Is(err, steady.ErrBusy) || !strings.Contains(err.Error(), "locked by eva@host") {
			t.Errorf("who waited in vain: %v", err)
		}
	})
	eventually(t, func() bool { return len(d.Holds("shop").Waiting) == 1 })
	if _, err := d.Accept(t.Context(), request(spec("api", "v1"))); !errors.Is(err, steady.ErrBusy) || !strings.Contains(err.Error(), "anna@ci waits") {
		t.Errorf("who does not wait: %v", err)
	}
	waits.Wait()
	if r := d.deploy(t, p, request(spec("api", "v1"))); r.State != steady.RolloutDone {
		t.Errorf("%s, %v", r.State, r.Error)
	}
}

// A request that follows from what serves is made anew when its turn has come: one
// to scale must not bring back the release that served when it was asked for.
func TestAccept_WhatFollowsFromWhatServesIsAskedAgainWhenItsTurnHasCome(t *testing.T) {
	p := newPlace()
	d := locked(t, p, &book{})
	d.deploy(t, p, request(spec("api", "v1")))
	p.blocked["shop-api-2-1"] = make(chan struct{})
	second := d.accept(t, p, request(spec("api", "v2")))
	more := func(ctx context.Context) (rollout.Request, error) {
		serving, err := p.Serving(ctx, "shop")
		r := serving["api"]
		r.Spec.Replicas = 2
		return rollout.Request{Kind: steady.KindScale, Project: "shop", Targets: []plan.Target{{Release: r, Asked: true}}, Options: steady.Options{WaitLock: soon}}, err
	}
	q, err := more(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	q.Again = more
	var scaled steady.Rollout
	var waits sync.WaitGroup
	waits.Go(func() {
		var err error
		if scaled, err = d.Accept(t.Context(), q); err != nil {
			t.Error(err)
		}
	})
	eventually(t, func() bool { return len(d.Holds("shop").Waiting) == 1 })
	close(p.blocked["shop-api-2-1"])
	d.await(t, p, second.ID)
	waits.Wait()
	d.await(t, p, scaled.ID)
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-2-1+", "shop-api-2-2+"}) {
		t.Errorf("containers %v", got)
	}

	// Where it comes to be about others, it has the leases of those.
	both := func(context.Context) (rollout.Request, error) {
		q := request(spec("api", "v3"), spec("web", "v3", func(s *steady.Spec) { s.Ports[0].Published = 8080 }))
		for _, tg := range q.Targets {
			p.mu.Lock()
			p.images[tg.Release.Spec.Image] = steady.Image{ID: "id-" + tg.Release.Spec.Image}
			p.mu.Unlock()
		}
		return q, nil
	}
	q = request(spec("api", "v3"))
	q.Again = both
	r, err := d.Accept(t.Context(), q)
	if err != nil || !slices.Equal(r.Services, []string{"api", "web"}) {
		t.Fatalf("%+v, %v", r, err)
	}
	d.await(t, p, r.ID)
}

// A warm release is retired beside a person's lock, whose owner may release it all the
// same, whatever the drain takes.
func TestLock_IsReleasedWhileAWarmReleaseIsRetired(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	p.blocked["drain shop-api-1-1"] = make(chan struct{}) // for ever
	d.deploy(t, p, request(spec("api", "v1")))
	d.deploy(t, p, request(spec("api", "v2", keptFor(50*time.Millisecond))))
	eventually(t, func() bool { return p.called("drain [shop-api-1-1]") })
	if _, err := d.Lock(t.Context(), lock("anna@ci", time.Hour), "", soon); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return len(d.Holds("shop").Held) == 2 }) // it had yielded, and goes on beside
	gone, err := d.Unlock(t.Context(), "shop", nil, "anna@ci", false)
	if err != nil || len(gone) != 1 {
		t.Errorf("released %v, %v", gone, err)
	}
	if held := d.Holds("shop").Held; len(held) != 1 || held[0].Owner == "" || held[0].Since.IsZero() {
		t.Errorf("nobody knows whose lease this is: %+v", held)
	}
}
