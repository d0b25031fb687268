package steady_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gesalpai.ch/steady"
)

func TestLatencies_BoundsAreRoundAndWithinSixPercentOfTheMiddle(t *testing.T) {
	b := steady.LatencyBounds()
	if len(b)+1 != steady.LatencyBuckets || !slices.IsSorted(b) {
		t.Fatalf("%d bounds for %d buckets", len(b), steady.LatencyBuckets)
	}
	for _, round := range []time.Duration{time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 25 * time.Millisecond, time.Second, 30 * time.Second, 100 * time.Second, 1000 * time.Second} {
		if !slices.Contains(b, round) {
			t.Errorf("%s is no bound", round)
		}
	}
	for i := range b {
		if steady.LatencyBucket(b[i]) != i || steady.LatencyBucket(b[i]+1) != i+1 {
			t.Errorf("%s is in bucket %d, what is longer in %d", b[i], steady.LatencyBucket(b[i]), steady.LatencyBucket(b[i]+1))
		}
	}
	for i := 1; i < len(b); i++ {
		middle := float64(b[i]+b[i-1]) / 2
		if off := float64(b[i])/middle - 1; off > 0.061 {
			t.Errorf("between %s and %s the middle is off by %.3f", b[i-1], b[i], off)
		}
	}
}

func TestLatencies_QuantileIsNearTheTrueOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		took := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(math.Pow(10, rapid.Float64Range(5.01, 11).Draw(t, "log10 ns")))
		}), 1, 200).Draw(t, "took")
		q := rapid.SampledFrom([]float64{0.5, 0.9, 0.99}).Draw(t, "q")
		l := make(steady.Latencies, steady.LatencyBuckets)
		for _, d := range took {
			l[steady.LatencyBucket(d)]++
		}
		slices.Sort(took)
		truth := took[int(math.Ceil(q*float64(len(took))))-1]
		got := l.Quantile(q)
		if got > truth+truth/8 || truth > got+got/8 {
			t.Fatalf("quantile %.2f is %s, of a truth of %s", q, got, truth)
		}
	})
}

func TestLatencies_NoneAndTooLongAreToldAsSuch(t *testing.T) {
	if got := (steady.Latencies)(nil).Quantile(0.5); got != 0 {
		t.Errorf("of nothing: %s", got)
	}
	l := make(steady.Latencies, steady.LatencyBuckets)
	l[steady.LatencyBucket(time.Hour)]++
	if got := l.Quantile(0.5); got != 1000*time.Second {
		t.Errorf("of an hour: %s", got)
	}
	if l.Plus(l).Count() != 2 || l.Count() != 1 {
		t.Error("Plus changed what it was called on")
	}
}

func TestFlows_AServicesPaceAcrossARolloutIsThatOfItsReleasesTogether(t *testing.T) {
	span := func(seconds, requests int64) steady.Span {
		return steady.Span{For: time.Duration(seconds) * time.Second, Counts: steady.Counts{Requests: requests, Lost: 1, Errors: 1}}
	}
	f := steady.Flows{"shop/api": {1: {Minute: span(60, 5000)}, 2: {Minute: span(10, 1000)}}}
	p := f.Of("shop/api").Minute.Pace()
	if p.PerSecond != 100 || p.Requests != 6000 || p.Errors != 4 {
		t.Errorf("pace %+v", p)
	}
}
