package web_test

import (
	"bytes"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/web"
)

var began = time.Date(2026, 11, 25, 18, 4, 5, 0, time.UTC)

func at(seconds float64) time.Time { return began.Add(time.Duration(seconds * float64(time.Second))) }

// spread is n answers around a latency.
func spread(n int64, around time.Duration) steady.Histogram {
	l := make(steady.Latencies, steady.LatencyBuckets)
	for i := range n {
		f := math.Exp(1.1 * math.Cos(float64(i)*2.4) * math.Sin(float64(i)*0.7+1))
		if i%97 == 0 {
			f *= 6
		}
		l[steady.LatencyBucket(time.Duration(float64(around)*f))]++
	}
	return l.Histogram()
}

// rolled is a rollout of two services: one that was replaced without a loss, one
// that lost something.
func rolled() steady.Rollout {
	api := steady.ServiceReceipt{Service: "api", From: 41, To: 42, Strategy: steady.StrategyStartNew, Ready: 3200 * time.Millisecond,
		Releases: map[int]steady.Counts{41: {Requests: 1890, Answered: 1880, Left: 10, Streams: 6, StreamsEnded: 3, StreamsClosed: 3}, 42: {Requests: 1420, Answered: 1420, Streams: 6}},
		Answers: map[int]steady.Answers{
			41: {Classes: [6]int64{0, 6, 1860, 12, 2, 0}, Took: spread(1874, 31*time.Millisecond)},
			42: {Classes: [6]int64{0, 6, 1400, 10, 4, 0}, Took: spread(1414, 27*time.Millisecond)}},
		Drained: steady.Drained{Requests: 17, Longest: 2300 * time.Millisecond, Streams: 6, StreamsEnded: 3, StreamsClosed: 3},
		Before:  steady.Stretch{For: time.Minute, Requests: 14200, Took: spread(14200, 31*time.Millisecond)},
		After:   steady.Stretch{For: 6 * time.Second, Requests: 1420, Took: spread(1414, 27*time.Millisecond)}}
	db := steady.ServiceReceipt{Service: "<db>&", From: 41, To: 42, Strategy: steady.StopFirst, Gap: 1700 * time.Millisecond, Ready: 1100 * time.Millisecond,
		Releases: map[int]steady.Counts{0: {Requests: 12, Lost: 12}, 41: {Requests: 300, Answered: 290, Errors: 4, Lost: 6, Cut: 6}, 42: {Requests: 200, Answered: 200}},
		Answers:  map[int]steady.Answers{41: {Classes: [6]int64{0, 0, 286, 0, 0, 4}, Took: spread(290, 4*time.Millisecond)}, 42: {Classes: [6]int64{0, 0, 200}, Took: spread(200, 4*time.Millisecond)}},
		Drained:  steady.Drained{Requests: 6, Cut: 6, Longest: time.Second}, Uncounted: []string{"calls by its name <script>alert(1)</script>"}}
	x := &steady.Receipt{Rollout: 7, Project: "shop", Took: 14200 * time.Millisecond, Began: began, Ended: at(14.2), Services: []steady.ServiceReceipt{api, db},
		Shifts: []steady.Shifted{
			{At: at(4.0), Step: "db/withdraw", Services: []steady.ServiceShift{{Service: "<db>&", Release: 41, Left: steady.Open{Requests: 6}}}},
			{At: at(5.7), Step: "db/shift", Services: []steady.ServiceShift{{Service: "<db>&", Release: 42, Replicas: 1}}},
			{At: at(8.2), Step: "shift", Services: []steady.ServiceShift{{Service: "api", Release: 42, Replicas: 2, Left: steady.Open{Requests: 17, Streams: 6}}}}}}
	for _, p := range []struct {
		service, kind string
		from, to      float64
	}{{"api", "pull", 0.1, 1.4}, {"api", "prepare", 1.5, 1.6}, {"<db>&", "prepare", 1.5, 1.6}, {"api", "create", 1.6, 1.8}, {"<db>&", "create", 1.6, 1.8}, {"api", "start", 1.8, 2.3}, {"api", "probe", 2.3, 3.9},
		{"<db>&", "drain", 4.0, 4.4}, {"<db>&", "stop", 4.4, 4.6}, {"<db>&", "start", 4.6, 4.8}, {"<db>&", "probe", 4.8, 5.7}, {"api", "watch", 8.2, 11.2}, {"api", "drain", 11.2, 13.5}, {"api", "stop", 13.5, 14.0}, {"api", "remove", 14.0, 14.2}, {"<db>&", "remove", 14.0, 14.1}} {
		x.Phases = append(x.Phases, steady.PhaseTaken{Service: p.service, Kind: p.kind, Began: at(p.from), Ended: at(p.to)})
	}
	x.Series = series()
	return steady.Rollout{ID: 7, Project: "shop", Kind: steady.KindDeploy, State: steady.RolloutDone, Who: "eva@host", Started: began, Ended: at(14.2), Receipt: x}
}

func series() *steady.Series {
	s := &steady.Series{From: began.Add(20 * time.Millisecond)}
	lines := []steady.Line{{Service: "<db>&", Release: 0}, {Service: "<db>&", Release: 41}, {Service: "<db>&", Release: 42}, {Service: "api", Release: 41}, {Service: "api", Release: 42}}
	for i := range 15 {
		until := min(float64(i+1), 14.18)
		s.Until = append(s.Until, time.Duration(until*float64(time.Second)))
		for k := range lines {
			l := &lines[k]
			var n, errs int64
			mid := float64(i) + 0.5
			wobble := int64(12 * math.Sin(float64(3*i+k)))
			switch {
			case k == 0 && (i == 4 || i == 5):
				n, errs = 6, 6
			case k == 1 && mid < 4:
				n = 75 + wobble
				if i == 3 {
					errs = 10
				}
			case k == 2 && mid > 5.7:
				n = 24 + wobble/2
			case k == 3 && mid < 8.2:
				n = 230 + wobble
			case k == 4 && mid > 8.2:
				n = 236 + wobble
			}
			l.Requests, l.Errors, l.Open = append(l.Requests, n), append(l.Errors, errs), append(l.Open, 3)
			p50 := int64(0)
			if n > 0 && k > 0 {
				p50 = 27000 + 300*wobble
				if k < 3 {
					p50 = 4000 + 30*wobble
				}
			}
			l.P50, l.P99 = append(l.P50, p50), append(l.P99, p50*4)
		}
	}
	s.Lines = lines
	return s
}

func page(t *testing.T, r steady.Rollout) string {
	t.Helper()
	var b bytes.Buffer
	if err := web.Receipt(&b, r); err != nil {
		t.Fatal(err)
	}
	if to := os.Getenv("HREC_OUT"); to != "" {
		os.WriteFile(to, b.Bytes(), 0o644)
	}
	return b.String()
}

func TestReceipt_SaysWhatWasLost(t *testing.T) {
	got := page(t, rolled())
	for _, want := range []string{"3,822 requests, 18 lost (6 cut by the drain’s clock), 3 streams closed in order", "41, old", "42, new", "no replica", "prefers-color-scheme", "<desc id="} {
		if !strings.Contains(got, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
