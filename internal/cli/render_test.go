package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

// deployed is a rollout of one service from its acceptance to its receipt.
const deployed = `[
 {"kind": "accepted"},
 {"kind": "begun", "service": "api", "release": 42, "step": "pull", "step_id": "1"},
 {"kind": "progress", "service": "api", "step": "pull", "step_id": "1", "text": "layer 3 of 7"},
 {"kind": "step", "service": "api", "release": 42, "step": "pull", "step_id": "1", "took": 3100000000, "text": "ghcr.io/acme/api@sha256:9f3c2b7a1d04555500000000"},
 {"kind": "planned", "plan": {"project": "shop", "services": [{"service": "api", "strategy": "start-first", "from": 41, "to": 42, "replicas": 1},
   {"service": "db", "strategy": "unchanged", "from": 12, "to": 12}]}},
 {"kind": "step", "service": "api", "release": 42, "step": "prepare", "step_id": "2"},
 {"kind": "step", "service": "api", "release": 42, "step": "create", "step_id": "3", "replica": "shop-api-42-1", "text": "shop-api-42-1"},
 {"kind": "step", "service": "api", "release": 42, "step": "start", "step_id": "4", "replica": "shop-api-42-1", "text": "shop-api-42-1"},
 {"kind": "step", "service": "api", "release": 42, "step": "probe", "step_id": "5", "replica": "shop-api-42-1", "text": "200 /health after 1.4s"},
 {"kind": "step", "step": "shift", "step_id": "6", "text": "api to release 42, 1 upstream"},
 {"kind": "step", "service": "api", "release": 42, "step": "watch", "step_id": "7", "text": "10s without a failure"},
 {"kind": "step", "service": "api", "release": 41, "step": "drain", "step_id": "8", "replica": "shop-api-41-1", "text": "shop-api-41-1",
   "drained": {"requests": 17, "longest": 2300000000, "streams": 4, "streams_ended": 4}},
 {"kind": "step", "service": "api", "release": 41, "step": "stop", "step_id": "9", "replica": "shop-api-41-1", "text": "shop-api-41-1"},
 {"kind": "step", "service": "api", "release": 41, "step": "remove", "step_id": "10", "replica": "shop-api-41-1", "text": "shop-api-41-1"},
 {"kind": "done", "state": "done", "receipt": {"took": 14200000000, "services": [{"service": "api", "from": 41, "to": 42,
   "releases": {"41": {"requests": 310}, "42": {"requests": 3000}}, "drained": {"requests": 17, "streams": 4, "streams_ended": 4}}]}}
]`

// stack is a rollout of two services that build and come up side by side.
const stack = `[
 {"kind": "progress", "service": "web", "step": "build", "step_id": "w1", "text": "COPY . ."},
 {"kind": "progress", "service": "web", "step": "build", "step_id": "w1", "text": "COPY . ."},
 {"kind": "step", "service": "web", "step": "build", "step_id": "w1", "took": 61000000000, "text": "sha256:77aa77aa77aa77aa"},
 {"kind": "planned", "plan": {"project": "shop", "services": [
   {"service": "db", "strategy": "stop-first", "cause": "one replica writes to data", "from": 41, "to": 42, "replicas": 1, "gap": 1200000000},
   {"service": "web", "strategy": "start", "to": 42, "replicas": 2}]}},
 {"kind": "progress", "service": "web", "step": "probe", "step_id": "w2", "text": "503 /"},
 {"kind": "step", "service": "web", "release": 42, "step": "probe", "step_id": "w2", "replica": "shop-web-42-1", "text": "200 / after 80ms"},
 {"kind": "step", "service": "web", "release": 42, "step": "probe", "step_id": "w3", "replica": "shop-web-42-2", "text": "200 / after 95ms"},
 {"kind": "step", "service": "db", "step": "drain", "step_id": "d1", "replica": "shop-db-41-1", "drained":
   {"requests": 2, "longest": 30000000000, "cut": 1, "streams": 5, "streams_ended": 1, "streams_closed": 1, "streams_quiet": 2, "streams_cut": 1}},
 {"kind": "step", "service": "db", "step": "drain", "step_id": "d2", "replica": "shop-db-41-2", "drained": {}},
 {"kind": "done", "state": "done", "receipt": {"took": 65000000000, "services": [
   {"service": "db", "from": 41, "to": 42, "releases": {"41": {"requests": 1000, "lost": 1, "cut": 1, "streams_cut": 1, "streams_closed": 1}},
    "drained": {"cut": 1, "streams_cut": 1, "streams_quiet": 2, "streams_closed": 1}},
   {"service": "web", "to": 42, "releases": {"42": {"requests": 5}}}]}}
]`

func plain(t *testing.T, kind, stream string) string {
	t.Helper()
	var b bytes.Buffer
	v := &plainView{out: &b, teller: newTeller("shop", style{}, true)}
	var seen account
	for _, e := range decoded(t, stream) {
		seen.note(e)
		v.event(e)
	}
	v.close()
	for _, line := range conclusion(steady.Rollout{Project: "shop", Kind: kind}, seen) {
		fmt.Fprintln(&b, line)
	}
	return b.String()
}

func TestPlain_OneServiceIsALinePerFact(t *testing.T) {
	want := strings.TrimPrefix(`
shop/db  unchanged  release 12
shop/api  release 42  ghcr.io/acme/api@sha256:9f3c2b7a1d04…  was 41
  pull    3.1s
  start   api-42-1
  probe   200 /health after 1.4s
  shift   api to release 42, 1 upstream
  watch   10s without a failure
  drain   api-41-1, 17 requests, longest 2.3s; 4 streams, 4 ended
  stop    api-41-1
deployed shop/api release 42 in 14.2s: 3,310 requests, 0 lost
`, "\n")
	if diff := cmp.Diff(want, plain(t, steady.KindDeploy, deployed)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPlain_AStackNamesTheServiceOnEveryLine(t *testing.T) {
	want := strings.TrimPrefix(`
  build   | COPY . .
steady: warning: shop/db is replaced with a gap (stop-first): one replica writes to data; the last one took 1.2s
shop/db  release 42  was 41
shop/web  release 42  sha256:77aa77aa77aa…
  web  build   1m01s
  web  probe   | 503 /
  web  probe   web-42-1: 200 / after 80ms
  web  probe   web-42-2: 200 / after 95ms
  db   drain   db-41-1, 2 requests, longest 30s, 1 cut; 5 streams, 1 ended, 1 closed, 2 quiet, 1 cut
  db   drain   db-41-2, nothing in flight
deployed shop/db release 42: 1,000 requests, 1 lost (1 cut when the drain's clock ran out), 1 stream cut, 2 streams ended quietly, 1 stream closed in order when the drain's clock ran out
deployed shop/web release 42: 5 requests, 0 lost
deployed shop in 1m05s: 2 services, 1,005 requests, 1 lost (1 cut when the drain's clock ran out), 1 stream cut, 2 streams ended quietly, 1 stream closed in order when the drain's clock ran out
`, "\n")
	if diff := cmp.Diff(want, plain(t, steady.KindDeploy, stack)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPlain_UnchangedSaysWhatServes(t *testing.T) {
	stream := `[{"kind": "planned", "plan": {"project": "shop", "services": [{"service": "api", "strategy": "unchanged", "from": 41, "to": 41}]}},
		{"kind": "done", "state": "unchanged", "receipt": {}}]`
	want := "shop/api  unchanged  release 41\nunchanged shop/api: release 41 serves\n"
	if diff := cmp.Diff(want, plain(t, steady.KindDeploy, stream)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTally_NeverSaysNothingLostWhereSomethingWasCut(t *testing.T) {
	const zero = "0 lost"
	receipt := func(c steady.Counts, d steady.Drained) []steady.ServiceReceipt {
		return []steady.ServiceReceipt{{Releases: map[int]steady.Counts{41: c}, Drained: d}}
	}
	for name, s := range map[string][]steady.ServiceReceipt{
		"lost":               receipt(steady.Counts{Requests: 9, Lost: 1}, steady.Drained{}),
		"no upstream":        {{Releases: map[int]steady.Counts{0: {Requests: 1, Lost: 1}}}},
		"request cut":        receipt(steady.Counts{Requests: 9, Lost: 1, Cut: 1}, steady.Drained{Cut: 1}),
		"cut, proxy gone":    receipt(steady.Counts{}, steady.Drained{Cut: 1}),
		"stream cut":         receipt(steady.Counts{Requests: 9, StreamsCut: 1}, steady.Drained{}),
		"stream cut, drain":  receipt(steady.Counts{Requests: 9}, steady.Drained{StreamsCut: 2}),
		"one service of two": append(receipt(steady.Counts{Requests: 9}, steady.Drained{}), receipt(steady.Counts{StreamsCut: 1}, steady.Drained{})...),
	} {
		if got := tally(s); strings.Contains(got, zero) {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, s := range map[string][]steady.ServiceReceipt{
		"nothing":     receipt(steady.Counts{Requests: 9, Left: 1, Retried: 2, Errors: 3}, steady.Drained{}),
		"closed":      receipt(steady.Counts{Requests: 9, StreamsClosed: 1}, steady.Drained{StreamsClosed: 1}),
		"no services": nil,
		"no deployed": {{}},
	} {
		if got := tally(s); !strings.Contains(got, zero) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// screen is what a terminal shows after it was written to: enough of one for the
// sequences that the live view uses.
func screen(t *testing.T, written string) string {
	t.Helper()
	lines := []string{""}
	for written != "" {
		switch {
		case strings.HasPrefix(written, "\n"):
			lines, written = append(lines, ""), written[1:]
		case strings.HasPrefix(written, "\x1b["):
			var up int
			if _, err := fmt.Sscanf(written, "\x1b[%dA\r\x1b[J", &up); err != nil {
				t.Fatalf("unknown sequence in %q", written)
			}
			if up >= len(lines) {
				t.Fatalf("moves up %d lines of %d", up, len(lines)-1)
			}
			lines = append(lines[:len(lines)-1-up], "")
			written = written[strings.Index(written, "\x1b[J")+3:]
		default:
			lines[len(lines)-1] += written[:1]
			written = written[1:]
		}
	}
	return strings.Join(lines, "\n")
}

func TestLive_ShowsWhatRunsBelowWhatIsDone(t *testing.T) {
	var b bytes.Buffer
	v := &liveView{out: &b, width: func() int { return 44 }, teller: newTeller("shop", style{}, false)}
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	events := decoded(t, deployed)
	for i := range events {
		events[i].Time = start.Add(time.Duration(i) * time.Second)
	}
	v.tick(start) // nothing has come yet
	for _, e := range events[:3] {
		v.event(e)
		v.tick(e.Time)
	}
	v.event(steady.Event{Kind: steady.EventProgress, Step: "pull", StepID: "1", Text: "\x1b[2Jlayer 4 of 7, which is a long one to pull"})
	v.tick(start.Add(4250 * time.Millisecond))
	want := "  pull    3.2s   api  [2Jlayer 4 of 7, whi…\n  4.2s\n"
	if diff := cmp.Diff(want, screen(t, b.String())); diff != "" {
		t.Errorf("while it pulls (-want +got):\n%s", diff)
	}
	for _, e := range events[3:] {
		v.event(e)
		v.tick(e.Time)
	}
	v.close()
	want = strings.TrimPrefix(`
shop/db  unchanged  release 12
shop/api  release 42  ghcr.io/acme/api@sha256:9f3c2b7a1d04…  was 41
  pull    3.1s
  start   api-42-1
  probe   200 /health after 1.4s
  shift   api to release 42, 1 upstream
  watch   10s without a failure
  drain   api-41-1, 17 requests, longest 2.3s; 4 streams, 4 ended
  stop    api-41-1
`, "\n")
	if diff := cmp.Diff(want, screen(t, b.String())); diff != "" {
		t.Errorf("at the end (-want +got):\n%s", diff)
	}
}

func TestLive_AStepThatFailedIsNotLeftRunning(t *testing.T) {
	var b bytes.Buffer
	v := &liveView{out: &b, width: func() int { return 80 }, teller: newTeller("shop", style{}, false)}
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	v.event(steady.Event{Kind: steady.EventBegun, Time: now, Step: "probe", StepID: "p", Replica: "shop-api-42-1"})
	v.tick(now)
	v.event(steady.Event{Kind: steady.EventUndo, Time: now, Error: steady.ErrNotReady})
	v.tick(now)
	if diff := cmp.Diff("  undo    replica did not become ready\n  0ms\n", screen(t, b.String())); diff != "" {
		t.Errorf("while it is undone (-want +got):\n%s", diff)
	}
	v.event(steady.Event{Kind: steady.EventFailed, Time: now, State: steady.RolloutFailed, Error: steady.ErrNotReady})
	v.close()
	if diff := cmp.Diff("  undo    replica did not become ready\n", screen(t, b.String())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
