package proxy_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/proxy"
)

func (r *rig) reading(since time.Time) steady.Reading {
	r.t.Helper()
	got, err := r.client.Reading(context.Background(), "shop", since)
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

func TestReading_TellsWhatWasCountedBetweenTwo(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	one, two := backend(t, "api-1", 1, http.NotFoundHandler()), backend(t, "api-2", 2, slow(entered, release))
	r := newRig(t, steady.HTTP, proxy.Limits{}, one)
	for range 3 {
		r.get("/")
	}
	eventually(t, "three are counted", func() bool { return r.flow(1).Counts.Answered == 3 })
	first := r.reading(time.Time{})
	if m := first.Services["shop/api"][1]; m.Counts.Requests != 3 || m.Classes[4] != 3 || m.Took.Count() != 3 {
		t.Errorf("first %+v", m)
	}
	if m := first.Minute["shop/api"]; m.Requests != 3 || m.For <= 0 || m.Took.Count() != 3 {
		t.Errorf("the minute before %+v", m)
	}
	r.get("/")
	eventually(t, "the fourth is counted", func() bool { return r.flow(1).Counts.Answered == 4 })
	r.serve(steady.HTTP, two)
	done := make(chan struct{})
	go func() { defer close(done); r.get("/slow") }()
	<-entered
	second := r.reading(first.At)
	got := second.Since(first)["shop/api"]
	if got[1].Counts.Requests != 1 || got[1].Classes[4] != 1 || got[2].Counts.Requests != 1 || got[2].Open.Requests != 1 || got[2].Took.Count() != 0 {
		t.Errorf("between the two %+v", got)
	}
	if !second.Proxy.Equal(first.Proxy) || !second.At.After(first.At) {
		t.Errorf("proxies of %s and %s", first.Proxy, second.Proxy)
	}
	close(release)
	<-done
	if other, err := r.client.Reading(context.Background(), "sho", time.Time{}); err != nil || len(other.Services) > 0 {
		t.Errorf("of another project: %v, %v", other.Services, err)
	}
}

// What nothing was counted of since is left out, however it is asked for: who asks
// every second must not be told of every release there ever was.
func TestReading_LeavesOutReleasesThatAreQuiet(t *testing.T) {
	t.Parallel()
	one, two := backend(t, "api-1", 1, http.NotFoundHandler()), backend(t, "api-2", 2, http.NotFoundHandler())
	r := newRig(t, steady.HTTP, proxy.Limits{}, one)
	r.get("/")
	r.serve(steady.HTTP, two)
	eventually(t, "release 1 is quiet", func() bool { // once its past was sampled
		return len(r.reading(time.Now()).Services["shop/api"]) == 0
	})
	if all := r.reading(time.Time{}).Services["shop/api"]; all[1].Counts.Requests != 1 {
		t.Errorf("all: %+v", all)
	}
	since := time.Now()
	r.serve(steady.HTTP, one)
	r.get("/")
	eventually(t, "it is told of again", func() bool { return r.reading(since).Services["shop/api"][1].Counts.Requests == 2 })
}
