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
// shape, a rollout of all its services, and up to two mishaps: a call that fails, a
// daemon that dies, an abort or a death, at any moment of the rollout, its undo or
// its recovery. However it goes: no replica is stopped while it takes traffic, none
// takes traffic unasked, and in the end all services are at the new release or all
// are where they were, and nothing else is there.
func TestRollout_HoweverItFailsOneReleaseServesAndNothingIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, was, next := anyProject(t)
		before := p.stand()
		mishaps := rapid.IntRange(1, 2).Draw(t, "mishaps")
		var told []string
		var wires []*wire
		ready := map[string]bool{}
		for n := 0; ; n++ {
			w := &wire{place: p, at: -1, ready: ready}
			if n < mishaps {
				w.at = rapid.IntRange(0, 120>>n).Draw(t, "mishap at call")
				w.how = rapid.SampledFrom([]string{failsBefore, failsAfter, diesBefore, diesAfter, aborted, kills, killsOld}).Draw(t, "mishap")
			}
			wires = append(wires, w)
			request := next
			if n > 0 {
				request = rollout.Request{}
			}
			end := w.live(t, request)
			told = append(told, fmt.Sprintf("%s: the call %q %s", w.how, w.last, w.how))
			if end != nil {
				judgeEnd(t, p, *end, before, was, next, wires, told)
				return
			}
		}
	})
}

// live runs one daemon until the rollout has ended, or it has died: then it gives nil.
func (w *wire) live(t *rapid.T, q rollout.Request) *steady.Rollout {
	e := rollout.New(w, w, w, wired{w}, slog.New(slog.DiscardHandler))
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
	late := time.After(soon)
	for {
		changed := e.Changed(id)
		if r := w.state(id); r.Final() {
			return &r
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		case <-late:
			t.Fatalf("rollout %d did not end; calls: %v", id, w.calls)
		}
	}
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
	for s, r := range p.routes {
		out["route of "+s] = fmt.Sprint(r.Release, r.Replicas)
	}
	return out
}

func judgeEnd(t *rapid.T, p *place, end steady.Rollout, before map[string]string, was, next rollout.Request, wires []*wire, told []string) {
	story := fmt.Sprintf("%s\nended %s: %v\nplan:\n%s\ncalls %v", strings.Join(told, "\n"), end.State, end.Error, p.plans[end.ID], p.calls)
	for _, w := range wires {
		if len(w.wrong) > 0 {
			t.Fatalf("%v\n%s", w.wrong, story)
		}
	}
	want := before
	if end.State == steady.RolloutDone {
		want = map[string]string{}
		for _, tg := range next.Targets {
			s := tg.Release.Spec
			var names []string
			for n := range s.Replicas {
				names = append(names, fmt.Sprintf("shop-%s-2-%d", s.Service, n+1))
				want[names[n]] = "runs"
			}
			want["route of "+s.Service] = fmt.Sprint(2, names)
		}
	}
	got := p.stand()
	for name := range maps.Clone(got) {
		switch old := !strings.Contains(name, "-2-") && !strings.HasPrefix(name, "route of"); {
		case end.State == steady.RolloutDone && got[name] == "stands" && old && removing(wires):
			delete(got, name) // what tidies up may fail
		case end.State == steady.RolloutDone && want[name] == "runs" && killed(wires, name):
			got[name] = "runs" // it died unseen: no watch window was asked for, or it was over
		case want[name] != "" && old && (before[name] == "stands" || killed(wires, name)):
			got[name] = want[name] // it had died by itself; an undo that needs it starts it again
		}
	}
	if !maps.Equal(got, want) {
		t.Fatalf("what stands: %v\nwant         %v\n%s", got, want, story)
	}
}

func removing(wires []*wire) bool {
	return slices.ContainsFunc(wires, func(w *wire) bool { return strings.HasPrefix(w.last, "remove ") })
}

func killed(wires []*wire, name string) bool {
	return slices.ContainsFunc(wires, func(w *wire) bool { return w.killed == name })
}

// anyProject draws up to three services, each never deployed, deployed, or made by
// docker compose, and asks for a next release of all.
func anyProject(t *rapid.T) (p *place, was, next rollout.Request) {
	p = newPlace()
	var old, new []steady.Spec
	for i := range rapid.IntRange(1, 3).Draw(t, "services") {
		name := fmt.Sprintf("s%d", i)
		s := anySpec(t, i)
		o := spec(name, "v1", func(x *steady.Spec) {
			image := x.Image
			*x = s
			x.Image, x.Replicas = image, rapid.IntRange(1, 3).Draw(t, "old replicas")
			x.Update.Monitor = 0
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
	was, next = request(old...), request(new...)
	for _, tg := range append(slices.Clone(was.Targets), next.Targets...) {
		ref := tg.Release.Spec.Image
		p.images[ref] = steady.Image{Ref: ref, ID: "id-" + ref}
	}
	if len(old) > 0 {
		p.projects["none"] = ""
		w := &wire{place: p, at: -1, ready: map[string]bool{}}
		if end := w.live(t, was); end.State != steady.RolloutDone {
			t.Fatalf("first deploy: %+v", end)
		}
	} else { // so that the next one is release 2 whatever was before
		p.releases = append(p.releases, steady.Release{Project: "shop", Service: "gone", Number: 1})
	}
	for _, name := range slices.Sorted(maps.Keys(p.replicas)) {
		if p.replicas[name].Release > 0 && rapid.IntRange(0, 9).Draw(t, "died before") == 0 {
			p.dies(name)
		}
	}
	p.calls = nil
	return p, was, next
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
		s.Update.Order = rapid.SampledFrom([]string{"", steady.StartFirst, steady.StopFirst}).Draw(t, "order")
	})
}

// composed has a container that docker compose up made run in the service's place.
func composed(p *place, service string, s steady.Spec) {
	name := "shop-" + service + "-1"
	p.projects[name] = "shop"
	p.replicas[name] = steady.Replica{ID: name, Name: name, Service: service, State: steady.StateRunning, Published: s.Ports}
}
