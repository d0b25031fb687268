package job_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"gesalp.example/stack/internal/job"
	"gesalp.example/stack/internal/queue/queuetest"
	"gesalp.example/stack/internal/synth"
)

const table = "age,city\n31,Bern\n42,Basel\n53,Bern\n"

func model(t *testing.T) synth.Model {
	t.Helper()
	m, err := synth.Learn(strings.NewReader(table))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newJob(t *testing.T, rows int) job.Job {
	t.Helper()
	j, err := job.New(rows, 2, max(rows/4, 1), 0)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func madeOf(t *testing.T, j job.Job) []byte {
	t.Helper()
	rows, err := job.Make(t.Context(), j, model(t), func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func submit(t *testing.T, q *job.Queue, j job.Job) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := q.Submit(ctx, j, model(t)); err != nil {
		t.Fatal(err)
	}
}

func take(t *testing.T, q *job.Queue) *job.Delivery {
	t.Helper()
	d, err := q.Take(5*time.Second, "w1", "7")
	if err != nil || d == nil {
		t.Fatalf("took %v, %v", d, err)
	}
	return d
}

func rowsOf(t *testing.T, q *job.Queue, id string) []byte {
	t.Helper()
	r, err := q.Rows(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNew_RefusesWhatAsksForTooMuch(t *testing.T) {
	for name, ask := range map[string]func() (job.Job, error){
		"no rows":    func() (job.Job, error) { return job.New(0, 2, 1, 0) },
		"many rows":  func() (job.Job, error) { return job.New(job.MaxRows+1, 1, 1, 0) },
		"many cells": func() (job.Job, error) { return job.New(job.MaxRows, 6, 1, 0) },
		"no chunk":   func() (job.Job, error) { return job.New(1, 1, 0, 0) },
		"too long":   func() (job.Job, error) { return job.New(100, 1, 10, 13*time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ask(); !errors.Is(err, job.ErrAsking) {
				t.Errorf("got %v, want ErrAsking", err)
			}
		})
	}
}

func TestMake_ReportsEachChunkAndMakesTheSameTwice(t *testing.T) {
	j := newJob(t, 10)
	var made []int
	one, err := job.Make(t.Context(), j, model(t), func(n int) { made = append(made, n) })
	if err != nil {
		t.Fatal(err)
	}
	if got := made[len(made)-1]; len(made) != 5 || got != 10 {
		t.Errorf("progress %v", made)
	}
	if lines := bytes.Count(one, []byte("\n")); lines != 11 {
		t.Errorf("%d lines, want a header and 10 rows", lines)
	}
	if !bytes.Equal(one, madeOf(t, j)) {
		t.Error("the same job made other rows")
	}
}

func TestQueue_AnyConnectionSeesTheJobToItsEnd(t *testing.T) {
	server := queuetest.Start(t)
	api, worker, other := server.Open("api"), server.Open("worker"), server.Open("other")
	j := newJob(t, 20)
	submit(t, api, j)
	d := take(t, worker)
	if err := d.Progress(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	state, err := other.State(t.Context(), j.ID)
	if err != nil || state.Phase != job.Running || state.Made != 10 || state.Worker != "w1" || state.Release != "7" {
		t.Fatalf("state %+v, %v", state, err)
	}
	want := madeOf(t, j)
	if err := d.Finish(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	var last job.State
	if err := other.Watch(t.Context(), j.ID, func(s job.State) error { last = s; return nil }); err != nil {
		t.Fatal(err)
	}
	if last.Phase != job.Done || last.Made != 20 {
		t.Errorf("last state %+v", last)
	}
	if !bytes.Equal(rowsOf(t, other, j.ID), want) {
		t.Error("rows differ from what was made")
	}
}

func TestQueue_UnknownJobIsNone(t *testing.T) {
	q := queuetest.Start(t).Open("api")
	for _, id := range []string{newJob(t, 1).ID, "../x", "", "a.>"} {
		if _, err := q.State(t.Context(), id); !errors.Is(err, job.ErrNone) {
			t.Errorf("state of %q: %v, want ErrNone", id, err)
		}
		if _, err := q.Rows(t.Context(), id); !errors.Is(err, job.ErrNone) {
			t.Errorf("rows of %q: %v, want ErrNone", id, err)
		}
	}
}

func TestQueue_SubmittedTwiceIsDoneOnce(t *testing.T) {
	q := queuetest.Start(t).Open("api")
	j := newJob(t, 4)
	submit(t, q, j)
	submit(t, q, j)
	if err := take(t, q).Finish(t.Context(), madeOf(t, j)); err != nil {
		t.Fatal(err)
	}
	if d, err := q.Take(300*time.Millisecond, "w2", "7"); err != nil || d != nil {
		t.Errorf("took %+v, %v after the job was done", d, err)
	}
}

func TestDelivery_GivenBackGoesToAnotherAtOnce(t *testing.T) {
	q := queuetest.Start(t).Open("worker")
	submit(t, q, newJob(t, 4))
	first := take(t, q)
	if err := first.GiveBack(); err != nil {
		t.Fatal(err)
	}
	if second := take(t, q); second.Job.ID != first.Job.ID || second.Attempt != 2 {
		t.Errorf("took %+v", second)
	}
}

func TestDelivery_OnlyTheFirstToEndIsBelieved(t *testing.T) {
	q := queuetest.Start(t).Open("worker")
	j := newJob(t, 4)
	submit(t, q, j)
	slow := take(t, q)
	if err := slow.Progress(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := slow.GiveBack(); err != nil { // as if it had been silent too long
		t.Fatal(err)
	}
	quick := take(t, q)
	if err := quick.Progress(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if s, err := q.State(t.Context(), j.ID); err != nil || s.Made != 2 {
		t.Errorf("progress went back: %+v, %v", s, err)
	}
	want := madeOf(t, j)
	if err := quick.Finish(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if err := slow.Progress(t.Context(), 3); !errors.Is(err, job.ErrEnded) {
		t.Errorf("progress after the end: %v, want ErrEnded", err)
	}
	if err := slow.Fail(t.Context(), errors.New("too late")); err != nil {
		t.Error(err)
	}
	if s, err := q.State(t.Context(), j.ID); err != nil || s.Phase != job.Done || s.Attempt != 2 {
		t.Errorf("state %+v, %v", s, err)
	}
}

func TestQueue_JobOutlivesRestartOfTheQueue(t *testing.T) {
	server := queuetest.Start(t)
	q := server.Open("api")
	j := newJob(t, 4)
	submit(t, q, j)
	d := take(t, q)

	server.Stop()
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := q.Submit(short, newJob(t, 1), model(t)); !errors.Is(err, job.ErrAway) {
		t.Errorf("submit while the queue is away: %v, want ErrAway", err)
	}
	finished := make(chan error, 1)
	rows := madeOf(t, j)
	go func() { finished <- d.Finish(t.Context(), rows) }()
	server.Start()

	if err := <-finished; err != nil {
		t.Fatalf("finish over the restart: %v", err)
	}
	if s, err := q.State(t.Context(), j.ID); err != nil || s.Phase != job.Done {
		t.Errorf("state %+v, %v", s, err)
	}
	if !bytes.Equal(rowsOf(t, q, j.ID), rows) {
		t.Error("rows differ from what was made")
	}
}

func TestLocal_RunsAndReportsTheJob(t *testing.T) {
	l := job.NewLocal("7")
	j := newJob(t, 8)
	if err := l.Submit(t.Context(), j, model(t)); err != nil {
		t.Fatal(err)
	}
	var last job.State
	if err := l.Watch(t.Context(), j.ID, func(s job.State) error { last = s; return nil }); err != nil {
		t.Fatal(err)
	}
	l.Wait()
	r, err := l.Rows(t.Context(), j.ID)
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := io.ReadAll(r)
	if last.Phase != job.Done || last.Made != 8 || !bytes.Equal(rows, madeOf(t, j)) {
		t.Errorf("last state %+v, rows %q", last, rows)
	}
}
