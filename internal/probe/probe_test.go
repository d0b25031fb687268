package probe_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/probe"
	"github.com/google/go-cmp/cmp"
)

func health() steady.Probe {
	return steady.Probe{Kind: steady.ProbeHTTP, Port: 8000, Path: "/health", Deadline: 30 * time.Second}
}

func ok(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

func TestReady_IsSeenWithin100msOfBeingThere(t *testing.T) {
	for _, after := range []time.Duration{0, time.Millisecond, 49 * time.Millisecond, 51 * time.Millisecond, 1337 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			s := served(t, began.Add(after), syscall.ECONNREFUSED, ok)
			said, err := probe.New(running(), s.dial).Ready(t.Context(), name, health())
			if err != nil {
				t.Fatal(err)
			}
			if late := time.Since(began) - after; late > 100*time.Millisecond {
				t.Errorf("there after %v, seen %v later", after, late)
			}
			if !strings.HasPrefix(said, "200 /health after ") {
				t.Errorf("said %q", said)
			}
		})
	}
}

func TestReady_TellsHowItAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := served(t, time.Now().Add(1350*time.Millisecond), syscall.ECONNREFUSED, ok)
		said, err := probe.New(running(), s.dial).Ready(t.Context(), name, health())
		if err != nil || said != "200 /health after 1.4s" {
			t.Errorf("said %q, %v", said, err)
		}
	})
}

func TestReady_RiseMustBeInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []int{200, 503, 200, 200, 500, 200, 200, 200}
		asked := 0
		s := served(t, time.Time{}, nil, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(answers[asked])
			asked++
		})
		p := health()
		p.Rise = 3
		if _, err := probe.New(running(), s.dial).Ready(t.Context(), name, p); err != nil {
			t.Fatal(err)
		}
		if asked != len(answers) {
			t.Errorf("ready after %d answers, want %d", asked, len(answers))
		}
	})
}

func TestReady_OneQuestionAtATimeEachWithItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inFlight, most, asked atomic.Int32
		s := served(t, time.Time{}, nil, func(_ http.ResponseWriter, r *http.Request) {
			most.Store(max(most.Load(), inFlight.Add(1)))
			asked.Add(1)
			<-r.Context().Done()
			inFlight.Add(-1)
		})
		p := health()
		p.Timeout, p.Deadline = 2*time.Second, 10*time.Second
		_, err := probe.New(running(), s.dial).Ready(t.Context(), name, p)
		checkError(t, err, steady.ErrNotReady, name+" did not answer on /health within 2s, 4 times in 10s")
		if most.Load() != 1 || asked.Load() != 5 {
			t.Errorf("%d questions, at most %d in flight; want 5 and 1", asked.Load(), most.Load())
		}
	})
}

func TestReady_DeadlineSentences(t *testing.T) {
	status := func(codes ...int) http.HandlerFunc {
		asked := 0
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(codes[asked%len(codes)])
			asked++
		}
	}
	hangUp := func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }
	far := time.Now().Add(1e6 * time.Hour)
	for _, c := range []struct {
		answer http.HandlerFunc
		up     time.Time
		want   string
	}{
		{status(503), time.Time{}, name + " answered 503 on /health, 10 times in 30s"},
		{status(404, 404, 404, 404, 404, 503), time.Time{}, name + " answered 404 on /health, 9 times in 30s"},
		{status(200, 503), time.Time{}, name + " gave a good answer (200 /health) 10 times among 20 in 30s, but never 2 in a row"},
		{hangUp, time.Time{}, name + " closed the connection on /health without an answer, 10 times in 30s"},
		{nil, far, name + " refused connections on port 8000 for 30s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := served(t, c.up, syscall.ECONNREFUSED, c.answer)
			p := health()
			p.Interval = 3 * time.Second
			if c.up.IsZero() {
				p.Deadline = 30*time.Second - time.Millisecond
			}
			_, err := probe.New(running(), s.dial).Ready(t.Context(), name, p)
			e := checkError(t, err, steady.ErrNotReady, c.want)
			if e.Hint != "steady logs api --release 42" || e.Service != "api" || e.Release != 42 {
				t.Errorf("hint %q, service %q, release %d", e.Hint, e.Service, e.Release)
			}
		})
	}
}

// checkError wants the code and the text, and the container's last ten lines.
func checkError(t *testing.T, err error, code *steady.Error, text string) *steady.Error {
	t.Helper()
	if !errors.Is(err, code) {
		t.Fatalf("%v, want %s", err, code.Code)
	}
	e := steady.AsError(err)
	if e.Text != text {
		t.Errorf("text %q\nwant %q", e.Text, text)
	}
	want := []string{"3", "4", "5", "6", "7", "8", "9", "10", "panic: no config", "exit status 3"}
	if diff := cmp.Diff(want, e.Tail); diff != "" {
		t.Error(diff)
	}
	return e
}

func TestReady_ExitIsToldWhileAQuestionHangs(t *testing.T) {
	for _, c := range []struct {
		change func(*steady.Replica)
		want   string
	}{
		{func(r *steady.Replica) { r.State, r.ExitCode = steady.StateExited, 3 }, name + " exited with code 3"},
		{func(r *steady.Replica) { r.State, r.ExitCode, r.OOM = steady.StateExited, 137, true }, name + " was killed for want of memory (exit code 137)"},
		{func(r *steady.Replica) { r.State, r.ExitCode, r.Restarts = steady.StateRestarting, 1, 1 }, name + " exited with code 1"},
		{func(r *steady.Replica) { r.Started = time.Now() }, name + " was stopped and started again by someone else"},
		{func(r *steady.Replica) { r.Restarts = 2 }, name + " exited and was restarted by the Engine, 2 times"},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			box := running()
			box.after(500*time.Millisecond, c.change)
			s := served(t, time.Time{}, nil, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			p := health()
			p.Timeout = 20 * time.Second
			_, err := probe.New(box, s.dial).Ready(t.Context(), name, p)
			checkError(t, err, steady.ErrExited, c.want)
			if took := time.Since(began); took > 750*time.Millisecond {
				t.Errorf("told after %v, it exited after 500ms", took)
			}
		})
	}
}

func TestReady_RestartBeforeTheFirstLookCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.replica.Restarts = 1
		_, err := probe.New(box, nil).Ready(t.Context(), name, health())
		checkError(t, err, steady.ErrExited, name+" exited and was restarted by the Engine, once")
	})
}

func TestReady_RestartsOfLongAgoDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.replica.Restarts, box.replica.Started = 7, time.Now().Add(-24*time.Hour)
		s := served(t, time.Time{}, nil, ok)
		if _, err := probe.New(box, s.dial).Ready(t.Context(), name, health()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReadyAgain_OnlyRestartsSinceTheFirstLookCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.replica.Restarts = 2
		s := served(t, time.Time{}, nil, ok)
		if _, err := probe.New(box, s.dial).ReadyAgain(t.Context(), name, health()); err != nil {
			t.Fatal(err)
		}
		box.after(500*time.Millisecond, func(r *steady.Replica) { r.Restarts = 3 })
		s = served(t, time.Now().Add(time.Hour), syscall.ECONNREFUSED, nil)
		_, err := probe.New(box, s.dial).ReadyAgain(t.Context(), name, health())
		checkError(t, err, steady.ErrExited, name+" exited and was restarted by the Engine, once")
	})
}

func TestReady_UnhealthyCountsWhateverIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.become(func(r *steady.Replica) { r.Health = steady.HealthStarting })
		box.after(time.Second, func(r *steady.Replica) { r.Health, r.Check = steady.HealthUnhealthy, "curl: not found (exit code 127)" })
		s := served(t, time.Now().Add(time.Hour), syscall.ECONNREFUSED, nil)
		_, err := probe.New(box, s.dial).Ready(t.Context(), name, health())
		checkError(t, err, steady.ErrUnhealthy, name+" is unhealthy by its own healthcheck: curl: not found (exit code 127)")
	})
}

func TestReady_DoesNotWaitForTheEnginesHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.replica.Health = steady.HealthStarting
		s := served(t, time.Time{}, nil, ok)
		if _, err := probe.New(box, s.dial).Ready(t.Context(), name, health()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReady_GoneIsNoReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		time.AfterFunc(time.Second, func() {
			box.mu.Lock()
			defer box.mu.Unlock()
			box.gone = true
		})
		s := served(t, time.Now().Add(time.Hour), syscall.ECONNREFUSED, nil)
		if _, err := probe.New(box, s.dial).Ready(t.Context(), name, health()); !errors.Is(err, steady.ErrNoReplica) {
			t.Errorf("%v, want ErrNoReplica", err)
		}
	})
}

func TestReady_SilentEngineIsNoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.engine = errors.New("connection refused")
		time.AfterFunc(time.Second, func() {
			box.mu.Lock()
			defer box.mu.Unlock()
			box.engine = nil
		})
		s := served(t, time.Time{}, nil, ok)
		if _, err := probe.New(box, s.dial).Ready(t.Context(), name, health()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReady_WaitsForAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.replica.HostNet = false
		box.after(300*time.Millisecond, func(r *steady.Replica) {
			r.Addresses = map[string]string{"b": "10.0.2.3", "a": "10.0.1.3", "0": ""}
		})
		s := served(t, time.Time{}, nil, ok)
		if _, err := probe.New(box, s.dial).Ready(t.Context(), name, health()); err != nil {
			t.Fatal(err)
		}
		if s.dialled[0] != "10.0.1.3:8000" {
			t.Errorf("dialled %v", s.dialled)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.replica.HostNet = false
		_, err := probe.New(box, nil).Ready(t.Context(), name, health())
		checkError(t, err, steady.ErrNotReady, name+" stayed without an address for 30s")
	})
}

func TestReady_HintFitsWhatIsKnown(t *testing.T) {
	for want, change := range map[string]func(*steady.Replica){
		"steady logs api --release 42": func(*steady.Replica) {},
		"steady logs api":              func(r *steady.Replica) { r.Release = 0 },
		"docker logs " + name:          func(r *steady.Replica) { r.Service, r.Release = "", 0 },
	} {
		synctest.Test(t, func(t *testing.T) {
			box := running()
			box.become(change)
			box.become(func(r *steady.Replica) { r.State = steady.StateExited })
			_, err := probe.New(box, nil).Ready(t.Context(), name, health())
			if hint := steady.AsError(err).Hint; hint != want {
				t.Errorf("hint %q, want %q", hint, want)
			}
		})
	}
}

func TestReady_OnlyTheReplicasOwnAnswersAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.replica.State = steady.StateCreated
		box.after(10*time.Second, func(r *steady.Replica) { r.State = steady.StateRunning })
		s := served(t, time.Now().Add(time.Hour), syscall.ECONNREFUSED, nil)
		_, err := probe.New(box, s.dial).Ready(t.Context(), name, health())
		checkError(t, err, steady.ErrNotReady, name+" refused connections on port 8000 for 20s")
	})
}

func TestReady_LeavesNoInspectionBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.slow = time.Second
		s := served(t, time.Now().Add(250*time.Millisecond), syscall.ECONNREFUSED, ok)
		if _, err := probe.New(box, s.dial).Ready(t.Context(), name, health()); err != nil {
			t.Fatal(err)
		}
		box.mu.Lock()
		defer box.mu.Unlock()
		if box.looking > 0 {
			t.Error("an inspection still runs")
		}
	})
}

func TestReady_EndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(steady.ErrAborted) })
		s := served(t, time.Time{}, nil, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		_, err := probe.New(running(), s.dial).Ready(ctx, name, health())
		if !errors.Is(err, steady.ErrAborted) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not say what was probed", err)
		}
	})
}

func TestReady_LooksAtTheContainerSparingly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		s := served(t, time.Now().Add(time.Hour), syscall.ECONNREFUSED, nil)
		_, err := probe.New(box, s.dial).Ready(t.Context(), name, health())
		if !errors.Is(err, steady.ErrNotReady) {
			t.Fatal(err)
		}
		if asked := len(s.dialled); asked < 590 || box.inspects > 160 {
			t.Errorf("%d questions and %d inspections in 30s", asked, box.inspects)
		}
	})
}

func TestReady_UnhealthyAsTheReleaseBeforeIsNoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := running()
		box.become(func(r *steady.Replica) { r.Health = steady.HealthUnhealthy })
		s := served(t, time.Now().Add(time.Second), syscall.ECONNREFUSED, func(http.ResponseWriter, *http.Request) {})
		p := health()
		p.Sick = true
		if _, err := probe.New(box, s.dial).Ready(t.Context(), name, p); err != nil {
			t.Errorf("%v", err)
		}
	})
}
