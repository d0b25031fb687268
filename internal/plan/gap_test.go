package plan_test

import (
	"strings"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// What somebody took from under a service that serves is brought back by a deploy of
// the same files, and it says so.
func TestBuild_WhatIsMissingUnderTheSameReleaseIsBroughtBack(t *testing.T) {
	whole := map[string][]string{"api": {"shop_default"}}
	for name, c := range map[string]struct {
		holders  map[string][]string
		networks []string
		cause    string // empty: nothing is missing
		steps    []string
	}{
		"whole":              {whole, []string{"shop_default"}, "", nil},
		"not looked for":     {nil, nil, "", nil},
		"no holder":          {map[string][]string{}, []string{"shop_default"}, "its holder does not run", []string{"api/holder"}},
		"holder elsewhere":   {map[string][]string{"api": {"bridge"}}, nil, "its holder is not in network shop_default", []string{"api/holder"}},
		"replica in nothing": {whole, []string{}, "shop-api-1-1 is not in network shop_default", []string{"api/holder", "api/alias/shop-api-1-1"}},
	} {
		w := (&world{}).wants("api", port(80)).has("api", port(80))
		w.in.Targets[0].Release = w.in.Serving["api"]
		w.in.Observed.Holders = c.holders
		w.in.Observed.Replicas[0].Networks = c.networks
		p, err := plan.Build(w.in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s := p.Services[0]
		if c.cause == "" {
			if s.Strategy != steady.StrategyKeep {
				t.Errorf("%s: %s, %s", name, s.Strategy, s.Cause)
			}
			continue
		}
		if s.Strategy != steady.StrategyScale || !strings.Contains(s.Cause, c.cause) || s.Notice != "nothing" {
			t.Errorf("%s: %s, %s, %s", name, s.Strategy, s.Cause, s.Notice)
		}
		for _, id := range c.steps {
			if !hasStep(p, id) {
				t.Errorf("%s: no step %s in %v", name, id, p.Steps)
			}
		}
	}
}

func hasStep(p steady.Plan, id string) bool {
	for _, s := range p.Steps {
		if s.ID == id {
			return true
		}
	}
	return false
}

func TestBuild_SaysThatTheProjectWasDeployedFromElsewhere(t *testing.T) {
	for to, want := range map[string]string{"/srv/a": "", "/srv/b": "/srv/a"} {
		w := (&world{}).moves("api", port(80))
		serving := w.in.Serving["api"]
		serving.Spec.WorkingDir = "/srv/a"
		w.in.Serving["api"] = serving
		w.in.Targets[0].Release.Spec.WorkingDir = to
		p, err := plan.Build(w.in)
		if err != nil || p.Services[0].Elsewhere != want {
			t.Errorf("from %s: %q, want %q; %v", to, p.Services[0].Elsewhere, want, err)
		}
	}
}
