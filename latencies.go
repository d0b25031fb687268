package steady

import (
	"slices"
	"sort"
	"time"
)

// Latencies counts answers by how long they took: the i-th number is of those
// longer than the bound before and no longer than LatencyBounds()[i], the last of
// those longer than every bound. Nil is none at all.
type Latencies []int64

// bounds are 32 to the decade from 100 µs to 1000 s, so that whatever lies
// between two is known to 6 %, with every power of ten and its 2, 2.5 and 5 among
// them.
var bounds = makeBounds()

func makeBounds() []time.Duration {
	out := []time.Duration{100 * time.Microsecond}
	for decade := 100 * time.Microsecond; decade < 1000*time.Second; decade *= 10 {
		for _, part := range []struct{ from, to, step time.Duration }{
			{decade, 2 * decade, decade / 10},
			{2 * decade, 5 * decade, decade / 4},
			{5 * decade, 10 * decade, decade / 2},
		} {
			for b := part.from + part.step; b <= part.to; b += part.step {
				out = append(out, b)
			}
		}
	}
	return out
}

// LatencyBounds are the buckets' upper bounds, growing. A Latencies has one number
// more.
func LatencyBounds() []time.Duration { return slices.Clone(bounds) }

// LatencyBuckets is how many numbers a Latencies has.
const LatencyBuckets = 226

// LatencyBucket is the number that counts an answer which took d.
func LatencyBucket(d time.Duration) int {
	return sort.Search(len(bounds), func(i int) bool { return d <= bounds[i] })
}

// Plus adds two.
func (l Latencies) Plus(o Latencies) Latencies {
	switch {
	case len(l) == 0:
		return o
	case len(o) == 0:
		return l
	}
	out := slices.Clone(l)
	for i := range min(len(l), len(o)) {
		out[i] += o[i]
	}
	return out
}

// Count is how many answers were counted.
func (l Latencies) Count() int64 {
	var n int64
	for _, c := range l {
		n += c
	}
	return n
}

// Quantile is how long the fastest share q of the answers took at most, to
// within a bucket; 0 where there was none, the longest bound for what is longer.
func (l Latencies) Quantile(q float64) time.Duration {
	total := l.Count()
	if total == 0 {
		return 0
	}
	rank := q * float64(total)
	var below int64
	for i, n := range l {
		if n == 0 || float64(below+n) < rank {
			below += n
			continue
		}
		if i >= len(bounds) {
			return bounds[len(bounds)-1]
		}
		var floor time.Duration
		if i > 0 {
			floor = bounds[i-1]
		}
		return floor + time.Duration(float64(bounds[i]-floor)*(rank-float64(below))/float64(n))
	}
	return bounds[len(bounds)-1]
}
