package worker_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gesalp.example/stack/internal/job"
	"gesalp.example/stack/internal/queue/queuetest"
	"gesalp.example/stack/internal/synth"
	"gesalp.example/stack/internal/worker"
)

// running is a worker and the ways to stop it and to wait for its end.
type running struct {
	*worker.Worker
	stop  context.CancelFunc
	ended chan error
}

func run(t *testing.T, server *queuetest.Server, name string) *running {
	t.Helper()
	w := &worker.Worker{
		Queue: server.Open(name), Name: name, Release: "7",
		Log: slog.New(slog.DiscardHandler), Patience: time.Second,
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{w, stop, make(chan error, 1)}
	done := make(chan struct{})
	go func() { defer close(done); r.ended <- w.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return r
}

func submit(t *testing.T, q *job.Queue, rows, chunk int, pace time.Duration) job.Job {
	t.Helper()
	m, err := synth.Learn(strings.NewReader("age\n31\n42\n"))
	if err != nil {
		t.Fatal(err)
	}
	j, err := job.New(rows, 1, chunk, pace)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := q.Submit(ctx, j, m); err != nil {
		t.Fatal(err)
	}
	return j
}

func reaches(t *testing.T, q *job.Queue, id string, ok func(job.State) bool) job.State {
	t.Helper()
	var state job.State
	queuetest.Eventually(t, "state of the job", func() bool {
		var err error
		state, err = q.State(t.Context(), id)
		return err == nil && ok(state)
	})
	return state
}

func TestWorker_IsReadyOnceItHasReachedTheQueue(t *testing.T) {
	server := queuetest.Start(t)
	server.Stop()
	w := run(t, server, "w1")
	if w.Ready() {
		t.Error("ready without a queue")
	}
	server.Start()
	queuetest.Eventually(t, "ready", w.Ready)
	server.Stop()
	if !w.Ready() {
		t.Error("unready because the queue went away")
	}
}

func TestWorker_FinishesJobInHandWhenToldToStopAndTakesNoOther(t *testing.T) {
	server := queuetest.Start(t)
	q := server.Open("api")
	w := run(t, server, "w1")
	first := submit(t, q, 10, 1, 50*time.Millisecond)
	reaches(t, q, first.ID, func(s job.State) bool { return s.Made > 0 })
	second := submit(t, q, 1, 1, 0)
	w.stop()
	if s, err := q.State(t.Context(), first.ID); err != nil || s.Ended() {
		t.Fatalf("the job had ended before the stop: %+v, %v", s, err)
	}
	if err := <-w.ended; err != nil {
		t.Fatal(err)
	}
	if s, err := q.State(t.Context(), first.ID); err != nil || s.Phase != job.Done || s.Made != 10 || s.Attempt != 1 {
		t.Errorf("job in hand: %+v, %v", s, err)
	}
	if s, err := q.State(t.Context(), second.ID); err != nil || s.Phase != job.Queued {
		t.Errorf("next job: %+v, %v", s, err)
	}
	run(t, server, "w2")
	s := reaches(t, q, second.ID, job.State.Ended)
	if s.Worker != "w2" || s.Attempt > 2 {
		t.Errorf("next job ended as %+v", s)
	}
}

func TestWorker_FinishesJobOverRestartOfTheQueue(t *testing.T) {
	server := queuetest.Start(t)
	q := server.Open("api")
	run(t, server, "w1")
	j := submit(t, q, 10, 1, 50*time.Millisecond)
	reaches(t, q, j.ID, func(s job.State) bool { return s.Made > 0 })
	server.Stop()
	server.Start()
	if s := reaches(t, q, j.ID, job.State.Ended); s.Phase != job.Done || s.Made != 10 {
		t.Errorf("ended as %+v", s)
	}
}

func TestWorker_ToldToStopDoesNotWaitForEverForAQueueThatIsAway(t *testing.T) {
	server := queuetest.Start(t)
	q := server.Open("api")
	w := run(t, server, "w1")
	j := submit(t, q, 10, 1, 20*time.Millisecond)
	reaches(t, q, j.ID, func(s job.State) bool { return s.Made > 0 })
	server.Stop()
	w.stop()
	select {
	case <-w.ended:
	case <-time.After(30 * time.Second):
		t.Fatal("still waiting for the queue")
	}
	server.Start()
	if s := reaches(t, q, j.ID, func(job.State) bool { return true }); s.Phase != job.Running {
		t.Errorf("the job is %+v, and should wait for another worker", s)
	}
}

func TestWorkers_ShareJobsAndDoEachOnce(t *testing.T) {
	server := queuetest.Start(t)
	q := server.Open("api")
	run(t, server, "w1")
	run(t, server, "w2")
	var jobs []job.Job
	for range 10 {
		jobs = append(jobs, submit(t, q, 4, 1, 5*time.Millisecond))
	}
	var once atomic.Int32
	for _, j := range jobs {
		if s := reaches(t, q, j.ID, job.State.Ended); s.Phase == job.Done && s.Attempt == 1 {
			once.Add(1)
		}
	}
	if once.Load() != 10 {
		t.Errorf("%d of 10 jobs were done at the first attempt", once.Load())
	}
}
