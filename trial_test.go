package steady_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// app answers requests as apps do on a busy machine, and a proxy counts it.
type app struct {
	rng     *rand.Rand
	rate    float64       // requests per second
	fails   float64       // share answered with 500
	took    time.Duration // median
	spread  float64       // of the logarithm
	cold    time.Duration // how long from its start it is eight times slower
	pauses  float64       // a second: times in which nothing is answered for up to 300 ms
	crowded float64       // a second: times in which all is slower, up to four times, for up to 400 ms
	hangs   bool          // nothing is answered
	age     time.Duration

	flow     steady.Flow
	pausedTo time.Duration
	slowTo   time.Duration
	factor   float64
	waiting  []time.Duration // when what is in flight will be answered
	failing  []bool
	began    []time.Duration
}

const look = 150 * time.Millisecond

// pass lets time go by, in slices of 10 ms.
func (a *app) pass(d time.Duration) {
	if a.flow.Took == nil {
		a.flow.Took = make(steady.Latencies, steady.LatencyBuckets)
		a.flow.Routed = true
	}
	const slice = 10 * time.Millisecond
	for end := a.age + d; a.age < end; a.age += slice {
		if a.rng.Float64() < a.pauses*slice.Seconds() {
			a.pausedTo = a.age + time.Duration(a.rng.Int64N(int64(300*time.Millisecond)))
		}
		if a.rng.Float64() < a.crowded*slice.Seconds() {
			a.slowTo, a.factor = a.age+time.Duration(a.rng.Int64N(int64(400*time.Millisecond))), 1+3*a.rng.Float64()
		}
		for n := a.poisson(a.rate * slice.Seconds()); n > 0; n-- {
			a.come()
		}
		a.answer()
	}
}

func (a *app) come() {
	a.flow.Counts.Requests++
	a.flow.Open.Requests++
	took := float64(a.took) * math.Exp(a.spread*a.rng.NormFloat64())
	if a.age < a.cold {
		took *= 8
	}
	if a.age < a.slowTo {
		took *= a.factor
	}
	done := a.age + time.Duration(took)
	if a.hangs {
		done = time.Hour
	}
	a.waiting, a.began, a.failing = append(a.waiting, max(done, a.pausedTo)), append(a.began, a.age), append(a.failing, a.rng.Float64() < a.fails)
}

func (a *app) answer() {
	keep := 0
	for i, at := range a.waiting {
		if at > a.age {
			a.waiting[keep], a.began[keep], a.failing[keep] = at, a.began[i], a.failing[i]
			keep++
			continue
		}
		a.flow.Open.Requests--
		a.flow.Counts.Answered++
		a.flow.Took[steady.LatencyBucket(at-a.began[i])]++
		if a.failing[i] {
			a.flow.Counts.Errors++
		}
	}
	a.waiting, a.began, a.failing = a.waiting[:keep], a.began[:keep], a.failing[:keep]
}

func (a *app) poisson(mean float64) int {
	n := 0
	for p := a.rng.Float64(); p > math.Exp(-mean); p *= a.rng.Float64() {
		n++
	}
	return n
}

// now is what the proxy tells of the app.
func (a *app) now() steady.Flow {
	f := a.flow
	f.Took = append(steady.Latencies(nil), f.Took...)
	f.Minute = steady.Span{For: a.age, Counts: f.Counts, Took: f.Took}
	return f
}

// window lets the old one serve for a while, then the new one, beside it or alone,
// and says how long after the budget of errors was passed, else after the shift, it
// was found to be bad; false where it was not.
func window(w steady.Watch, old, fresh *app, past, length time.Duration, beside bool) (time.Duration, string, bool) {
	old.pass(past)
	before := old.now()
	t := steady.NewTrial(w, 7, 6, steady.Flow{}, before)
	passed := time.Duration(0)
	for at := look; at <= length; at += look {
		fresh.pass(look)
		if beside {
			old.pass(look)
		}
		was := old.now()
		was.Routed = beside
		if c := fresh.flow.Counts; passed == 0 && c.Errors >= 5 && float64(c.Errors) > w.Errors*float64(c.Answered) {
			passed = at - look
		}
		if v := t.See(at, fresh.now(), was); v.Bad {
			return at - passed, v.Why, true
		}
	}
	return 0, t.Words(), false
}

func noisy(seed uint64) (*app, *app, *rand.Rand) {
	rng := rand.New(rand.NewPCG(seed, 5))
	rates := []float64{0.2, 1, 5, 20, 100, 200, 500}
	a := app{
		rng: rng, rate: rates[rng.IntN(len(rates))],
		fails:  []float64{0, 0, 0.001, 0.008, 0.03, 0.1, 0.3}[rng.IntN(7)],
		took:   []time.Duration{300 * time.Microsecond, 2 * time.Millisecond, 15 * time.Millisecond, 80 * time.Millisecond, 400 * time.Millisecond}[rng.IntN(5)],
		spread: 0.2 + 1.3*rng.Float64(), pauses: 0.3 * rng.Float64(), crowded: 0.5 * rng.Float64(),
	}
	b := a
	b.cold = time.Duration(rng.Int64N(int64(time.Second)))
	return &a, &b, rng
}

// A release that is as the one before is never found to be bad, however long and
// often one looks: at any traffic, with a cold start, pauses and a crowded machine,
// whatever share of its requests has always failed.
func TestTrial_AReleaseThatIsNoWorseIsNeverFoundToBeBad(t *testing.T) {
	for seed := range uint64(400) {
		old, fresh, rng := noisy(seed)
		past := time.Duration(rng.Int64N(int64(time.Minute)))
		if at, why, bad := window(steady.DefaultWatch(), old, fresh, past, 10*time.Second, rng.IntN(2) == 0); bad {
			t.Errorf("window %d, after %s of the past: bad after %s: %s\n%+v", seed, past, at, why, *old)
		}
	}
}

// pair is an app and another that is like it, without noise, for what must be found.
func pair(seed uint64, rate float64, took time.Duration) (*app, *app) {
	rng := rand.New(rand.NewPCG(seed, 7))
	a := app{rng: rng, rate: rate, took: took, spread: 0.4, crowded: 0.2}
	b := a
	return &a, &b
}

// found runs many windows of a bad release, and wants it found by then in nearly all.
func found(t *testing.T, within time.Duration, make func(seed uint64) (old, fresh *app)) string {
	t.Helper()
	const windows = 200
	late, words := 0, ""
	var sum time.Duration
	for seed := range uint64(windows) {
		old, fresh := make(seed)
		at, why, bad := window(steady.DefaultWatch(), old, fresh, 20*time.Second, 10*time.Second, seed%2 == 0)
		if !bad || at > within {
			late++
		}
		sum += at
		words = why
	}
	t.Logf("found after %s on average, later than %s in %d of %d; %s", sum/windows, within, late, windows, words)
	if late > windows/50 {
		t.Errorf("not found within %s in %d of %d", within, late, windows)
	}
	return words
}

func TestTrial_FivePerCentOfErrorsAreFoundWithinTwoSeconds(t *testing.T) {
	words := found(t, 2*time.Second, func(seed uint64) (*app, *app) {
		old, fresh := pair(seed, 200, 5*time.Millisecond)
		fresh.fails = 0.05
		return old, fresh
	})
	if !strings.Contains(words, "with 5xx (") || !strings.Contains(words, "allowed 1 %; release 6: 0 %") {
		t.Error(words)
	}
}

func TestTrial_ThreeTimesSlowerIsFoundWithinTwoSeconds(t *testing.T) {
	found(t, steady.DefaultWatchAfter+2*time.Second, func(seed uint64) (*app, *app) {
		old, fresh := pair(seed, 200, 30*time.Millisecond)
		fresh.took *= 3
		return old, fresh
	})
}

func TestTrial_WhatNeverAnswersIsFound(t *testing.T) {
	words := found(t, steady.DefaultWatchAfter+2*time.Second, func(seed uint64) (*app, *app) {
		old, fresh := pair(seed, 200, 30*time.Millisecond)
		fresh.hangs = true
		return old, fresh
	})
	if !strings.Contains(words, "more wait for longer (allowed") {
		t.Error(words)
	}
}

func TestTrial_OneThatHadErrorsBeforeIsHeldToTwiceAsMany(t *testing.T) {
	found(t, 8*time.Second, func(seed uint64) (*app, *app) {
		old, fresh := pair(seed, 200, 5*time.Millisecond)
		old.fails, fresh.fails = 0.1, 0.3
		return old, fresh
	})
}
