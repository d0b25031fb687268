package e2e

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/test/load"
)

// watchRate is what comes a second while a watch window is tried.
const watchRate = 200

// watchedHost has a service with a watch window, and one release that has served for
// a while.
func watchedHost(t *testing.T, project string) (*host, *load.Running) {
	t.Helper()
	h := swiftHost(t, project)
	small(h, "      monitor: \"${MONITOR:-5s}\"\n")
	h.faulty("0", "30ms")
	h.deploy(1)
	l := h.visitors()
	h.eventually("release 1 has served for a while", func() bool { return l.Counts().OK > 3*watchRate })
	return h, l
}

// faulty makes the next release answer a share of requests with 500, and all late.
func (h *host) faulty(share, delay string) {
	h.write("override.yml", fmt.Sprintf("services:\n  web:\n    environment: { FAIL_SHARE: %q, ANSWER_DELAY: %q }\n", share, delay))
}

func (h *host) visitors() *load.Running {
	return load.Start(load.Options{URL: h.api(), Rate: watchRate, Duration: time.Hour, WebSockets: -1, SSEs: -1, Conns: 40,
		Mix: load.Mix{KeepAlive: 0.5, Fresh: 0.3, Post: 0.2}})
}

// stepAt is when a step was done.
func stepAt(t *testing.T, all []steady.Event, id string) time.Time {
	t.Helper()
	for _, e := range all {
		if e.StepID == id && e.Kind == steady.EventStep {
			return e.Time
		}
	}
	t.Fatalf("no step %s", id)
	return time.Time{}
}

// visit is what the visitors saw of one release.
type visit struct {
	answers, bad int
	fifth        time.Time // when the fifth of the bad had been read
	lastSent     time.Time
}

func seen(r load.Report, release int) visit {
	var v visit
	for _, a := range r.Answers() {
		if a.Release != release {
			continue
		}
		v.answers++
		if at := r.Started.Add(a.Sent); at.After(v.lastSent) {
			v.lastSent = at
		}
		if !a.OK {
			if v.bad++; v.bad == 5 {
				v.fifth = r.Started.Add(a.Done)
			}
		}
	}
	return v
}

var tookAndFailed = regexp.MustCompile(`it had taken (\d+) requests, of which (\d+) failed`)

// takenBack deploys a bad release and checks that it was taken back: in time, with
// what it did in words and in figures, and that nobody saw it afterwards.
func takenBack(t *testing.T, h *host, l *load.Running, release, rollout, back int, words ...string) {
	t.Helper()
	r := h.with(map[string]string{"GESALP_RELEASE": fmt.Sprint(release)}, "deploy", "-y", "--progress", "plain")
	refused(t, r, 4, append(words, fmt.Sprintf("release %d is still serving", back))...)
	report := l.Stop()
	all := h.eventsOf(rollout)
	shifted, returned := stepAt(t, all, "shift"), stepAt(t, all, "undo/shift")
	v := seen(report, release)
	passed := shifted.Add(steady.DefaultWatchAfter) // latency is judged from here on
	if !v.fifth.IsZero() {
		passed = v.fifth
	}
	t.Logf("shifted back %s after the shift, %s after the budget was passed; %d saw it, %d of them failures\n%s",
		returned.Sub(shifted).Round(time.Millisecond), returned.Sub(passed).Round(time.Millisecond), v.answers, v.bad, r.err)
	if d := returned.Sub(passed); d > 2*time.Second {
		t.Errorf("shifted back %s after the budget was passed", d)
	}
	if v.lastSent.After(returned) {
		t.Errorf("a request of %s was answered by release %d, after the shift back", v.lastSent.Sub(returned), release)
	}
	told := tookAndFailed.FindStringSubmatch(r.err)
	if told == nil || told[1] != fmt.Sprint(v.answers) || told[2] != fmt.Sprint(v.bad) {
		t.Errorf("told %v; the visitors count %d, %d failed", told, v.answers, v.bad)
	}
	if lost := report.Lost() - v.bad; lost != 0 || report.Unsent() > 0 {
		t.Errorf("%d lost besides, %d unsent\n%s", lost, report.Unsent(), report)
	}
	h.serves(back)
}

func TestWatch_ABadReleaseIsShiftedBackAlsoByTheNextDaemonAndWithoutAWatchItStays(t *testing.T) {
	h, l := watchedHost(t, "e2e-watch")
	h.faulty("0.05", "30ms")
	takenBack(t, h, l, 2, 2, 1, "release 2 answered", "of them with 5xx (", "allowed 1 %; release 1: 0 %")
	l = h.visitors()
	h.eventually("release 1 has served for a while", func() bool { return l.Counts().OK > 3*watchRate })
	h.faulty("0", "90ms")
	takenBack(t, h, l, 3, 3, 1, "release 3 answered", "half of them in more than", "release 1: half within")

	diesInTheWindow(t, h)

	// The control: a rig in which a bad release is taken back for other reasons, or
	// never seen, would not keep this one.
	h.faulty("0.05", "30ms")
	h.env["MONITOR"] = "0s"
	l = h.visitors()
	h.deploy(5)
	h.eventually("the bad release serves on", func() bool { return l.Counts().Lost > 20 })
	if v := seen(l.Stop(), 5); v.bad == 0 {
		t.Error("nobody saw the bad release: the rig is blind")
	}
	h.serves(5)
}

func TestWatch_AReleaseThatIsNoWorseIsNeverTakenBackUnderLoad(t *testing.T) {
	h, l := watchedHost(t, "e2e-watch-fine")
	n := rollouts(t, 2)
	h.env["MONITOR"] = "3s"
	for i := range n {
		r := h.deploy(i+2, "web")
		if i == 0 {
			t.Logf("%s%s", r.err, r.out)
		}
	}
	r := l.Stop()
	t.Logf("%d rollouts\n%s", n, r)
	if !r.Clean() {
		t.Errorf("lost %d, unsent %d", r.Lost(), r.Unsent())
	}
}

// diesInTheWindow deploys a bad release and kills the daemon when its window begins:
// the next daemon finds it to be bad.
func diesInTheWindow(t *testing.T, h *host) {
	t.Helper()
	l := h.visitors()
	h.eventually("release 1 has served for a while", func() bool { return l.Counts().OK > 3*watchRate })
	h.stop()
	h.boot("STEADY_CRASH_AT=watch:before")
	h.faulty("0.05", "30ms")
	cmd := h.command(map[string]string{"GESALP_RELEASE": "4"}, "deploy", "-y", "-d")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("deploy: %v\n%s", err, out)
	}
	select {
	case <-h.exited:
	case <-time.After(soon):
		t.Fatalf("the daemon did not die in the window\n%s", h.log)
	}
	h.boot()
	r := h.steady("watch", "4")
	refused(t, r, 4, "release 4 answered", "of them with 5xx (")
	report := l.Stop()
	v := seen(report, 4)
	if v.bad == 0 || report.Lost() != v.bad {
		t.Errorf("%d lost, %d of them failures of the bad release", report.Lost(), v.bad)
	}
	h.serves(1)
}
