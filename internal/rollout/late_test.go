package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/rollout"
)

// disk fills the store's disk, or makes room there.
func (p *place) disk(full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.full = full
}

// told waits until those who follow a rollout are told its end, or that it waits for the
// store, and gives that event.
func (d *daemon) told(t *testing.T, id int64) (rollout.Live, steady.Event) {
	t.Helper()
	late := time.After(soon)
	for {
		changed := d.Changed(id)
		if l, ok := d.Live(id); ok && l.Unstored != nil && (l.Ends || len(l.Events) > 0 && l.Events[len(l.Events)-1].Last()) {
			return l, l.Last()
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("nobody is told of the end of rollout %d", id)
		}
	}
}

// atProbe deploys release 1, then begins release 2 and has the disk full while its
// replica is probed.
func atProbe(t *testing.T, cs ...func(*steady.Spec)) (*place, *daemon, steady.Rollout) {
	t.Helper()
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1", cs...)))
	p.blocked["shop-api-2-1"] = make(chan struct{})
	r := d.accept(t, p, request(spec("api", "v2", cs...)))
	eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return slices.Contains(p.calls, "probe shop-api-2-1") })
	p.disk(true)
	close(p.blocked["shop-api-2-1"])
	return p, d, r
}

// storedWhole checks that the store has the rollout and all its events up to the end.
func (p *place) storedWhole(t *testing.T, id int64) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	events := p.events[id]
	for i, e := range events {
		if e.Seq != int64(i+1) || e.Last() != (i == len(events)-1) {
			t.Errorf("event %d of %d: %+v", i, len(events), e)
		}
	}
	if r := p.rollouts[id]; r.Receipt == nil || r.Ended.IsZero() {
		t.Errorf("stored %+v", r)
	}
}

func TestFullDisk_TheEndIsToldAtOnceAndStoredWhenThereIsRoom(t *testing.T) {
	p, d, r := atProbe(t)
	l, last := d.told(t, r.ID)
	if l.State != steady.RolloutFailed || last.Kind != steady.EventFailed || !errors.Is(last.Error, steady.ErrStore) || last.Error.Serving != 1 || last.Receipt == nil {
		t.Errorf("told %s: %+v, error %+v", l.State, last, last.Error)
	}
	if !strings.Contains(last.Error.Hint, "df -h; ") {
		t.Errorf("hint %q", last.Error.Hint)
	}
	if got := p.state(r.ID); got.Final() {
		t.Fatalf("the disk is not full: %+v", got)
	}
	if d.Running("shop") != nil || len(d.Underway()) > 0 || !slices.Equal(d.Unstored("shop"), []int64{r.ID}) {
		t.Errorf("running %v, under way %v, unstored %v", d.Running("shop"), d.Underway(), d.Unstored("shop"))
	}
	if err := d.Abort("shop", r.ID); !errors.Is(err, steady.ErrNotRunning) {
		t.Errorf("abort: %v", err)
	}
	if _, err := d.Accept(t.Context(), request(spec("api", "v3"))); !errors.Is(err, steady.ErrStore) || !strings.Contains(err.Error(), "rollout 2 of shop has ended (failed)") {
		t.Errorf("the next deploy: %v", err)
	}
	p.disk(false)
	if end := d.await(t, p, r.ID); end.State != steady.RolloutFailed || end.Error.Hint != "df -h" {
		t.Errorf("stored %s, %+v", end.State, end.Error)
	}
	p.storedWhole(t, r.ID)
	if r := d.deploy(t, p, request(spec("api", "v3"))); r.State != steady.RolloutDone {
		t.Errorf("then: %s, %v", r.State, r.Error)
	}
}

func TestFullDisk_TrafficGoesBackThoughTheShiftBackCannotBeStored(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	r := d.accept(t, p, request(spec("api", "v2", func(s *steady.Spec) { s.Update.Monitor = time.Hour })))
	eventually(t, func() bool { // the watch has begun: the shift before it is stored
		p.mu.Lock()
		defer p.mu.Unlock()
		return slices.ContainsFunc(p.events[r.ID], func(e steady.Event) bool { return e.Kind == steady.EventBegun && e.Step == steady.StepWatch })
	})
	p.disk(true)
	p.dies("shop-api-2-1")
	l, last := d.told(t, r.ID)
	if l.State != steady.RolloutUndoing || !errors.Is(last.Error, steady.ErrStore) || last.Kind != steady.EventFailed {
		t.Errorf("told %s: %+v", l.State, last.Error)
	}
	if got := p.route("api"); got != "1 [shop-api-1-1]" {
		t.Errorf("in force: %s", got)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+", "shop-api-2-1"}) {
		t.Errorf("containers %v: a daemon that starts now would go on with release 2", got)
	}
	if run := d.Running("shop"); run == nil || run.State != steady.RolloutUndoing {
		t.Errorf("running %+v", run)
	}
	p.disk(false)
	if end := d.await(t, p, r.ID); end.State != steady.RolloutRolledBack || !errors.Is(end.Error, steady.ErrExited) {
		t.Errorf("stored %s, %+v", end.State, end.Error)
	}
	p.storedWhole(t, r.ID)
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) || p.routes["api"].Release != 1 {
		t.Errorf("containers %v, stored route %+v", got, p.routes["api"])
	}
}

func TestFullDisk_AHeldServiceIsServedAgainAtOnce(t *testing.T) {
	held := func(s *steady.Spec) { s.State = []string{"data"} }
	p, d, r := atProbe(t, held)
	d.told(t, r.ID)
	if got := p.route("api"); got != "1 [shop-api-1-1]" {
		t.Errorf("in force: %s, calls %v", got, p.calls)
	}
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) {
		t.Errorf("containers %v", got)
	}
	p.disk(false)
	if end := d.await(t, p, r.ID); end.State != steady.RolloutFailed {
		t.Errorf("stored %s, %+v", end.State, end.Error)
	}
	if got := p.routes["api"]; got.Release != 1 || got.Hold != nil {
		t.Errorf("stored route %+v", got)
	}
}

func TestFullDisk_WhatIsDoneIsToldToBe(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	p.when("remove shop-api-1-1", func() { p.full = true })
	r := d.accept(t, p, request(spec("api", "v2")))
	l, last := d.told(t, r.ID)
	if l.State != steady.RolloutDone || last.Kind != steady.EventDone || !errors.Is(last.Error, steady.ErrStore) || last.Receipt == nil {
		t.Errorf("told %s: %+v, error %v", l.State, last, last.Error)
	}
	p.disk(false)
	if end := d.await(t, p, r.ID); end.State != steady.RolloutDone || end.Error != nil {
		t.Errorf("stored %s, %+v", end.State, end.Error)
	}
	p.storedWhole(t, r.ID)
}

// The daemon is started again, and again, while its disk is full.
func TestFullDisk_ADaemonThatStartsOnOneEndsWhatWasLeft(t *testing.T) {
	p, d, r := atProbe(t)
	d.told(t, r.ID)
	for range 2 {
		d.stop()
		d = boot(t, p)
		if l, last := d.told(t, r.ID); l.State != steady.RolloutFailed || !errors.Is(last.Error, steady.ErrStore) {
			t.Errorf("told %s: %+v", l.State, last.Error)
		}
	}
	p.disk(false)
	if end := d.await(t, p, r.ID); end.State != steady.RolloutFailed {
		t.Errorf("stored %s, %+v", end.State, end.Error)
	}
	p.storedWhole(t, r.ID)
	if got := p.containers(); !slices.Equal(got, []string{"shop-api-1-1+"}) {
		t.Errorf("containers %v", got)
	}
}

func TestFullDisk_ARolloutWhoseFirstEventIsNotTakenEnds(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	p.mu.Lock()
	p.fullIn = 3 // the files' digests and the acceptance are written before
	p.on["accept"] = func() { p.fullIn = 2 }
	p.mu.Unlock()
	if _, err := d.Accept(t.Context(), request(spec("api", "v2"))); !errors.Is(err, steady.ErrStore) {
		t.Fatalf("accepted: %v", err)
	}
	if l, _ := d.told(t, 2); l.State != steady.RolloutFailed {
		t.Errorf("told %s", l.State)
	}
	p.mu.Lock()
	p.on, p.full = map[string]func(){}, false
	p.mu.Unlock()
	if end := d.await(t, p, 2); end.State != steady.RolloutFailed || !errors.Is(end.Error, steady.ErrStore) {
		t.Errorf("stored %s, %+v", end.State, end.Error)
	}
}

// A release that runs once must not run again as its end could not be noted.
func TestFullDisk_ThatAServiceHasRunIsNotForgotten(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("web", "v1")))
	p.when("remove shop-web-1-1", func() {
		p.full = true
		c := p.replicas["shop-init-2-1"]
		c.State, c.ExitCode = steady.StateExited, 0
		p.replicas["shop-init-2-1"] = c
	})
	r := d.accept(t, p, request(spec("web", "v2"), spec("init", "v1", once)))
	d.told(t, r.ID)
	p.disk(false)
	if end := d.await(t, p, r.ID); end.State != steady.RolloutDone {
		t.Errorf("stored %s, %+v", end.State, end.Error)
	}
	if was, err := p.Release(t.Context(), "shop", "init", 2); err != nil || was.Done.IsZero() {
		t.Errorf("it would run again: %+v, %v", was, err)
	}
}

// Wherever in whatever rollout the disk gets full, and though the daemon dies meanwhile:
// those who follow are told within seconds, nothing that takes traffic is stopped, and
// when there is room all is as after any other mishap.
func TestFullDisk_WheneverItGetsFullNothingIsLostAndTheEndIsStored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, next, number := anyProject(t)
		told := story{before: p.stand(), next: next, number: number}
		ready := map[string]bool{}
		fills := rapid.IntRange(1, 120).Draw(t, "writes until the disk is full")
		for daemons := rapid.IntRange(1, 3).Draw(t, "daemons"); ; daemons-- {
			w := &wire{place: p, at: -1, ready: ready, new: number, fills: fills}
			told.wires = append(told.wires, w)
			if daemons > 1 && rapid.Bool().Draw(t, "dies") {
				w.at, w.how = rapid.IntRange(0, 200).Draw(t, "at call"), diesAfter
			}
			end := w.onFull(t, next, daemons == 1)
			next = rollout.Request{}
			if end != nil {
				told.judge(t, p, *end)
				return
			}
		}
	})
}

// onFull runs a daemon until those who follow the rollout are told its end. The last one
// gets room then, and goes on until the end is stored.
func (w *wire) onFull(t *rapid.T, q rollout.Request, last bool) *steady.Rollout {
	e := rollout.New(w, w, w, wired{w}, slog.New(slog.DiscardHandler))
	e.Host, e.WriteAgain = w, time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	w.died, w.on = cancel, q.Project == ""
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	if q.Project != "" {
		q.Options.WaitLock = soon
		if _, err := e.Accept(ctx, q); err != nil && !errors.Is(err, steady.ErrStore) && ctx.Err() == nil {
			t.Fatalf("accept: %v", err)
		}
	}
	id := w.newest()
	late, turn := time.After(soon), time.NewTicker(time.Millisecond)
	defer turn.Stop()
	for room := false; ; {
		if r := w.state(id); r.Final() {
			return &r
		}
		l, _ := e.Live(id)
		if told := l.Ends || len(l.Events) > 0 && l.Events[len(l.Events)-1].Last(); told && !room {
			if !last {
				return nil
			}
			w.disk(false)
			room = true
		}
		select {
		case <-turn.C:
			_ = steer(ctx, e, id, nil)
		case <-ctx.Done():
			return nil
		case <-late:
			t.Fatalf("rollout %d did not end, room %t: %+v\n%s", id, room, l.Rollout, fmt.Sprint(w.calls))
		}
	}
}
