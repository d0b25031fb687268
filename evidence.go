package steady

import (
	"math"
	"time"
)

// odds are those against its being chance that must be seen. A release that fails in
// just the share that is allowed shows them once in odds windows, however often one
// looks (Ville's inequality). One that is no worse than the release before is far from
// that share, as likewise says: it shows them once in odds² windows at most.
const odds = 200.0

// evident says whether it can be no chance that bad of n went wrong where no more
// than the share most of them may.
//
// It is a sequential test with a mixture of alternatives (Robbins 1970; the
// "mSPRT" of A/B tests): how much better than by most the outcome is explained, on
// average, by shares that are worse. That average is a martingale as long as the
// true share is most, so one may look as often as one likes: a bound for one look
// would be broken by chance sooner or later.
func evident(bad, n int64, most float64) bool {
	if most >= 1 || n <= 0 {
		return false
	}
	most = max(most, 1e-4)
	var sum float64
	at, weight := most/(1-most), 1.0
	for range 16 { // each share is of twice the odds of the one before, and half as likely
		at, weight = 2*at, weight/2
		p := at / (1 + at)
		sum += weight * math.Exp(min(float64(bad)*math.Log(p/most)+float64(n-bad)*math.Log((1-p)/(1-most)), 500))
	}
	return sum >= odds
}

// atMost is the share that may well be true where bad of n went wrong: the upper
// end of Wilson's interval at two standard deviations; 1 where nothing is known.
func atMost(bad, n int64) float64 {
	if n <= 0 {
		return 1
	}
	const z = 2.0
	f, m := float64(bad)/float64(n), float64(n)
	return (f + z*z/(2*m) + z*math.Sqrt(f*(1-f)/m+z*z/(4*m*m))) / (1 + z*z/m)
}

// minus is what was counted since o.
func minus(l, o Latencies) Latencies {
	if len(o) == 0 {
		return l
	}
	out := make(Latencies, len(l))
	for i := range out {
		out[i] = l[i]
		if i < len(o) {
			out[i] -= o[i]
		}
	}
	return out
}

// beyond is how many took longer than d, but for those in its own bucket.
func beyond(l Latencies, d time.Duration) int64 {
	var n int64
	for i := LatencyBucket(d) + 1; i < len(l); i++ {
		n += l[i]
	}
	return n
}
