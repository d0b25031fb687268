package steady_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gesalpai.ch/steady"
)

func TestHistogram_KeepsWhatLatenciesCounted(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) steady.Latencies {
		l := make(steady.Latencies, steady.LatencyBuckets)
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, steady.LatencyBuckets-1), 0, 20).Draw(t, "buckets") {
			l[i] += rapid.Int64Range(1, 1000).Draw(t, "count")
		}
		return l
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw.Draw(t, "a"), draw.Draw(t, "b")
		h := a.Histogram()
		if h.Count() != a.Count() || h.Quantile(0.9) != a.Quantile(0.9) {
			t.Fatalf("%d at %s, was %d at %s", h.Count(), h.Quantile(0.9), a.Count(), a.Quantile(0.9))
		}
		sum := h.Plus(b.Histogram())
		if diff := cmp.Diff(a.Plus(b).Histogram(), sum); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(h, sum.Minus(b.Histogram())); diff != "" {
			t.Fatal(diff)
		}
		if b.Histogram().Minus(b.Histogram()) != nil {
			t.Fatal("what is left of nothing is something")
		}
	})
}

func TestHistogram_IsSmallAsJSONAndReadAsItWas(t *testing.T) {
	l := make(steady.Latencies, steady.LatencyBuckets)
	l[steady.LatencyBucket(9*time.Millisecond)] = 12
	l[steady.LatencyBucket(time.Hour)] = 1
	b, err := json.Marshal(l.Histogram())
	if err != nil || len(b) > 60 {
		t.Errorf("%d bytes, %v: %s", len(b), err, b)
	}
	var got steady.Histogram
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l, got.Latencies()); diff != "" {
		t.Error(diff)
	}
	if got.Longest() != 1000*time.Second || (steady.Histogram)(nil).Longest() != 0 {
		t.Errorf("longest %s", got.Longest())
	}
}
