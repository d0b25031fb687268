package compose_test

import (
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// watchOf loads a service with this deploy section and this x-steady.
func watchOf(t *testing.T, deploy, x string) steady.Spec {
	t.Helper()
	return loadText(t, "services: {web: {image: x, deploy: {"+deploy+"}, x-steady: {"+x+"}}}").Specs[0]
}

func TestWatch_ThereIsAWindowWhereTheFilesAskForOne(t *testing.T) {
	for _, tt := range []struct {
		deploy, x string
		want      time.Duration
	}{
		{"", "", 0},
		{"update_config: {parallelism: 2}", "", 0},
		{"update_config: {failure_action: pause}", "", 5 * time.Second},
		{"update_config: {max_failure_ratio: 0.2}", "", 5 * time.Second},
		{"", "watch: {latency: 3}", 5 * time.Second},
		{"update_config: {failure_action: pause, monitor: 1m}", "", time.Minute},
		{"update_config: {failure_action: pause}", "monitor: 0s", 0},
		{"", "monitor: 7s", 7 * time.Second},
	} {
		if got := watchOf(t, tt.deploy, tt.x).Update.Monitor; got != tt.want {
			t.Errorf("deploy {%s} x-steady {%s}: %s, want %s", tt.deploy, tt.x, got, tt.want)
		}
	}
}

func TestWatch_SaysWhatIsAskedOfTheNewRelease(t *testing.T) {
	d := steady.DefaultWatch()
	with := func(do func(*steady.Watch)) *steady.Watch { w := d; do(&w); return &w }
	for _, tt := range []struct {
		deploy, x string
		want      *steady.Watch
	}{
		{"", "", nil},
		{"update_config: {monitor: 5s}", "", nil},
		{"update_config: {max_failure_ratio: 0}", "", nil},
		{"update_config: {max_failure_ratio: 0.1}", "", with(func(w *steady.Watch) { w.Errors, w.Said, w.Deaths = 0.1, true, 0.1 })},
		{"update_config: {max_failure_ratio: 0.1}", "watch: {errors: 2%}", with(func(w *steady.Watch) { w.Errors, w.Said, w.Deaths = 0.02, true, 0.1 })},
		{"", "watch: {errors: 0.005, latency: 1.5, after: 10s}", &steady.Watch{Errors: 0.005, Said: true, Latency: 1.5, After: 10 * time.Second}},
		{"", "watch: {errors: off, latency: off}", with(func(w *steady.Watch) { w.Errors, w.Said, w.Latency = -1, true, 0 })},
		{"", "watch: {latency: 3x}", with(func(w *steady.Watch) { w.Latency = 3 })},
	} {
		got := watchOf(t, tt.deploy, tt.x).Update.Watch
		if (got == nil) != (tt.want == nil) || got != nil && *got != *tt.want {
			t.Errorf("deploy {%s} x-steady {%s}: %+v, want %+v", tt.deploy, tt.x, got, tt.want)
		}
	}
}

func TestWatch_RollbackConfigIsForRollbacks(t *testing.T) {
	s := watchOf(t, "update_config: {parallelism: 1}, rollback_config: {parallelism: 3, delay: 2s, failure_action: continue, order: start-first}", "warm: 10m")
	want := steady.Update{Order: steady.StartFirst, Parallelism: 3, Delay: 2 * time.Second, FailureAction: steady.Continue, Monitor: 5 * time.Second}
	if s.Rollback == nil || *s.Rollback != want || s.Update.Parallelism != 1 || s.Warm != 10*time.Minute {
		t.Errorf("rollback %+v, update %+v, warm %s", s.Rollback, s.Update, s.Warm)
	}
	if s := watchOf(t, "", ""); s.Rollback != nil || s.Warm != 0 {
		t.Errorf("rollback %+v, warm %s: want none", s.Rollback, s.Warm)
	}
}

func TestWatch_RefusesWhatIsNone(t *testing.T) {
	for x, want := range map[string]string{
		"watch: {errors: 5}":    "watch.errors: 5 is no share such as 1% or 0.01, nor off",
		"watch: {errors: 101%}": "is no share",
		"watch: {errors: few}":  "is no share",
		"watch: {latency: 1}":   "watch.latency: 1 is no factor above 1 such as 2, nor off",
		"watch: {after: soon}":  "watch.after: soon is no duration",
		"warm: soon":            "warm: soon is no duration",
	} {
		refuses(t, "services: {web: {image: x, x-steady: {"+x+"}}}", want)
	}
}
