package steady

import (
	"maps"
	"math"
	"slices"
	"time"
)

// Histogram is Latencies for keeping: only the buckets in which something was
// counted, by their upper bound. What is longer than every bound is counted under
// Unbounded. Nil is none at all.
type Histogram map[time.Duration]int64

// Unbounded is the upper bound of the last bucket.
const Unbounded = time.Duration(math.MaxInt64)

// Histogram is the same without the empty buckets.
func (l Latencies) Histogram() Histogram {
	var out Histogram
	for i, n := range l {
		if n == 0 {
			continue
		}
		if out == nil {
			out = Histogram{}
		}
		out[bound(i)] += n
	}
	return out
}

func bound(bucket int) time.Duration {
	if bucket >= len(bounds) {
		return Unbounded
	}
	return bounds[bucket]
}

// Latencies is the same with all buckets, nil where there is none.
func (h Histogram) Latencies() Latencies {
	if len(h) == 0 {
		return nil
	}
	out := make(Latencies, LatencyBuckets)
	for b, n := range h {
		out[LatencyBucket(b)] += n
	}
	return out
}

// Plus adds two.
func (h Histogram) Plus(o Histogram) Histogram { return h.with(o, 1) }

// Minus is what came to an earlier one.
func (h Histogram) Minus(o Histogram) Histogram { return h.with(o, -1) }

func (h Histogram) with(o Histogram, times int64) Histogram {
	if len(o) == 0 {
		return h
	}
	out := maps.Clone(h)
	if out == nil {
		out = Histogram{}
	}
	for b, n := range o {
		if out[b] += times * n; out[b] == 0 {
			delete(out, b)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// Count is how many were counted.
func (h Histogram) Count() int64 {
	var n int64
	for _, c := range h {
		n += c
	}
	return n
}

// Quantile is as Latencies.Quantile.
func (h Histogram) Quantile(q float64) time.Duration { return h.Latencies().Quantile(q) }

// Longest is the upper bound of the longest that was counted, 0 for none.
func (h Histogram) Longest() time.Duration {
	if len(h) == 0 {
		return 0
	}
	return min(slices.Max(slices.Collect(maps.Keys(h))), bounds[len(bounds)-1])
}
