package rollout_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/rollout"
)

// TestRollout_HoweverItFailsOneReleaseServesAndNothingIsLeft draws a project in any
// shape, a rollout of all its services, whatever somebody asks of its canaries, and up
// to two mishaps: a call that fails, a daemon that dies, an abort or a death, at any
// moment of the rollout, its undo or its recovery. However it goes: no replica is
// stopped while it takes traffic, none takes traffic unasked, and in the end all
// services are at the new release or all are where they were, and nothing else is
// there: no gate is shut, nothing is split, nobody is asked for assets who has gone.
func TestRollout_HoweverItFailsOneReleaseServesAndNothingIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, next, number := anyProject(t)
		before := p.stand()
		mishaps := rapid.IntRange(1, 2).Draw(t, "mishaps")
		asked := rapid.SliceOfN(rapid.IntRange(0, 3), 0, 4).Draw(t, "asked of the canary")
		told := story{before: before, next: next, number: number}
		ready := map[string]bool{}
		for n := 0; ; n++ {
			w := &wire{place: p, at: -1, ready: ready, new: number}
			if n < mishaps {
				w.at = rapid.IntRange(0, 200>>n).Draw(t, "mishap at call")
				w.how = rapid.SampledFrom([]string{failsBefore, failsAfter, diesBefore, diesAfter, aborted, kills, killsOld}).Draw(t, "mishap")
			}
			told.wires = append(told.wires, w)
			request := next
			if n > 0 {
				request = rollout.Request{}
			}
			end := w.live(t, request, asked)
			told.lines = append(told.lines, fmt.Sprintf("%s: the call %q %s", w.how, w.last, w.how))
			if end != nil {
				told.judge(t, p, *end)
				return
			}
		}
	})
}

// live runs one daemon until the rollout has ended, or it has died: then it gives nil.
func (w *wire) live(t *rapid.T, q rollout.Request, asked []int) *steady.Rollout {
	e := rollout.New(w, w, w, wired{w}, slog.New(slog.DiscardHandler))
	e.Host = w
	ctx, cancel := context.WithCancel(context.Background())
	w.died = cancel
	w.abort = func() { _ = e.Abort("shop", 0) }
	w.on = q.Project == ""
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	if q.Project != "" {
		q.Options.WaitLock = soon
		if _, err := e.Accept(ctx, q); err != nil {
			t.Fatalf("accept: %v", err)
		}
	}
	id := w.newest()
	late, turn := time.After(soon), time.NewTicker(5*time.Millisecond)
	defer turn.Stop()
	for {
		changed := e.Changed(id)
		if r := w.state(id); r.Final() {
			return &r
		}
		select {
		case <-changed:
		case <-turn.C:
			asked = steer(ctx, e, id, asked)
		case <-ctx.Done():
			return nil
		case <-late:
			t.Fatalf("rollout %d did not end; calls: %v", id, w.calls)
		}
	}
}

// steer asks the next thing of a canary that is under way, and in the end that it go
// on.
func steer(ctx context.Context, e *rollout.Engine, id int64, asked []int) []int {
	if r := e.Running("shop"); r == nil || r.Stage == nil {
		return asked
	}
	if len(asked) == 0 {
		_, _ = e.Promote(ctx, "shop", id, true, "")
		return nil
	}
	switch asked[0] {
	case 0:
		_, _ = e.Promote(ctx, "shop", id, false, "")
	case 1:
		_, _ = e.Pause(ctx, "shop", id, "")
	case 2:
		_, _ = e.Resume(ctx, "shop", id, "")
	}
	return asked[1:]
}

func (p *place) newest() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Max(slices.Collect(maps.Keys(p.rollouts)))
}

// stand is all that a visitor or an operator could see.
func (p *place) stand() map[string]string {
	out := map[string]string{}
	for _, c := range p.containers() {
		out[strings.TrimSuffix(c, "+")] = "stands"
		if strings.HasSuffix(c, "+") {
			out[strings.TrimSuffix(c, "+")] = "runs"
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for s, w := range p.kept {
		out["route of "+s+", warm"] = fmt.Sprint(w.Release)
	}
	for s, r := range p.routes {
		out["route of "+s] = fmt.Sprint(r.Release, r.Replicas)
		if r.Hold != nil || r.Split != nil {
			out["route of "+s] += fmt.Sprintf(" held %t, split %t", r.Hold != nil, r.Split != nil)
		}
	}
	return out
}

// story is what happened, by which its end is judged.
type story struct {
	before map[string]string
	next   rollout.Request
	number int // of the release that was wanted
	wires  []*wire
	lines  []string
}

// judge fails the test where the rollout did not end as it must.
func (s story) judge(t *rapid.T, p *place, end steady.Rollout) {
	text := fmt.Sprintf("%s\nended %s: %v\nplan:\n%s\ncalls %v", strings.Join(s.lines, "\n"), end.State, end.Error, p.plans[end.ID], p.calls)
	for _, w := range s.wires {
		if len(w.wrong) > 0 {
			t.Fatalf("%v\n%s", w.wrong, text)
		}
	}
	done := end.State == steady.RolloutDone
	if end.State == steady.RolloutPaused {
		s.standsStill(t, p, text)
		return
	}
	want, got := maps.Clone(s.before), p.stand()
	if done {
		want = s.wanted(p.plans[end.ID])
	}
	for name := range s.before { // kept warm it had died, and whoever took it over has left it away again
		if got[name] == "" && s.fresh(name) && !done && (s.before[name] == "stands" || s.killed(name)) {
			delete(want, name)
		}
	}
	for name := range maps.Clone(got) {
		switch old := !s.fresh(name) && !strings.HasPrefix(name, "route of"); {
		case done && old && want[name] == "" && (s.killed(name) || got[name] == "stands" && s.failed("remove ")):
			delete(got, name) // what tidies up may fail, and one that died on the way may have been kept
		case done && want[name] == "runs" && s.killed(name):
			got[name] = "runs" // it died unseen: no watch window was asked for, or it was over
		case want[name] != "" && (s.before[name] == "stands" || s.killed(name)) && (old || !done):
			got[name] = want[name] // it had died by itself; an undo that needs it starts it again
		}
	}
	if !maps.Equal(got, want) {
		t.Fatalf("what stands: %v\nwant         %v\n%s", got, want, text)
	}
	for service, r := range p.routes {
		for _, e := range r.Elders {
			c, there := p.replicas[e]
			died := s.killed(e) || s.before[e] == "stands"
			if !there && !(died && s.fresh(e)) || there && !c.Running() && !died || slices.Contains(r.Replicas, e) {
				t.Fatalf("%s is asked for assets of %s\n%s", e, service, text)
			}
		}
	}
}

// standsStill judges a rollout that was left as it stood: whatever was served is
// served by somebody.
func (s story) standsStill(t *rapid.T, p *place, text string) {
	for service, r := range p.routes {
		lives := slices.ContainsFunc(r.Replicas, func(n string) bool { return p.replicas[n].Running() || s.killed(n) || s.before[n] == "stands" })
		if !lives || r.Hold != nil || r.Split != nil {
			t.Fatalf("%s stands at %+v\n%s", service, r, text)
		}
	}
	for what := range s.before {
		service, is := strings.CutPrefix(what, "route of ")
		if is && !strings.HasSuffix(what, ", warm") && p.routes[service].Release == 0 {
			t.Fatalf("nobody serves %s\n%s", service, text)
		}
	}
}

// wanted is what stands where all has gone as planned.
func (s story) wanted(p steady.Plan) map[string]string {
	want := map[string]string{}
	for _, tg := range s.next.Targets {
		service, r := tg.Release.Service, tg.Release
		r.Number = s.number
		var names []string
		for n := range r.Spec.Replicas {
			names = append(names, r.ReplicaName(n+1))
			want[names[n]] = "runs"
		}
		want["route of "+service] = fmt.Sprint(s.number, names)
		v, _ := p.Of(service)
		switch was := s.before["route of "+service+", warm"]; {
		case v.Warm > 0:
			want["route of "+service+", warm"] = fmt.Sprint(v.From)
		case was != "" && v.Strategy == steady.StrategyKeep:
			want["route of "+service+", warm"] = was
		}
		for name, how := range s.before {
			if v.Warm > 0 && how == "runs" && strings.HasPrefix(name, fmt.Sprintf("shop-%s-%d-", service, v.From)) && !s.killed(name) {
				want[name] = "runs"
			}
		}
	}
	return want
}

func (s story) fresh(name string) bool { return strings.Contains(name, fmt.Sprintf("-%d-", s.number)) }

func (s story) failed(call string) bool {
	return slices.ContainsFunc(s.wires, func(w *wire) bool { return strings.HasPrefix(w.last, call) })
}

func (s story) killed(name string) bool {
	return slices.ContainsFunc(s.wires, func(w *wire) bool { return w.killed == name })
}

// anyProject draws up to three services, each never deployed, deployed, or made by
// docker compose, and asks for a next release of all, whose number it gives. Of those
// deployed the release before may be warm, and the next one be that.
func anyProject(t *rapid.T) (p *place, next rollout.Request, number int) {
	p = newPlace()
	var old, new []steady.Spec
	for i := range rapid.IntRange(1, 3).Draw(t, "services") {
		name := fmt.Sprintf("s%d", i)
		s := anySpec(t, i)
		o := spec(name, "v1", func(x *steady.Spec) {
			image := x.Image
			*x = s
			x.Image, x.Replicas, x.Canary = image, rapid.IntRange(1, 3).Draw(t, "old replicas"), nil
			x.Update.Monitor = 0
			if x.Hooks != nil {
				x.Hooks = &steady.Hooks{Stop: x.Hooks.Stop}
			}
		})
		switch rapid.IntRange(0, 3).Draw(t, "before") {
		case 0:
		case 1:
			composed(p, name, s)
		default:
			old = append(old, o)
		}
		new = append(new, s)
	}
	next, number = request(new...), 2
	p.deployed(t, old...)
	if len(old) > 0 && rapid.Bool().Draw(t, "deployed twice") {
		number = 3
		for i := range old {
			old[i].Image += "b"
		}
		p.deployed(t, old...)
		if len(old) == len(new) && rapid.Bool().Draw(t, "goes back") {
			next.Kind, number = steady.KindRollback, 1
			for i := range next.Targets {
				next.Targets[i].Release, _ = p.find(next.Targets[i].Release.Service, 1)
			}
		}
	}
	if len(old) == 0 { // so that the next one is release 2 whatever was before
		p.releases = append(p.releases, steady.Release{Project: "shop", Service: "gone", Number: 1})
	}
	for _, tg := range next.Targets {
		p.images[tg.Release.Spec.Image] = steady.Image{Ref: tg.Release.Spec.Image, ID: "id-" + tg.Release.Spec.Image}
	}
	for _, name := range slices.Sorted(maps.Keys(p.replicas)) {
		if p.replicas[name].Release > 0 && rapid.IntRange(0, 9).Draw(t, "died before") == 0 {
			p.dies(name)
		}
	}
	p.calls = nil
	return p, next, number
}

// deployed has the specs serve.
func (p *place) deployed(t *rapid.T, specs ...steady.Spec) {
	if len(specs) == 0 {
		return
	}
	for i, s := range specs {
		p.images[s.Image] = steady.Image{Ref: s.Image, ID: "id-" + s.Image}
		if h := s.Hooks; h != nil && h.Stop != nil { // it shall work this time
			specs[i].Hooks = &steady.Hooks{Stop: hookOf(h.Stop.On, "true")}
		}
	}
	w := &wire{place: p, at: -1, ready: map[string]bool{}}
	if end := w.live(t, request(specs...), nil); end.State != steady.RolloutDone {
		t.Fatalf("first deploy: %+v", end)
	}
}

func anySpec(t *rapid.T, i int) steady.Spec {
	return spec(fmt.Sprintf("s%d", i), "v2", func(s *steady.Spec) {
		s.Replicas = rapid.IntRange(1, 3).Draw(t, "replicas")
		s.Ports[0].Published = uint16(8000 + i)
		if rapid.Bool().Draw(t, "a worker") {
			s.Ports = nil
		}
		if rapid.Bool().Draw(t, "names on replicas") {
			s.Internal = steady.InternalOff
		}
		if rapid.IntRange(0, 3).Draw(t, "writes") == 0 {
			s.State = []string{"data"}
		}
		if rapid.Bool().Draw(t, "watched") {
			s.Update.Monitor = time.Millisecond
		}
		if i > 0 && rapid.Bool().Draw(t, "depends") {
			s.DependsOn = []steady.Dependency{{Service: fmt.Sprintf("s%d", i-1), Condition: "service_healthy", Required: true}}
		}
		s.Update.Parallelism = rapid.IntRange(0, 2).Draw(t, "parallelism")
		s.Update.Order = rapid.SampledFrom([]string{"", steady.StartFirst, steady.StopFirst, steady.StrategyHold}).Draw(t, "order")
		passing(t, s)
	})
}

// passing draws what is asked of the way from one release to the other.
func passing(t *rapid.T, s *steady.Spec) {
	if rapid.IntRange(0, 3).Draw(t, "nobody waits") == 0 {
		s.Holding = &steady.Holding{Off: true}
	}
	if rapid.Bool().Draw(t, "tried") {
		s.Canary = &steady.Canary{Steps: []float64{5, 50}[:rapid.IntRange(1, 2).Draw(t, "steps")], Every: time.Millisecond, Manual: rapid.Bool().Draw(t, "by hand")}
	}
	s.Update.FailureAction = rapid.SampledFrom([]string{steady.Rollback, steady.Rollback, steady.Pause, steady.Continue}).Draw(t, "failure action")
	if rapid.Bool().Draw(t, "kept warm") {
		s.Warm = time.Hour
	}
	if rapid.Bool().Draw(t, "assets") {
		s.Assets = []string{"/static/*"}
	}
	hook := func(moment string, on ...string) *steady.Hook {
		command := "true"
		switch rapid.IntRange(0, 8).Draw(t, "hook "+moment) {
		case 0:
			command = "exit"
		case 1, 2, 3:
		default:
			return nil
		}
		return hookOf(rapid.SampledFrom(on).Draw(t, "on"), command)
	}
	s.Hooks = &steady.Hooks{
		Before: hook(steady.HookBefore, steady.HookHost, steady.HookContainer),
		Stop:   hook(steady.HookStop, steady.HookHost, steady.HookContainer, steady.HookExec),
		After:  hook(steady.HookAfter, steady.HookHost, steady.HookContainer, steady.HookExec),
	}
}

// composed has a container that docker compose up made run in the service's place.
func composed(p *place, service string, s steady.Spec) {
	name := "shop-" + service + "-1"
	p.projects[name] = "shop"
	p.replicas[name] = steady.Replica{ID: name, Name: name, Service: service, State: steady.StateRunning, Published: s.Ports}
}
