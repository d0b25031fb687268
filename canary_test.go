package steady_test

import (
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestStage_StandsWhileItIsPaused(t *testing.T) {
	at := time.Unix(1000, 0)
	s := steady.Stage{}.Next(steady.Stage{Number: 1, Of: 2, For: time.Minute}, at)
	for name, c := range map[string]struct {
		s     steady.Stage
		after time.Duration
		left  time.Duration
		over  bool
	}{
		"begins":               {s, 0, time.Minute, false},
		"goes on":              {s, 20 * time.Second, 40 * time.Second, false},
		"ends":                 {s, time.Minute, 0, true},
		"paused":               {s.Pause(at.Add(20 * time.Second)), time.Hour, 40 * time.Second, false},
		"paused twice":         {s.Pause(at.Add(20 * time.Second)).Pause(at.Add(50 * time.Second)), time.Hour, 40 * time.Second, false},
		"paused at the end":    {s.Pause(at.Add(time.Hour)), time.Hour, 0, false},
		"resumed":              {s.Pause(at.Add(20 * time.Second)).Resume(at.Add(time.Hour)), time.Hour + 10*time.Second, 30 * time.Second, false},
		"resumed unasked":      {s.Resume(at.Add(30 * time.Second)), 40 * time.Second, 20 * time.Second, false},
		"promoted":             {s.Promote(false), 0, time.Minute, true},
		"promoted and paused":  {s.Pause(at).Promote(false), 0, time.Minute, true},
		"the next is not over": {s.Promote(false).Next(steady.Stage{Number: 2, Of: 2, For: time.Minute}, at), 0, time.Minute, false},
		"the next is, to all":  {s.Promote(true).Next(steady.Stage{Number: 2, Of: 2, For: time.Minute}, at), 0, time.Minute, true},
		"the next stands too":  {s.Pause(at).Promote(false).Next(steady.Stage{Number: 2, Of: 2, For: time.Minute}, at), time.Hour, time.Minute, false},
		"by hand":              {steady.Stage{}.Next(steady.Stage{Number: 1, Of: 2, For: time.Minute, Manual: true}, at), time.Hour, 0, false},
		"unwatched":            {s.Again(at.Add(time.Hour)), time.Hour + time.Second, 59 * time.Second, false},
	} {
		if now := at.Add(c.after); c.s.Left(now) != c.left || c.s.Over(now) != c.over {
			t.Errorf("%s: left %s, over %t", name, c.s.Left(now), c.s.Over(now))
		}
	}
}

func TestStage_IsSaidInAFewWords(t *testing.T) {
	one := steady.Stage{Number: 2, Of: 3, Shares: []steady.Share{{Service: "api", Release: 8, Percent: 2.5}}}
	two := one
	two.Shares = append(two.Shares[:1:1], steady.Share{Service: "web", Release: 8, Percent: 50})
	for want, s := range map[string]steady.Stage{
		"release 8: step 2 of 3, 2.5 %":               one,
		"release 8: step 2 of 3, api 2.5 %, web 50 %": two,
	} {
		if s.String() != want {
			t.Errorf("%q, want %q", s, want)
		}
	}
}

func TestSplit_BelowIsExactToTheHundredth(t *testing.T) {
	for percent, want := range map[float64]int{0: 0, 0.01: 1, 0.57: 57, 5: 500, 33.33: 3333, 50: 5000, 99.99: 9999, 100: steady.Places} {
		if got := (steady.Split{Percent: percent}).Below(); got != want {
			t.Errorf("%g %%: %d", percent, got)
		}
	}
}
