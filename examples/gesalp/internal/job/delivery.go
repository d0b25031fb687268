package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gesalp.example/stack/internal/synth"
)

// Delivery is a job in a worker's hand. It ends by Finish, Fail or GiveBack; a
// worker that dies without a word loses it to another after 15 s.
type Delivery struct {
	Job     Job
	Attempt int // counted from 1

	queue *Queue
	msg   jetstream.Msg
	who   State // worker and release, put into every state
}

// Take asks for a job for at most wait; nil when there was none. It cannot be
// cut short: a job that was sent to a caller who has left would lie idle until
// its time is up.
func (q *Queue) Take(wait time.Duration, worker, release string) (*Delivery, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	s, err := q.reach(ctx)
	if err != nil {
		return nil, err
	}
	batch, err := s.todo.Fetch(1, jetstream.FetchMaxWait(wait))
	if err != nil {
		return nil, fmt.Errorf("ask for a job: %w", err)
	}
	msg, ok := <-batch.Messages()
	if !ok {
		return nil, batch.Error()
	}
	d := &Delivery{queue: q, msg: msg, Attempt: 1, who: State{Worker: worker, Release: release}}
	if meta, err := msg.Metadata(); err == nil {
		d.Attempt = int(meta.NumDelivered)
	}
	if err := json.Unmarshal(msg.Data(), &d.Job); err != nil {
		return nil, errors.Join(fmt.Errorf("decode job: %w", err), msg.Term())
	}
	return d, nil
}

// Exhausted says whether the job has been tried too often to be tried again.
func (d *Delivery) Exhausted() bool { return d.Attempt > attempts }

// Model reads what was learned of the job's table.
func (d *Delivery) Model(ctx context.Context) (synth.Model, error) {
	return d.queue.Model(ctx, d.Job.ID)
}

// Hold keeps the job in hand until ctx ends: it tells the queue every three
// seconds that the worker lives.
func (d *Delivery) Hold(ctx context.Context) {
	for pause(ctx, pulse) == nil {
		// Lost words while the queue is away do no harm: what the job leaves
		// behind is the same whoever does it, and once.
		_ = d.msg.InProgress()
	}
}

// Progress reports the rows made so far. ErrEnded when another worker was first.
func (d *Delivery) Progress(ctx context.Context, made int) error {
	return d.report(ctx, State{Phase: Running, Made: made})
}

// Finish stores the rows, then the state, then takes the job off the queue, in
// this order: a crash between leads to the same rows being made again. It
// waits for a queue that is away until ctx ends.
func (d *Delivery) Finish(ctx context.Context, rows []byte) error {
	state, err := d.queue.State(ctx, d.Job.ID)
	if err == nil && !state.Ended() {
		err = d.queue.again(ctx, moveWithin, func(ctx context.Context, s *stores) error {
			_, err := s.objects.Put(ctx, jetstream.ObjectMeta{Name: rowsKey(d.Job.ID)}, bytes.NewReader(rows))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("store rows: %w", err)
	}
	return d.end(ctx, State{Phase: Done, Made: d.Job.Rows})
}

// Fail says for good that the job cannot be done.
func (d *Delivery) Fail(ctx context.Context, cause error) error {
	return d.end(ctx, State{Phase: Failed, Error: cause.Error()})
}

// Forget takes the job off the queue and leaves its state alone.
func (d *Delivery) Forget(ctx context.Context) error {
	return d.queue.again(ctx, askWithin, func(ctx context.Context, _ *stores) error {
		if err := d.msg.DoubleAck(ctx); !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
			return err
		}
		return nil
	})
}

// GiveBack puts the job back for another worker, at once.
func (d *Delivery) GiveBack() error { return d.msg.Nak() }

func (d *Delivery) end(ctx context.Context, s State) error {
	if err := d.report(ctx, s); err != nil && !errors.Is(err, ErrEnded) && !errors.Is(err, ErrNone) {
		return err
	}
	return d.Forget(ctx)
}

// report compares and sets: of two workers with one job only the first to end it
// is believed, and progress never goes back.
func (d *Delivery) report(ctx context.Context, s State) error {
	s.Job, s.Attempt, s.Worker, s.Release = d.Job, d.Attempt, d.who.Worker, d.who.Release
	for {
		old, revision, err := d.queue.state(ctx, d.Job.ID)
		if err != nil {
			return err
		}
		next, ok := s.after(old)
		if !ok {
			return ErrEnded
		}
		err = d.queue.again(ctx, askWithin, func(ctx context.Context, st *stores) error {
			_, err := st.states.Update(ctx, d.Job.ID, encode(next), revision)
			return err
		})
		if !conflict(err) {
			return err
		}
	}
}

// conflict says whether someone else wrote the state in between.
func conflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}
