package steady_test

import (
	"testing"
	"time"

	"gesalpai.ch/steady"
)

func TestFlows_OfAServiceCountEachReleaseOnce(t *testing.T) {
	waits := make(steady.Latencies, steady.LatencyBuckets)
	waits[steady.LatencyBucket(time.Second)] = 3
	all := steady.Flows{"shop/db": {
		0: {Counts: steady.Counts{Held: 3}, Waits: waits, Waited: 3 * time.Second, LongestWait: time.Second},
		1: {Counts: steady.Counts{Requests: 4}, Sum: time.Second},
		2: {Counts: steady.Counts{Requests: 5}, Sum: time.Second},
	}}.Of("shop/db")
	if all.Waits.Count() != 3 || all.Waited != 3*time.Second || all.LongestWait != time.Second {
		t.Errorf("%d waits, %s in all, the longest %s", all.Waits.Count(), all.Waited, all.LongestWait)
	}
	if all.Counts.Requests != 9 || all.Counts.Held != 3 || all.Sum != 2*time.Second {
		t.Errorf("counts %+v, %s", all.Counts, all.Sum)
	}
}
