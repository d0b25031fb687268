package plan_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

func image(ref string) change { return func(s *steady.Spec) { s.Image = ref } }
func unheld(s *steady.Spec)   { s.Holding = &steady.Holding{Off: true} }
func network(m string) change {
	return func(s *steady.Spec) {
		s.NetworkMode, s.Networks = m, nil
		hosted(s, "NetworkMode", m)
	}
}

// hosted sets a key of HostConfig in the call that creates the container.
func hosted(s *steady.Spec, key string, value any) {
	var body struct{ HostConfig map[string]any }
	_ = json.Unmarshal(s.Container, &body)
	if body.HostConfig == nil {
		body.HostConfig = map[string]any{}
	}
	body.HostConfig[key] = value
	s.Container, _ = json.Marshal(body)
}

func memory(bytes int64) change {
	return func(s *steady.Spec) {
		hosted(s, "Memory", bytes)
	}
}

func TestBuild_HoldsWhereVisitorsComeThroughTheProxy(t *testing.T) {
	const gib = 1 << 30
	for name, tt := range map[string]struct {
		cs       []change
		strategy string
		cause    string
	}{
		"one writer":                         {[]change{port(1), writes("data")}, steady.StrategyHold, "one replica writes to data"},
		"called by name only":                {[]change{writes("data")}, steady.StrategyHold, "one replica writes"},
		"nobody comes through the proxy":     {[]change{direct, writes("data")}, steady.StrategyStopFirst, "one replica writes"},
		"x-steady.hold: off":                 {[]change{port(1), writes("data"), unheld}, steady.StrategyStopFirst, "x-steady.hold is off"},
		"order: stop-first":                  {[]change{port(1), order(steady.StopFirst)}, steady.StrategyHold, "update_config.order"},
		"order: stop-first, hold: off":       {[]change{port(1), order(steady.StopFirst), unheld}, steady.StrategyStopFirst, "update_config.order says so; x-steady.hold is off"},
		"asked for":                          {[]change{port(1), order(steady.StrategyHold)}, steady.StrategyHold, "x-steady.strategy"},
		"start-first overrules":              {[]change{port(1), writes("data"), order(steady.StartFirst)}, steady.StrategyStartNew, ""},
		"a database of two on one volume":    {[]change{port(1), replicas(2), writes("data"), image("library/postgres:16")}, steady.StrategyHold, "postgres: two of it must never run on data"},
		"two of something else on a volume":  {[]change{port(1), replicas(2), writes("data")}, steady.StrategyStartNew, ""},
		"a limit that does not fit twice":    {[]change{port(1), memory(8 * gib)}, steady.StrategyHold, "2 × 8 GiB of memory, and the host has 12 GiB"},
		"a limit that fits twice":            {[]change{port(1), memory(6 * gib)}, steady.StrategyStartNew, ""},
		"one at a time fits":                 {[]change{port(1), memory(4 * gib), replicas(2), parallel(1)}, steady.StrategyStartNew, ""},
		"both at once do not":                {[]change{port(1), memory(4 * gib), replicas(2)}, steady.StrategyHold, "4 × 4 GiB"},
		"too large, and start-first":         {[]change{port(1), memory(8 * gib), order(steady.StartFirst)}, steady.StrategyStartNew, ""},
		"the host's network, past the proxy": {[]change{port(1), network("host")}, steady.StrategyStopFirst, "network_mode: host"},
		"the host's network, by a route":     {[]change{routed("a.example"), network("host")}, steady.StrategyHold, "network_mode: host"},
		"another container's network":        {[]change{port(1), network("container:vpn")}, steady.StrategyStopFirst, "the network of container vpn, which is not this project's"},
	} {
		t.Run(name, func(t *testing.T) {
			w := new(world).moves("db", tt.cs...)
			w.in.Routes[0].Rules = w.in.Targets[0].Release.Spec.Routes
			w.in.Observed.Memory = 12 * gib
			p, err := plan.Build(w.in)
			if err != nil {
				t.Fatal(err)
			}
			s := p.Services[0]
			if s.Strategy != tt.strategy || !strings.Contains(s.Cause, tt.cause) {
				t.Errorf("%s (%s): want %s (%s)", s.Strategy, s.Cause, tt.strategy, tt.cause)
			}
			shut := slices.ContainsFunc(p.Steps, func(st steady.Step) bool {
				return slices.ContainsFunc(st.Routes, func(r steady.Route) bool { return r.Hold != nil })
			})
			if shut != (tt.strategy == steady.StrategyHold) {
				t.Errorf("shuts a gate: %v\n%s", shut, p)
			}
		})
	}
}

// A container that publishes its port itself is visited past the proxy: nobody can
// be held.
func TestBuild_DoesNotPromiseToHoldWhatComesPastTheProxy(t *testing.T) {
	w := new(world).wants("db", port(8000), writes("data")).composed("db", 8000)
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	if s := p.Services[0]; s.Strategy != steady.StrategyStopFirst || !strings.Contains(s.Notice, "gap") {
		t.Errorf("%s: %s", s.Strategy, s.Notice)
	}
}

func TestBuild_SaysHowLongVisitorsWait(t *testing.T) {
	w := new(world).moves("db", port(5432), writes("data"), func(s *steady.Spec) { s.Holding = &steady.Holding{For: 5 * time.Second} })
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	if n := p.Services[0].Notice; !strings.Contains(n, "wait") || !strings.Contains(n, "at most 5s, then 503") {
		t.Errorf("notice %q", n)
	}
}

// The new one fails while the gate is shut: it goes, the old one starts again, and
// only then does the gate open, to it.
func TestUndo_AFailureBehindTheGateGoesBackToTheOldOneBehindIt(t *testing.T) {
	w := new(world).moves("db", port(5432), writes("data"))
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	want := `shop/db hold 1→2: one replica writes to data
  undo/db/withdraw db=1[] held
  undo/db/drain/shop-db-2-1 < undo/db/withdraw
  undo/db/stop/shop-db-2-1 < undo/db/drain/shop-db-2-1
  undo/db/halt/shop-db-1-1 < undo/db/stop/shop-db-2-1
  undo/db/start/shop-db-1-1 < undo/db/halt/shop-db-1-1
  undo/db/probe/shop-db-1-1 < undo/db/start/shop-db-1-1
  undo/db/shift db=1[shop-db-1-1] < undo/db/probe/shop-db-1-1
  undo/db/remove/shop-db-2-1 < undo/db/shift, undo/db/stop/shop-db-2-1
`
	for _, last := range []string{"db/probe/shop-db-2-1", "db/shift"} { // before it took traffic, and after
		begun := map[string]bool{}
		for _, s := range p.Steps {
			begun[s.ID] = true
			if s.ID == last {
				break
			}
		}
		if got := plan.Undo(p, begun).String(); got != want {
			t.Errorf("failed at %s:\n%s\nwant\n%s", last, got, want)
		}
	}
}

// What took no traffic keeps nobody waiting: the gate opens as soon as the old one
// that did is back, though another that was stopped with it is not.
func TestUndo_TheGateWaitsForNoneThatTookNoTraffic(t *testing.T) {
	w := new(world).moves("db", port(5432), writes("data")).keeps("db", 7)
	w.in.Routes[0].Elders, w.in.Routes[0].Assets = []string{"shop-db-7-1"}, []string{"/static/*"}
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	begun := map[string]bool{}
	for _, s := range p.Steps {
		begun[s.ID] = true
		if s.ID == "db/shift" {
			break
		}
	}
	back := plan.Undo(p, begun)
	for _, s := range of(back, steady.StepShift) {
		if len(s.Routes[0].Elders) > 0 {
			t.Errorf("%s asks who is stopped for assets:\n%s", s.ID, back)
		}
	}
	if behind(back, "undo/db/shift", "undo/db/start/shop-db-7-1") || !behind(back, "undo/db/shift", "undo/db/probe/shop-db-1-1") || !strings.Contains(back.String(), "undo/db/start/shop-db-7-1") {
		t.Errorf("undo:\n%s", back)
	}
}
