package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/rollout"
)

func tried(every time.Duration, steps ...float64) func(*steady.Spec) {
	return func(s *steady.Spec) { s.Canary = &steady.Canary{Steps: steps, Every: every} }
}

func byHand(s *steady.Spec) { s.Canary.Manual = true }

// standing says who serves and what is on trial: "1 at 5 %", "2 whole".
func (p *place) standing(service string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.routes[service]
	if r.Split == nil {
		return fmt.Sprintf("%d whole", r.Release)
	}
	return fmt.Sprintf("%d at %s", r.Release, steady.PercentText(r.Split.Percent))
}

func (p *place) stands(t *testing.T, want string) {
	t.Helper()
	eventually(t, func() bool { return p.standing("api") == want })
}

// trying deploys release 1, then begins to try release 2 out.
func trying(t *testing.T, cs ...func(*steady.Spec)) (*place, *daemon, steady.Rollout) {
	t.Helper()
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	return p, d, d.accept(t, p, request(spec("api", "v2", cs...)))
}

// texts are what was told of the stages.
func (p *place) texts(id int64) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, e := range p.events[id] {
		if e.Kind == steady.EventStage {
			out = append(out, fmt.Sprintf("%d %s", e.Stage.Number, e.Text))
		}
	}
	return out
}

func TestCanary_GetsMoreStepByStepAndThenAll(t *testing.T) {
	p, d, r := trying(t, tried(20*time.Millisecond, 5, 25, 50))
	end := d.await(t, p, r.ID)
	if end.State != steady.RolloutDone || p.standing("api") != "2 whole" || !slices.Equal(p.containers(), []string{"shop-api-2-1+"}) {
		t.Errorf("%s %v: %s, %v", end.State, end.Error, p.standing("api"), p.containers())
	}
	if got, want := p.texts(r.ID), []string{"1 begins", "2 begins", "3 begins"}; !slices.Equal(got, want) {
		t.Errorf("told %v", got)
	}
}

func TestCanary_IsPromotedByHand(t *testing.T) {
	p, d, r := trying(t, tried(0, 5, 25, 50), byHand)
	p.stands(t, "1 at 5 %")
	eventually(t, func() bool { return slices.Contains(p.texts(r.ID), "1 waits for somebody to promote it") })
	if s := d.Running("shop").Stage; s == nil || s.Number != 1 || s.Of != 3 || s.Share() != "5 %" {
		t.Errorf("stage %+v", s)
	}
	for i, want := range []string{"1 at 25 %", "1 at 50 %"} {
		if _, err := d.Promote(t.Context(), "shop", 0, false, "anna"); err != nil {
			t.Fatal(err)
		}
		p.stands(t, want)
		eventually(t, func() bool { s := d.Running("shop").Stage; return s != nil && s.Number == i+2 }) // the step begins behind its shift
	}
	if got := p.texts(r.ID); !slices.Contains(got, "2 promoted by anna") || !slices.Contains(got, "2 begins") {
		t.Errorf("told %v", got)
	}
	if _, err := d.Promote(t.Context(), "shop", r.ID, false, ""); err != nil {
		t.Fatal(err)
	}
	if end := d.await(t, p, r.ID); end.State != steady.RolloutDone || p.standing("api") != "2 whole" {
		t.Errorf("%s: %s", end.State, p.standing("api"))
	}
}

func TestCanary_IsPromotedToTheEnd(t *testing.T) {
	p, d, r := trying(t, tried(time.Hour, 5, 25, 50))
	p.stands(t, "1 at 5 %")
	if _, err := d.Pause(t.Context(), "shop", 0, ""); err != nil {
		t.Fatal(err)
	}
	if s, err := d.Promote(t.Context(), "shop", 0, true, ""); err != nil || s.Paused || s.Promoted != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
	if end := d.await(t, p, r.ID); end.State != steady.RolloutDone || p.standing("api") != "2 whole" {
		t.Errorf("%s: %s", end.State, p.standing("api"))
	}
}

func TestCanary_PausedStaysAlsoOverARestartAndResumes(t *testing.T) {
	p, d, r := trying(t, tried(300*time.Millisecond, 5, 25))
	p.stands(t, "1 at 5 %")
	if s, err := d.Pause(t.Context(), "shop", 0, ""); err != nil || !s.Paused {
		t.Fatal(err)
	}
	d.stop()
	if got := p.standing("api"); got != "1 at 5 %" {
		t.Fatalf("without a daemon: %s", got)
	}
	d = boot(t, p)
	eventually(t, func() bool { r := d.Running("shop"); return r != nil && r.Stage != nil })
	eventually(t, func() bool { return slices.Contains(p.texts(r.ID), "1 begins anew, with the daemon") })
	s := d.Running("shop").Stage
	if !s.Paused || s.Number != 1 || s.Left(time.Now().Add(time.Hour)) != s.For {
		t.Errorf("after a restart: %+v", s)
	}
	if _, err := d.Promote(t.Context(), "shop", 0, false, ""); err != nil {
		t.Fatal(err)
	}
	p.stands(t, "1 at 25 %")
	if s := d.Running("shop").Stage; !s.Paused {
		t.Errorf("promoted while it was paused: %+v", s)
	}
	if s, err := d.Resume(t.Context(), "shop", 0, ""); err != nil || s.Paused {
		t.Fatal(err)
	}
	if end := d.await(t, p, r.ID); end.State != steady.RolloutDone || p.standing("api") != "2 whole" {
		t.Errorf("%s: %s", end.State, p.standing("api"))
	}
}

func TestCanary_GoesOnWhereADaemonLeftIt(t *testing.T) {
	p, d, r := trying(t, tried(0, 5, 25, 50), byHand)
	p.stands(t, "1 at 5 %")
	for _, want := range []string{"1 at 25 %", "1 at 50 %", "2 whole"} {
		d.stop()
		d = boot(t, p)
		eventually(t, func() bool {
			_, err := d.Promote(t.Context(), "shop", r.ID, false, "")
			return err == nil
		})
		p.stands(t, want)
	}
	if end := d.await(t, p, r.ID); end.State != steady.RolloutDone || !slices.Equal(p.containers(), []string{"shop-api-2-1+"}) {
		t.Errorf("%s, %v", end.State, p.containers())
	}
}

func TestCanary_CrashAtEveryStepEndsWithOneReleaseWhole(t *testing.T) {
	for _, kind := range []string{steady.StepProbe, steady.StepShift, steady.StepWatch, steady.StepDrain, steady.StepStop, steady.StepRemove} {
		for _, when := range []string{"before", "after"} {
			t.Run(kind+":"+when, func(t *testing.T) {
				p := crashThenRestart(t, kind, when, tried(20*time.Millisecond, 5, 50))
				if got := p.standing("api"); got != "1 whole" && got != "2 whole" {
					t.Errorf("api stands at %s", got)
				}
			})
		}
	}
}

func TestCanary_AFailureGivesAllBackWhateverFailureActionSays(t *testing.T) {
	for _, action := range []string{steady.Rollback, steady.Pause, steady.Continue} {
		p, d, r := trying(t, tried(time.Hour, 5, 25), func(s *steady.Spec) { s.Update.FailureAction = action })
		p.stands(t, "1 at 5 %")
		if _, err := d.Pause(t.Context(), "shop", 0, ""); err != nil { // the gates go on
			t.Fatal(err)
		}
		p.mu.Lock()
		p.calls = nil
		c := p.replicas["shop-api-2-1"]
		c.Health = steady.HealthUnhealthy
		p.replicas["shop-api-2-1"] = c
		p.mu.Unlock()
		end := d.await(t, p, r.ID)
		if end.State != steady.RolloutRolledBack || p.standing("api") != "1 whole" || !slices.Equal(p.containers(), []string{"shop-api-1-1+"}) {
			t.Errorf("%s: %s %v: %s, %v", action, end.State, end.Error, p.standing("api"), p.containers())
		}
		after := slices.DeleteFunc(slices.Clone(p.calls), func(c string) bool { return strings.HasPrefix(c, "look at") || c == "planned" })
		if after[0] != "route" {
			t.Errorf("%s: first of all %v", action, after)
		}
		if _, err := d.Promote(t.Context(), "shop", 0, false, ""); !errors.Is(err, steady.ErrNotRunning) {
			t.Errorf("%s: promoted what is over: %v", action, err)
		}
	}
}

func TestCanary_ServicesOfOneRolloutGoTogetherAndBackTogether(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	both := func(v string) rollout.Request {
		web := spec("web", v, tried(time.Hour, 10), func(s *steady.Spec) { s.Ports[0].Published = 8080 })
		return request(spec("api", v, tried(time.Hour, 5, 25)), web)
	}
	d.deploy(t, p, both("v1"))
	r := d.accept(t, p, both("v2"))
	eventually(t, func() bool { return p.standing("api") == "1 at 5 %" && p.standing("web") == "1 at 10 %" })
	if _, err := d.Promote(t.Context(), "shop", 0, false, ""); err != nil {
		t.Fatal(err)
	}
	p.stands(t, "1 at 25 %")
	if got := p.standing("web"); got != "1 at 10 %" {
		t.Errorf("web stands at %s", got)
	}
	p.mu.Lock()
	c := p.replicas["shop-web-2-1"]
	c.State = steady.StateExited
	p.replicas["shop-web-2-1"] = c
	p.mu.Unlock()
	end := d.await(t, p, r.ID)
	if end.State != steady.RolloutRolledBack || p.standing("api") != "1 whole" || p.standing("web") != "1 whole" || !slices.Equal(p.containers(), []string{"shop-api-1-1+", "shop-web-1-1+"}) {
		t.Errorf("%s: api %s, web %s, %v", end.State, p.standing("api"), p.standing("web"), p.containers())
	}
}

func TestCanary_AbortGivesAllBack(t *testing.T) {
	p, d, r := trying(t, tried(time.Hour, 5, 25))
	p.stands(t, "1 at 5 %")
	if err := d.Abort("shop", 0); err != nil {
		t.Fatal(err)
	}
	if end := d.await(t, p, r.ID); end.State != steady.RolloutAborted || p.standing("api") != "1 whole" || !slices.Equal(p.containers(), []string{"shop-api-1-1+"}) {
		t.Errorf("%s: %s, %v", end.State, p.standing("api"), p.containers())
	}
}

func TestCanary_WhereNoneIsUnderWayThereIsNothingToSteer(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	if _, err := d.Pause(t.Context(), "shop", 0, ""); !errors.Is(err, steady.ErrNotRunning) {
		t.Errorf("no rollout: %v", err)
	}
	d.deploy(t, p, request(spec("api", "v1")))
	r := d.accept(t, p, request(spec("api", "v2", func(s *steady.Spec) { s.Update.Monitor = time.Hour })))
	p.stands(t, "2 whole")
	for name, ask := range map[string]func() error{
		"promote": func() error { _, err := d.Promote(t.Context(), "shop", r.ID, true, ""); return err },
		"pause":   func() error { _, err := d.Pause(t.Context(), "shop", r.ID, ""); return err },
		"resume":  func() error { _, err := d.Resume(t.Context(), "shop", r.ID, ""); return err },
	} {
		if err := ask(); !errors.Is(err, steady.ErrNotRunning) || steady.AsError(err).Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := d.Abort("shop", 0); err != nil {
		t.Fatal(err)
	}
	d.await(t, p, r.ID)
}

func TestCanary_IsOverOnceAllGoesToTheNewRelease(t *testing.T) {
	p, d, r := trying(t, tried(time.Hour, 5, 25), func(s *steady.Spec) { s.Update.Monitor = time.Hour })
	p.stands(t, "1 at 5 %")
	if _, err := d.Promote(t.Context(), "shop", 0, true, ""); err != nil {
		t.Fatal(err)
	}
	p.stands(t, "2 whole")
	if s := d.Running("shop").Stage; s != nil {
		t.Errorf("in the watch window: %+v", s)
	}
	if _, err := d.Pause(t.Context(), "shop", 0, ""); !errors.Is(err, steady.ErrNotRunning) {
		t.Errorf("paused what is over: %v", err)
	}
	if err := d.Abort("shop", 0); err != nil {
		t.Fatal(err)
	}
	if end := d.await(t, p, r.ID); end.State != steady.RolloutAborted || p.standing("api") != "1 whole" {
		t.Errorf("%s: %s", end.State, p.standing("api"))
	}
}

func TestCanary_WhatCannotBeStoredIsNotSaid(t *testing.T) {
	p, d, r := trying(t, tried(time.Hour, 5))
	p.stands(t, "1 at 5 %")
	eventually(t, func() bool { // the shift has been journalled
		p.mu.Lock()
		defer p.mu.Unlock()
		return slices.ContainsFunc(p.events[r.ID], func(e steady.Event) bool { return e.Kind == steady.EventStage })
	})
	p.mu.Lock()
	p.full = true
	p.mu.Unlock()
	if _, err := d.Pause(t.Context(), "shop", 0, ""); !errors.Is(err, steady.ErrStore) {
		t.Errorf("paused: %v", err)
	}
	p.mu.Lock()
	p.full = false
	p.mu.Unlock()
	if s := d.Running("shop").Stage; s == nil || s.Paused {
		t.Errorf("stage %+v", s)
	}
	if err := d.Abort("shop", 0); err != nil {
		t.Fatal(err)
	}
	d.await(t, p, r.ID)
}

// Whatever is asked for, in whatever order, and however often the daemon dies: at the
// end one release serves, whole, and nothing is left of the other.
func TestCanary_HoweverItIsSteeredOneReleaseServesAtTheEnd(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfNDistinct(rapid.Float64Range(0, 100), 1, 3, rapid.ID).Draw(rt, "steps")
		slices.Sort(steps)
		cs := []func(*steady.Spec){tried(time.Duration(rapid.IntRange(0, 3).Draw(rt, "ms"))*time.Millisecond, steps...)}
		if rapid.Bool().Draw(rt, "by hand") {
			cs = append(cs, byHand)
		}
		p, d, r := trying(t, cs...)
		ctx := context.Background()
		for range rapid.IntRange(0, 6).Draw(rt, "asked") {
			var err error
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0:
				_, err = d.Promote(ctx, "shop", r.ID, false, "")
			case 1:
				_, err = d.Promote(ctx, "shop", r.ID, true, "")
			case 2:
				_, err = d.Pause(ctx, "shop", r.ID, "")
			case 3:
				_, err = d.Resume(ctx, "shop", r.ID, "")
			case 4:
				err = d.Abort("shop", r.ID)
			case 5:
				d.stop()
				d = boot(t, p)
			}
			if err != nil && !errors.Is(err, steady.ErrNotRunning) {
				rt.Fatal(err)
			}
		}
		eventually(t, func() bool { // whatever stands is let go
			_, _ = d.Promote(ctx, "shop", r.ID, true, "")
			return p.state(r.ID).Final()
		})
		d.await(t, p, r.ID)
		d.stop()
		want, containers := "2 whole", "[shop-api-2-1+]"
		if end := p.state(r.ID); end.State != steady.RolloutDone {
			want, containers = "1 whole", "[shop-api-1-1+]"
		}
		if got := p.standing("api"); got != want || fmt.Sprint(p.containers()) != containers {
			rt.Fatalf("%s: %s, containers %v", p.state(r.ID).State, got, p.containers())
		}
	})
}
