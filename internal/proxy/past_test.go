package proxy

import (
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// stepped is a counter whose past is sampled every 5 s from a fixed moment on.
type stepped struct {
	c   counter
	now time.Time
}

func newStepped() *stepped {
	s := &stepped{now: time.Unix(1_000_000, 0)}
	s.c.past = newPast(s.now)
	return s
}

// pass lets time go by with n requests in each 5 s.
func (s *stepped) pass(d time.Duration, n int) {
	for end := s.now.Add(d); s.now.Before(end); {
		for range n {
			s.c.requests.Add(1)
			s.c.answered.Add(1)
			s.c.answer(200, 10*time.Millisecond)
		}
		s.now = s.now.Add(sampleEvery)
		s.c.past.add(s.now, &s.c)
	}
}

func (s *stepped) minute() steady.Span { return s.c.flow(s.now).Minute }

func TestPast_TellsTheLastMinuteOnly(t *testing.T) {
	s := newStepped()
	s.pass(time.Hour, 100)
	if m := s.minute(); m.For != time.Minute || m.Counts.Requests != 1200 || m.Took.Count() != 1200 {
		t.Errorf("after an hour: %s, %d requests, %d latencies", m.For, m.Counts.Requests, m.Took.Count())
	}
	if n := len(s.c.past.samples); n > 14 {
		t.Errorf("%d samples are kept", n)
	}
	s.pass(30*time.Second, 0)
	if m := s.minute(); m.For != time.Minute || m.Counts.Requests != 600 {
		t.Errorf("half a minute after the end: %s, %d requests", m.For, m.Counts.Requests)
	}
	s.pass(31*time.Second, 0)
	if m := s.minute(); m.Counts.Requests != 0 || m.Took.Quantile(0.5) != 0 {
		t.Errorf("a minute after the end: %d requests, p50 %s", m.Counts.Requests, m.Took.Quantile(0.5))
	}
}

func TestPast_OfAYoungCounterIsAsLongAsItIsOld(t *testing.T) {
	s := newStepped()
	s.pass(10*time.Second, 50)
	s.now = s.now.Add(2 * time.Second)
	if m := s.minute(); m.For != 12*time.Second || m.Counts.Requests != 100 {
		t.Errorf("%s, %d requests", m.For, m.Counts.Requests)
	}
}

func TestPast_ABurstAfterALongRestIsSpreadOverTheWholeMinute(t *testing.T) {
	s := newStepped()
	s.pass(time.Hour, 0)
	s.c.requests.Add(60)
	s.now = s.now.Add(time.Second)
	if p := s.minute().Pace(); p.For != time.Minute || p.PerSecond != 1 {
		t.Errorf("%s, %.2f/s", p.For, p.PerSecond)
	}
	if l := s.c.flow(s.now).Lately; l.For != lately || l.Counts.Requests != 60 {
		t.Errorf("lately: %s, %d requests", l.For, l.Counts.Requests)
	}
}

func TestPast_OneQuietForAnHourIsForgotten(t *testing.T) {
	s := newStepped()
	s.pass(time.Minute, 1)
	if s.c.past.forgotten(s.now.Add(forgetAfter - time.Minute)) {
		t.Error("too early")
	}
	if !s.c.past.forgotten(s.now.Add(forgetAfter + time.Second)) {
		t.Error("never")
	}
}

func BenchmarkAnswer(b *testing.B) {
	var c counter
	for b.Loop() {
		c.answer(200, 12345*time.Microsecond)
	}
}
