package plan_test

import (
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/plan"
)

func TestBuild_AWatchSaysWhatIsAskedOfTheNewRelease(t *testing.T) {
	picky := func(s *steady.Spec) { s.Update.Watch = &steady.Watch{Errors: 0.5, Latency: 3, After: 4 * time.Second} }
	slow := steady.DefaultWatch()
	slow.After = 2 * time.Second // what waited in the gap comes first
	for name, tt := range map[string]struct {
		cs   []change
		want steady.Watch
	}{
		"nothing said":        {nil, steady.DefaultWatch()},
		"said":                {[]change{picky}, steady.Watch{Errors: 0.5, Latency: 3, After: 4 * time.Second}},
		"behind a gap":        {[]change{writes("data")}, slow},
		"said, behind a gap":  {[]change{picky, writes("data")}, steady.Watch{Errors: 0.5, Latency: 3, After: 4 * time.Second}},
		"batches, and delays": {[]change{replicas(2), parallel(1), delay(time.Second)}, steady.DefaultWatch()},
	} {
		w := new(world).moves("api", append(tt.cs, port(8000), monitor(time.Second))...)
		p, err := plan.Build(w.in)
		if err != nil {
			t.Fatal(err)
		}
		watches := 0
		for _, s := range p.Steps {
			if s.Kind != steady.StepWatch {
				continue
			}
			if watches++; s.Watch == nil || *s.Watch != tt.want {
				t.Errorf("%s: %s asks %+v, want %+v", name, s.ID, s.Watch, tt.want)
			}
		}
		if watches == 0 {
			t.Errorf("%s: nothing is watched", name)
		}
	}
}
