package api_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
)

// story is a rollout's stream from seq 1 to n, the last one done.
func story(n int64) []steady.Event {
	var out []steady.Event
	for i := int64(1); i <= n; i++ {
		e := steady.Event{Seq: i, Rollout: 7, Kind: steady.EventStep, Project: "shop", Took: time.Duration(i)}
		if i == n {
			e.Kind = steady.EventDone
		}
		out = append(out, e)
	}
	return out
}

// tell says the events behind after, up to and with seq last.
func tell(events []steady.Event, last int64) func(context.Context, int64, func(steady.Event) error) error {
	return func(_ context.Context, after int64, say func(steady.Event) error) error {
		for _, e := range events {
			if e.Seq <= after || e.Seq > last {
				continue
			}
			if err := say(e); err != nil {
				return err
			}
		}
		return nil
	}
}

func collect(got *[]steady.Event) func(steady.Event) error {
	return func(e steady.Event) error {
		*got = append(*got, e)
		return nil
	}
}

func TestEvents_ComeInOrderAndWhole(t *testing.T) {
	want := story(50)
	var got []steady.Event
	if err := pair(t, &fake{events: tell(want, 50)}).Events(t.Context(), 7, 0, collect(&got)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEvents_EachIsThereBeforeTheNextIsMade(t *testing.T) {
	seen := make(chan int64)
	b := &fake{events: func(_ context.Context, _ int64, say func(steady.Event) error) error {
		for _, e := range story(3) {
			if err := say(e); err != nil {
				return err
			}
			select {
			case <-seen:
			case <-time.After(5 * time.Second):
				return errors.New("the event was not flushed")
			}
		}
		return nil
	}}
	err := pair(t, b).Events(t.Context(), 7, 0, func(e steady.Event) error { seen <- e.Seq; return nil })
	if err != nil {
		t.Error(err)
	}
}

func TestEvents_GoOnWhereADaemonThatDiedLeftOff(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "steady.sock")
	want := story(6)
	half := make(chan struct{})
	first := &fake{events: func(ctx context.Context, after int64, say func(steady.Event) error) error {
		err := tell(want, 3)(ctx, after, say)
		close(half)
		<-ctx.Done()
		return err
	}}
	stop := serve(t, socket, first)
	second := &fake{events: func(ctx context.Context, _ int64, say func(steady.Event) error) error {
		return tell(want, 6)(ctx, 0, say) // says again what was said
	}}
	var wg sync.WaitGroup
	wg.Go(func() {
		<-half
		stop()
		serve(t, socket, second)
	})
	defer wg.Wait()

	var got []steady.Event
	if err := api.NewClient(socket).Events(t.Context(), 7, 0, collect(&got)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{int64(7), int64(3)}, second.asked); diff != "" {
		t.Errorf("asked of the second daemon (-want +got):\n%s", diff)
	}
}

func TestEvents_GiveUpWhenTheDaemonStaysAway(t *testing.T) {
	c := api.NewClient(filepath.Join(t.TempDir(), "steady.sock"))
	api.SetPatience(c, 300*time.Millisecond, time.Second)
	err := c.Events(t.Context(), 7, 0, func(steady.Event) error { return nil })
	if !errors.Is(err, steady.ErrNoDaemon) || !strings.Contains(steady.AsError(err).Hint, "steady watch 7") {
		t.Errorf("got %v (hint %q)", err, steady.AsError(err).Hint)
	}
}

func TestEvents_GiveUpOnADaemonThatHangs(t *testing.T) {
	c := pair(t, &fake{events: func(ctx context.Context, _ int64, _ func(steady.Event) error) error {
		<-ctx.Done()
		return nil
	}})
	api.SetPatience(c, 200*time.Millisecond, 50*time.Millisecond)
	err := c.Events(t.Context(), 7, 0, func(steady.Event) error { return nil })
	if !errors.Is(err, steady.ErrNoDaemon) {
		t.Errorf("got %v", err)
	}
}

func TestEvents_AnErrorMidStreamArrives(t *testing.T) {
	b := &fake{events: func(ctx context.Context, after int64, say func(steady.Event) error) error {
		return errors.Join(tell(story(5), 2)(ctx, after, say), steady.ErrStore.With("disk is full", "df"))
	}}
	var got []steady.Event
	err := pair(t, b).Events(t.Context(), 7, 0, collect(&got))
	if !errors.Is(err, steady.ErrStore) || len(got) != 2 {
		t.Errorf("got %v after %d events", err, len(got))
	}
}

func TestEvents_ALeavingClientEndsOnlyItsStream(t *testing.T) {
	left := make(chan struct{})
	b := &fake{events: func(ctx context.Context, _ int64, say func(steady.Event) error) error {
		if err := say(story(2)[0]); err != nil {
			return err
		}
		<-ctx.Done()
		close(left)
		return ctx.Err()
	}}
	c := pair(t, b)
	ctx, leave := context.WithCancel(t.Context())
	err := c.Events(ctx, 7, 0, func(steady.Event) error { leave(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	select {
	case <-left:
	case <-time.After(5 * time.Second):
		t.Fatal("the handler did not learn that the client left")
	}
	for _, a := range b.asked {
		if s, ok := a.(string); ok {
			t.Errorf("leaving asked for %s", s)
		}
	}
}

func TestLogs_ArriveLineByLine(t *testing.T) {
	want := []steady.LogLine{
		{Service: "api", Release: 42, Replica: "shop-api-42-1", Text: "hello"},
		{Service: "api", Release: 42, Replica: "shop-api-42-1", Stderr: true, Text: `{"fault":"of the app"}`},
	}
	var got []steady.LogLine
	err := pair(t, &fake{logs: want}).Logs(t.Context(), steady.LogQuery{Project: "shop"}, func(l steady.LogLine) error {
		got = append(got, l)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStream_HeartbeatsKeepAQuietStreamAlive(t *testing.T) {
	release := make(chan struct{})
	b := &fake{events: func(_ context.Context, _ int64, say func(steady.Event) error) error {
		<-release
		return say(steady.Event{Seq: 1, Kind: steady.EventDone})
	}}
	got := api.Beats(t, b, time.Millisecond, func(beats int) {
		if beats == 3 {
			close(release)
		}
	})
	if !strings.HasPrefix(got, "\n\n\n") || !strings.Contains(got, `"kind":"done"`) {
		t.Errorf("got %q", got)
	}
}
