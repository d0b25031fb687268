package job

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/singleflight"
)

const (
	stream   = "JOBS"
	subject  = "jobs.todo"
	consumer = "workers"
	bucket   = "jobs" // key-value: states; objects: models and rows

	keep     = 24 * time.Hour   // how long states, models and rows stay
	ackWait  = 15 * time.Second // without a word from its worker a job goes to another
	pulse    = 3 * time.Second  // between two words
	attempts = 5
)

// How long one attempt may take, whatever its caller's patience: the connection may have
// ended between a question and its answer, and then no answer comes.
const (
	askWithin  = 2 * time.Second  // a question
	moveWithin = 20 * time.Second // rows or a model
	makeWithin = 5 * time.Second  // all stores
)

// atATime bounds the attempts that are under way at once: everybody who has waited for
// the queue asks when it is back.
const atATime = 64

// Queue is a connection to the queue service. It connects again for ever; while
// the queue is away calls wait until their context ends and then say ErrAway.
type Queue struct {
	conn   *nats.Conn
	js     jetstream.JetStream
	making singleflight.Group
	slots  chan struct{} // one for each attempt under way

	mu    sync.Mutex
	store *stores       // nil until made sure of, and again after each reconnect
	epoch int           // counts connects
	back  chan struct{} // closed at the next connect
}

// stores are what the queue service keeps for us.
type stores struct {
	states  jetstream.KeyValue
	objects jetstream.ObjectStore
	todo    jetstream.Consumer
}

// Open begins to connect to the NATS server at url ("nats://queue:4222") and
// returns without waiting for it. name shows in the server's monitoring.
func Open(url, name string) (*Queue, error) {
	q := &Queue{slots: make(chan struct{}, atATime), back: make(chan struct{})}
	conn, err := nats.Connect(url,
		nats.Name(name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		nats.Timeout(2*time.Second),
		nats.PingInterval(5*time.Second),
		nats.ReconnectBufSize(-1), // what cannot be sent now is an error now, not a surprise later
		nats.ConnectHandler(func(*nats.Conn) { q.connected() }),
		nats.ReconnectHandler(func(*nats.Conn) { q.connected() }),
		// An error belongs to the call that met it; the default handler would
		// print to stderr besides.
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", url, err)
	}
	q.conn = conn
	if q.js, err = jetstream.New(conn); err != nil {
		conn.Close()
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return q, nil
}

// Close sends what was said last, an answer to a delivery say, and ends the
// connection.
func (q *Queue) Close() {
	if q.Connected() {
		_ = q.conn.FlushTimeout(2 * time.Second) // it went away just now: nothing to be done
	}
	q.conn.Close()
}

// Connected says whether the queue answers now.
func (q *Queue) Connected() bool { return q.conn.IsConnected() }

// connected wakes those who wait for the queue, and has the stores made sure of again:
// the server that came back may have an empty volume.
func (q *Queue) connected() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.store = nil
	q.epoch++
	close(q.back)
	q.back = make(chan struct{})
}

// reach gives the stores, creating what is missing, and waits for the queue
// until ctx ends. Errors wrap ErrAway.
func (q *Queue) reach(ctx context.Context) (*stores, error) {
	for {
		q.mu.Lock()
		s, back := q.store, q.back
		q.mu.Unlock()
		var err error
		switch {
		case !q.conn.IsConnected():
			err = nats.ErrDisconnected
			select {
			case <-back:
			case <-ctx.Done():
			}
		case s != nil:
			return s, nil
		default:
			if s, err = q.shared(ctx); err == nil {
				return s, nil
			}
			_ = rest(ctx)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", ErrAway, err)
		}
	}
}

// shared has the stores made sure of once for all who wait for them.
func (q *Queue) shared(ctx context.Context) (*stores, error) {
	made := q.making.DoChan("stores", func() (any, error) {
		q.mu.Lock()
		s, epoch := q.store, q.epoch
		q.mu.Unlock()
		if s != nil {
			return s, nil
		}
		s, err := q.makeStores()
		if err != nil {
			return nil, err
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.epoch == epoch {
			q.store = s
		}
		return s, nil
	})
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case r := <-made:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*stores), nil
	}
}

// rest is a pause before the next attempt, of no fixed length, so that those who failed
// together do not come again together.
func rest(ctx context.Context) error {
	return pause(ctx, 50*time.Millisecond+rand.N(100*time.Millisecond))
}

func (q *Queue) makeStores() (*stores, error) {
	ctx, cancel := context.WithTimeout(context.Background(), makeWithin)
	defer cancel()
	_, err := q.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: stream, Subjects: []string{subject}, Retention: jetstream.WorkQueuePolicy, Duplicates: 2 * time.Minute,
	})
	if err != nil {
		return nil, fmt.Errorf("make stream: %w", err)
	}
	todo, err := q.js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable: consumer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait,
	})
	if err != nil {
		return nil, fmt.Errorf("make consumer: %w", err)
	}
	states, err := q.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket, TTL: keep})
	if err != nil {
		return nil, fmt.Errorf("make states: %w", err)
	}
	objects, err := q.js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: bucket, TTL: keep})
	if err != nil {
		return nil, fmt.Errorf("make objects: %w", err)
	}
	return &stores{states: states, objects: objects, todo: todo}, nil
}

// again calls f until it succeeds, ctx ends, or it fails for a reason that is
// not the queue's being away. Each attempt has a deadline of its own. f must be safe to
// repeat, and must not call again itself.
func (q *Queue) again(ctx context.Context, within time.Duration, f func(context.Context, *stores) error) error {
	for {
		s, err := q.reach(ctx)
		if err != nil {
			return err
		}
		if err = q.attempt(ctx, within, s, f); err == nil || !away(err) {
			return err
		}
		if rest(ctx) != nil {
			return fmt.Errorf("%w: %w", ErrAway, err)
		}
	}
}

// attempt calls f once, when there is a slot.
func (q *Queue) attempt(ctx context.Context, within time.Duration, s *stores, f func(context.Context, *stores) error) error {
	select {
	case q.slots <- struct{}{}:
		defer func() { <-q.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return f(ctx, s)
}

func away(err error) bool {
	for _, target := range []error{
		nats.ErrDisconnected, nats.ErrConnectionReconnecting, nats.ErrReconnectBufExceeded, nats.ErrNoResponders,
		nats.ErrTimeout, context.DeadlineExceeded, jetstream.ErrNoStreamResponse, jetstream.ErrJetStreamNotEnabled,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
