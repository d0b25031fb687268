package rollout_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/rollout"
)

// served is what a release answered.
func served(n int64) steady.Counts { return steady.Counts{Requests: n, Answered: n} }

func TestReceipt_CountsFromTheRolloutsBeginningToItsEnd(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	d.deploy(t, p, request(spec("api", "v1")))
	p.traffic = steady.Traffic{"shop/api": {1: served(900)}, "shop/db": {1: served(5)}}
	p.open = map[int]steady.Open{1: {Requests: 4, Streams: 2}}
	p.minute = map[string]steady.Stretch{"shop/api": {For: time.Minute, Requests: 60}}
	p.when("drain [shop-api-1-1]", func() {
		p.open = nil
		p.traffic = steady.Traffic{"shop/api": {1: {Requests: 930, Answered: 928, Lost: 2, Cut: 2}, 2: served(7)}}
	})
	r := d.deploy(t, p, request(spec("api", "v2"))).Receipt
	s, ok := r.Of("api")
	if !ok || len(r.Services) != 1 || s.Strategy != steady.StrategyStartNew || s.From != 1 || s.To != 2 {
		t.Fatalf("services %+v", r.Services)
	}
	if s.Releases[1].Requests != 30 || s.Releases[1].Cut != 2 || s.Releases[2] != served(7) {
		t.Errorf("releases %+v", s.Releases)
	}
	if s.Before.Requests != 60 || s.After.Requests != 7 || s.After.For <= 0 || s.Drained.Requests != 3 {
		t.Errorf("before %+v, after %+v, drained %+v", s.Before, s.After, s.Drained)
	}
	if len(r.Missed) > 0 || r.Began.IsZero() || !r.Ended.After(r.Began) {
		t.Errorf("from %s to %s without %+v", r.Began, r.Ended, r.Missed)
	}
	if len(r.Shifts) != 1 || r.Shifts[0].Services[0] != (steady.ServiceShift{Service: "api", Release: 2, Replicas: 1, Left: steady.Open{Requests: 4, Streams: 2}}) {
		t.Errorf("shifts %+v", r.Shifts)
	}
	if l := r.Losses(); l.Lost != 2 || l.Cut != 2 || l.Requests != 37 {
		t.Errorf("losses %+v", l)
	}
}

func TestReceipt_TellsWhenEachPhaseWas(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	gap := func(s *steady.Spec) { s.Update.Order = steady.StopFirst }
	d.deploy(t, p, request(spec("api", "v1", gap)))
	r := d.deploy(t, p, request(spec("api", "v2", gap))).Receipt
	var kinds []string
	for _, ph := range r.Phases {
		if ph.Undo || ph.Ended.Before(ph.Began) || ph.Began.Before(r.Began) {
			t.Errorf("phase %+v of a rollout from %s", ph, r.Began)
		}
		kinds = append(kinds, ph.Kind)
	}
	for _, want := range []string{"prepare", "create", "shift", "drain", "stop", "start", "probe", "remove"} {
		if !slices.Contains(kinds, want) {
			t.Errorf("no phase %s among %v", want, kinds)
		}
	}
	s, _ := r.Of("api")
	if len(r.Shifts) != 2 || s.Gap != r.Shifts[1].At.Sub(r.Shifts[0].At) || s.Gap <= 0 || s.Ready <= 0 {
		t.Errorf("gap %s, ready %s, shifts %+v", s.Gap, s.Ready, r.Shifts)
	}
}

func TestReceipt_SurvivesTheDaemon(t *testing.T) {
	p := newPlace()
	first := boot(t, p)
	first.deploy(t, p, request(spec("api", "v1")))
	p.traffic = steady.Traffic{"shop/api": {1: served(900)}}
	p.minute = map[string]steady.Stretch{"shop/api": {For: time.Minute, Requests: 60}}
	first.stop()
	e := rollout.New(p, p, p, journal{p}, slog.New(slog.DiscardHandler))
	died := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e.Crash = func(step, when string) {
		if step == steady.StepStop && when == "before" {
			close(died)
			<-ctx.Done() // as if the process had gone
		}
	}
	go func() { _ = e.Run(ctx) }()
	second := &daemon{Engine: e}
	r := second.accept(t, p, request(spec("api", "v2")))
	<-died
	cancel()
	eventually(t, func() bool { return e.Running("shop") == nil })
	p.mu.Lock()
	p.traffic = steady.Traffic{"shop/api": {1: served(950), 2: served(30)}}
	p.minute = map[string]steady.Stretch{"shop/api": {For: time.Minute, Requests: 1}}
	p.mu.Unlock()
	got := boot(t, p).await(t, p, r.ID).Receipt
	s, _ := got.Of("api")
	if s.Releases[1].Requests != 50 || s.Releases[2].Requests != 30 || s.Before.Requests != 60 || s.Drained.Requests != 3 {
		t.Errorf("receipt %+v", s)
	}
	if len(got.Shifts) != 1 || len(got.Missed) > 0 {
		t.Errorf("shifts %+v, missed %+v", got.Shifts, got.Missed)
	}
}

func TestReceipt_SaysWhatIsLostWithAProxy(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	p.proxy = time.Now().Add(-time.Hour)
	d.deploy(t, p, request(spec("api", "v1")))
	p.traffic = steady.Traffic{"shop/api": {1: {Requests: 900, Answered: 890, Lost: 10}}}
	p.open = map[int]steady.Open{1: {Requests: 5}}
	var again time.Time
	p.when("drain [shop-api-1-1]", func() {
		again = time.Now().Add(time.Millisecond)
		p.proxy, p.open = again, nil
		p.traffic = steady.Traffic{"shop/api": {1: served(20), 2: served(5)}}
	})
	r := d.deploy(t, p, request(spec("api", "v2"))).Receipt
	s, _ := r.Of("api")
	if s.Releases[1].Requests != 20 || s.Releases[1].Lost != 0 || s.Releases[2].Requests != 5 {
		t.Errorf("releases %+v", s.Releases)
	}
	if len(r.Missed) != 1 || !r.Missed[0].To.Equal(again) || r.Missed[0].Open.Requests != 5 {
		t.Errorf("missed %+v, the proxy began again at %s", r.Missed, again)
	}
}

func TestReceipt_OfAProxyThatDoesNotAnswerSaysThatNothingWasCounted(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	p.fails["reading"] = steady.ErrNoProxy
	r := d.deploy(t, p, request(spec("api", "v1")))
	if r.State != steady.RolloutDone {
		t.Fatalf("%s: %v", r.State, r.Error)
	}
	if m := r.Receipt.Missed; len(m) != 1 || !m[0].From.Equal(r.Receipt.Began) || !m[0].To.Equal(r.Receipt.Ended) {
		t.Errorf("missed %+v of a rollout from %s to %s", m, r.Receipt.Began, r.Receipt.Ended)
	}
}

func TestReceipt_OfALongRolloutHasBoundedReadingsAndWholeFigures(t *testing.T) {
	p := newPlace()
	e := rollout.New(p, p, p, journal{p}, slog.New(slog.DiscardHandler))
	e.ReadEvery = 20 * time.Microsecond
	d := start(t, e)
	d.deploy(t, p, request(spec("api", "v1")))
	gate := make(chan struct{})
	p.blocked["shop-api-2-1"] = gate
	r := d.accept(t, p, request(spec("api", "v2")))
	read := int64(0)
	late := time.After(soon)
	for dropped := false; !dropped; {
		select {
		case <-late:
			t.Fatalf("nothing was dropped after %d readings", read)
		default:
		}
		p.mu.Lock()
		read++
		p.traffic = steady.Traffic{"shop/api": {1: served(read)}}
		dropped = p.dropped > 100
		p.mu.Unlock()
	}
	close(gate)
	got := d.await(t, p, r.ID).Receipt
	s, _ := got.Of("api")
	sum := int64(0)
	for _, l := range got.Series.Lines {
		for _, n := range l.Requests {
			sum += n
		}
	}
	if n := len(got.Series.Until); n > 240 || n == 0 || sum != s.Releases[1].Requests || !slices.IsSorted(got.Series.Until) {
		t.Errorf("%d stretches with %d requests, of %d", n, sum, s.Releases[1].Requests)
	}
}

func TestPlan_SaysHowItWentTheLastTime(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	gap := func(s *steady.Spec) { s.Update.Order = steady.StopFirst }
	for _, v := range []string{"v1", "v2"} {
		d.deploy(t, p, request(spec("api", v, gap)))
	}
	done := d.deploy(t, p, request(spec("api", "v3", gap)))
	if first := done.Receipt.Shifts[0].Services[0]; !first.Held || first.Replicas != 0 || done.Receipt.Shifts[1].Services[0].Held {
		t.Errorf("shifts %+v", done.Receipt.Shifts)
	}
	p.sick["shop-api-4-1"] = steady.ErrNotReady
	d.deploy(t, p, request(spec("api", "v4", gap))) // fails: nobody wants that to be told
	got, err := d.Plan(t.Context(), request(spec("api", "v5", gap)))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := got.Of("api")
	if s.Last == nil || s.Last.Rollout != done.ID || s.Last.Gap != done.Receipt.Services[0].Gap || s.Gap != s.Last.Gap || s.Last.Ready <= 0 {
		t.Errorf("last time %+v, the receipt %+v", s.Last, done.Receipt)
	}
	other, err := d.Plan(t.Context(), request(spec("api", "v5")))
	if err != nil {
		t.Fatal(err)
	}
	if s, _ := other.Of("api"); s.Last != nil || s.Gap != 0 {
		t.Errorf("another strategy has %+v", s.Last)
	}
}

func TestReceipt_OfAnAdoptionSaysWhatIsNotCounted(t *testing.T) {
	p := newPlace()
	d := boot(t, p)
	p.replicas["shop-api-1"] = steady.Replica{ID: "old", Name: "shop-api-1", Service: "api", Number: 1, State: steady.StateRunning,
		Published: []steady.Port{{Published: 8000, Target: 8000}}}
	p.projects["shop-api-1"] = "shop"
	s, _ := d.deploy(t, p, request(spec("api", "v1"))).Receipt.Of("api")
	if s.Strategy != steady.StrategyAdopt || len(s.Uncounted) != 1 || !strings.Contains(s.Uncounted[0], "shop-api-1 itself") || s.Losses().StreamsCut != 1 {
		t.Errorf("receipt of an adoption %+v", s)
	}
	off := func(s *steady.Spec) { s.Internal = steady.InternalOff }
	s, _ = d.deploy(t, p, request(spec("api", "v2", off))).Receipt.Of("api")
	if len(s.Uncounted) != 1 || !strings.HasSuffix(s.Uncounted[0], "x-steady.internal is off") {
		t.Errorf("not counted: %q", s.Uncounted)
	}
}
