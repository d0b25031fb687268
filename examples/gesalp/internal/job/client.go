package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"gesalp.example/stack/internal/synth"
)

func modelKey(id string) string { return id + ".json" }
func rowsKey(id string) string  { return id + ".csv" }

// Submit puts the job on the queue. Safe to repeat with the same job; ErrAway
// when the queue does not answer before ctx ends.
func (q *Queue) Submit(ctx context.Context, j Job, m synth.Model) error {
	model, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode model: %w", err)
	}
	return q.again(ctx, moveWithin, func(ctx context.Context, s *stores) error {
		if _, err := s.objects.PutBytes(ctx, modelKey(j.ID), model); err != nil {
			return fmt.Errorf("store model: %w", err)
		}
		state := encode(State{Job: j, Phase: Queued})
		if _, err := s.states.Create(ctx, j.ID, state); err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
			return fmt.Errorf("store state: %w", err)
		}
		if _, err := q.js.Publish(ctx, subject, encode(j), jetstream.WithMsgID(j.ID)); err != nil {
			return fmt.Errorf("publish job: %w", err)
		}
		return nil
	})
}

// State says how far the job is; ErrNone, ErrAway.
func (q *Queue) State(ctx context.Context, id string) (State, error) {
	state, _, err := q.state(ctx, id)
	return state, err
}

func (q *Queue) state(ctx context.Context, id string) (state State, revision uint64, err error) {
	if !ValidID(id) {
		return State{}, 0, ErrNone
	}
	err = q.again(ctx, askWithin, func(ctx context.Context, s *stores) error {
		entry, err := s.states.Get(ctx, id)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return ErrNone
		}
		if err != nil {
			return fmt.Errorf("read state: %w", err)
		}
		revision = entry.Revision()
		return json.Unmarshal(entry.Value(), &state)
	})
	return state, revision, err
}

// Watch calls f with the state now and after each change until it has ended, ctx
// ends or f returns an error. Changes in quick succession may come as one.
func (q *Queue) Watch(ctx context.Context, id string, f func(State) error) error {
	// A poll and not a watcher of the key: it needs nothing of the connection
	// that a restart of the queue could silently take away.
	const every = 100 * time.Millisecond
	var last uint64
	for {
		state, revision, err := q.state(ctx, id)
		if err != nil {
			return err
		}
		if revision != last {
			if err := f(state); err != nil || state.Ended() {
				return err
			}
			last = revision
		}
		if err := pause(ctx, every); err != nil {
			return err
		}
	}
}

// Model reads what was learned of the job's table; ErrNone, ErrAway.
func (q *Queue) Model(ctx context.Context, id string) (m synth.Model, err error) {
	b, err := q.object(ctx, id, modelKey(id))
	if err != nil {
		return synth.Model{}, err
	}
	defer b.Close()
	if err := json.NewDecoder(b).Decode(&m); err != nil {
		return synth.Model{}, fmt.Errorf("decode model: %w", err)
	}
	return m, nil
}

// Rows opens the rows of a job that is done; ErrNone, ErrAway.
func (q *Queue) Rows(ctx context.Context, id string) (io.ReadCloser, error) {
	return q.object(ctx, id, rowsKey(id))
}

// object reads what is kept under key, whole: the connection may end in the middle of it.
func (q *Queue) object(ctx context.Context, id, key string) (io.ReadCloser, error) {
	if !ValidID(id) {
		return nil, ErrNone
	}
	var all []byte
	err := q.again(ctx, moveWithin, func(ctx context.Context, s *stores) (err error) {
		all, err = s.objects.GetBytes(ctx, key)
		if errors.Is(err, jetstream.ErrObjectNotFound) {
			return ErrNone
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(all)), nil
}

// encode cannot fail for what it is given here: plain structs.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
