package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

// needed writes a reach as "port 80 must, port 9229 hoped, one".
func needed(r *steady.Reach) string {
	if r == nil {
		return "nothing"
	}
	var out []string
	for _, w := range r.Ways {
		out = append(out, strings.TrimSpace(w.Name+" "+w.Need))
	}
	if r.One {
		out = append(out, "one")
	}
	return strings.Join(out, ", ")
}

func TestExpect_NeverReachedByLessThanBefore(t *testing.T) {
	port := func(n uint16) steady.Way {
		return steady.Way{Name: fmt.Sprintf("port %d", n), Target: n, Transport: "tcp"}
	}
	both := steady.Reach{Ways: []steady.Way{port(80), port(9229)}}
	for name, tt := range map[string]struct {
		want   steady.Reach
		before plan.Before
		kind   string
		needs  string
	}{
		"a first deploy needs any of them":              {want: both, needs: "port 80 hoped, port 9229 hoped, one"},
		"what nobody listened on is not needed":         {want: both, before: plan.Before{Had: both.Ways, Accepts: both.Ways[:1]}, needs: "port 80 must, port 9229, one"},
		"nobody listened on any of them":                {want: both, before: plan.Before{Had: both.Ways}, needs: "port 80, port 9229"},
		"one that is new is hoped for":                  {want: both, before: plan.Before{Had: both.Ways[:1], Accepts: both.Ways[:1]}, needs: "port 80 must, port 9229 hoped, one"},
		"the only one has moved":                        {want: steady.Reach{Ways: both.Ways[1:]}, before: plan.Before{Had: both.Ways[:1], Accepts: both.Ways[:1]}, needs: "port 9229 hoped, one"},
		"a rollback may go to a release that had fewer": {want: both, before: plan.Before{Had: both.Ways, Accepts: both.Ways}, kind: steady.KindRollback, needs: "port 80 hoped, port 9229 hoped, one"},
		"a range is opened on demand": {want: steady.Reach{Ways: []steady.Way{port(21), {Name: "port 30000", Target: 30000, Part: true}}},
			before: plan.Before{Had: both.Ways}, needs: "port 21 hoped, port 30000"},
		"a range alone is never needed": {want: steady.Reach{Ways: []steady.Way{{Name: "port 30000", Target: 30000, Part: true}}}, needs: "port 30000"},
	} {
		if got := needed(plan.Expect(tt.want, tt.before, tt.kind)); got != tt.needs {
			t.Errorf("%s: %s, want %s", name, got, tt.needs)
		}
	}
}

func TestBuild_SaysWhichWaysMustAccept(t *testing.T) {
	w := &world{}
	w.wants("web", port(8000))
	w.wants("off", port(8001), func(s *steady.Spec) { s.Probe.Reach = steady.ReachOff })
	w.wants("vpn", port(8002))
	w.wants("within", within("vpn"))
	w.wants("worker")
	p, err := plan.Build(w.in)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range p.Services {
		got[s.Service] = needed(s.Reach)
	}
	for service, want := range map[string]string{"web": "port 8000", "off": "nothing", "vpn": "port 8002", "within": "nothing", "worker": "nothing"} {
		if got[service] != want {
			t.Errorf("%s: %s, want %s", service, got[service], want)
		}
	}
}
