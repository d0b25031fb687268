package docker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

func TestLogs_ComeInOrderOfTimeAndCarryWhoWroteThem(t *testing.T) {
	b := newBench(t)
	one := b.started(t, b.release(t, "api", 1))
	two := b.started(t, b.release(t, "api", 2))
	for _, c := range []string{one.Name, two.Name} {
		if err := b.Stop(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	got := b.logs(t, steady.LogQuery{Project: b.project, Tail: -1})
	if !slices.IsSortedFunc(got, func(x, y steady.LogLine) int { return x.Time.Compare(y.Time) }) {
		t.Error("lines are not in the order of their time")
	}
	if len(got) != 6 {
		t.Fatalf("%d lines, want 3 of each", len(got))
	}
	for _, l := range got {
		if l.Service != "api" || l.Release == 0 || !strings.HasPrefix(l.Replica, b.project+"-api-") || time.Since(l.Time) > time.Minute {
			t.Errorf("line %+v", l)
		}
		if long := strings.HasSuffix(l.Text, "long end"); long != l.Stderr || long && len(l.Text) != 40003 {
			t.Errorf("stderr %v: a line of %d bytes", l.Stderr, len(l.Text))
		}
	}
}

func TestLogs_ObeyServiceReleaseTailAndSince(t *testing.T) {
	b := newBench(t)
	b.started(t, b.release(t, "other", 1))
	one, two := b.started(t, b.release(t, "api", 1)), b.started(t, b.release(t, "api", 2))
	for _, c := range []string{one.Name, two.Name} {
		if err := b.Stop(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	got := b.logs(t, steady.LogQuery{Project: b.project, Services: []string{"api"}, Release: 2, Tail: 1})
	if len(got) != 1 || got[0].Replica != two.Name || got[0].Text != "done" {
		t.Errorf("lines %+v", got)
	}
	got = b.logs(t, steady.LogQuery{Project: b.project, Services: []string{"api"}, Tail: -1, Since: two.Started})
	for _, l := range got {
		if l.Time.Before(two.Started) {
			t.Errorf("line of %v, before %v", l.Time, two.Started)
		}
	}
	if len(got) == 0 {
		t.Error("no line since the second started")
	}
}

func (b *bench) logs(t *testing.T, q steady.LogQuery) []steady.LogLine {
	t.Helper()
	var out []steady.LogLine
	err := b.Logs(t.Context(), q, func(l steady.LogLine) error {
		out = append(out, l)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestLogs_FollowContainersThatComeLaterAndComeBack(t *testing.T) {
	b := newBench(t)
	one := b.started(t, b.release(t, "api", 1))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	lines, ended := make(chan steady.LogLine, 100), make(chan error, 1)
	go func() {
		ended <- b.Logs(ctx, steady.LogQuery{Project: b.project, Follow: true, Tail: -1}, func(l steady.LogLine) error {
			lines <- l
			return nil
		})
	}()
	next := func(replica, text string) {
		t.Helper()
		for {
			select {
			case l := <-lines:
				if l.Replica == replica && l.Text == text {
					return
				}
				if l.Text == text {
					t.Fatalf("%q of %s, want it of %s", text, l.Replica, replica)
				}
			case <-ctx.Done():
				t.Fatalf("no line %q of %s", text, replica)
			}
		}
	}
	next(one.Name, "serving")
	two := b.started(t, b.release(t, "api", 2))
	next(two.Name, "serving")
	if err := b.Stop(t.Context(), one.Name); err != nil {
		t.Fatal(err)
	}
	next(one.Name, "done")
	if err := b.Start(t.Context(), one.Name); err != nil {
		t.Fatal(err)
	}
	next(one.Name, "serving")
	for range 5 { // it is back before its log has come to an end
		if _, err := b.api.ContainerRestart(t.Context(), one.Name, client.ContainerRestartOptions{}); err != nil {
			t.Fatal(err)
		}
		next(one.Name, "done")
		next(one.Name, "serving")
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestLogs_EndWithTheErrorOfSay(t *testing.T) {
	b := newBench(t)
	b.started(t, b.release(t, "api", 1))
	enough := errors.New("enough")
	for _, follow := range []bool{true, false} { // following waits for the first line
		err := b.Logs(t.Context(), steady.LogQuery{Project: b.project, Follow: follow, Tail: -1}, func(steady.LogLine) error { return enough })
		if !errors.Is(err, enough) {
			t.Errorf("follow %v: %v", follow, err)
		}
	}
}
