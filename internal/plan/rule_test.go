package plan_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

func routed(host string) change {
	return func(s *steady.Spec) {
		s.Routes = []steady.Rule{{Host: host, Path: "/", Port: 8000, HTTP: ":80", HTTPS: ":443"}}
	}
}

func TestBuild_AServiceWithRoutesAloneIsShiftedAndDrained(t *testing.T) {
	w := new(world).moves("api", direct, routed("a.test"))
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(p.Steps, func(s steady.Step) bool { return s.Kind == steady.StepShift })
	if p.Services[0].Strategy != steady.StartFirst || i < 0 || len(p.Steps[i].Routes[0].Rules) != 1 {
		t.Errorf("plan\n%s", p)
	}
	if !strings.Contains(p.String(), "api/drain/shop-api-1-1 < shift") {
		t.Errorf("the old replica is not drained:\n%s", p)
	}
}

func TestBuild_AHostOfTwoServicesIsRefused(t *testing.T) {
	w := new(world).wants("api", routed("a.test")).wants("web", routed("a.test"))
	_, err := plan.Build(w.in)
	if !errors.Is(err, steady.ErrRouteTaken) || !strings.Contains(err.Error(), "a.test is claimed twice, by shop/api and shop/web") {
		t.Errorf("error %v", err)
	}
	w = new(world).wants("api", routed("a.test")).wants("web", port(443))
	if _, err := plan.Build(w.in); !errors.Is(err, steady.ErrPortTaken) {
		t.Errorf("error %v", err)
	}
}
