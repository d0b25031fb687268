package job

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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

// Queue is a connection to the queue service. It connects again for ever; while
// the queue is away calls wait until their context ends and then say ErrAway.
type Queue struct {
	conn *nats.Conn
	js   jetstream.JetStream

	mu    sync.Mutex
	store *stores // nil until made sure of, and again after each reconnect
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
	q := &Queue{}
	conn, err := nats.Connect(url,
		nats.Name(name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		nats.Timeout(2*time.Second),
		nats.PingInterval(5*time.Second),
		nats.ReconnectBufSize(-1), // what cannot be sent now is an error now, not a surprise later
		nats.ReconnectHandler(func(*nats.Conn) { q.forget() }),
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

// forget makes the next call make sure of the stores again: the server that came
// back may have an empty volume.
func (q *Queue) forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.store = nil
}

// reach gives the stores, creating what is missing, and waits for the queue
// until ctx ends. Errors wrap ErrAway.
func (q *Queue) reach(ctx context.Context) (*stores, error) {
	for {
		s, err := q.tryReach(ctx)
		if err == nil {
			return s, nil
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			return nil, fmt.Errorf("%w: %w", ErrAway, err)
		}
	}
}

func (q *Queue) tryReach(ctx context.Context) (*stores, error) {
	q.mu.Lock()
	s := q.store
	q.mu.Unlock()
	if !q.conn.IsConnected() {
		return nil, nats.ErrDisconnected
	}
	if s != nil {
		return s, nil
	}
	s, err := q.makeStores(ctx)
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	q.store = s
	q.mu.Unlock()
	return s, nil
}

func (q *Queue) makeStores(ctx context.Context) (*stores, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
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
// not the queue's being away. f must be safe to repeat.
func (q *Queue) again(ctx context.Context, f func(*stores) error) error {
	for {
		s, err := q.reach(ctx)
		if err != nil {
			return err
		}
		if err = f(s); err == nil || !away(err) {
			return err
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			return fmt.Errorf("%w: %w", ErrAway, err)
		}
	}
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
