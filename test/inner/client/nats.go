package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"gesalpai.ch/steady/test/inner"
)

// talkNATS keeps connections of the real client, which asks and answers itself
// over the server and, by its own habit, connects again where one was ended.
func talkNATS(ctx context.Context, t *inner.Tally, s settings, every time.Duration) {
	var wg sync.WaitGroup
	for n := range s.long {
		wg.Go(func() { stayNATS(ctx, t, s, n, every) })
	}
	wg.Wait()
}

func stayNATS(ctx context.Context, t *inner.Tally, s settings, n int, every time.Duration) {
	conn, err := nats.Connect(s.nats, append(watched(t, s.timeout),
		nats.Name(fmt.Sprintf("inner-%d", n)), nats.MaxReconnects(-1), nats.ReconnectWait(again), nats.ReconnectJitter(0, 0),
		nats.ReconnectBufSize(-1))...)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	mine := fmt.Sprintf("inner.%d.%s", n, nats.NewInbox())
	if _, err := conn.Subscribe(mine, func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		t.Error(err)
		return
	}
	beat := time.NewTicker(every)
	defer beat.Stop()
	for i := 0; ; i++ {
		select {
		case <-beat.C:
		case <-ctx.Done():
			return
		}
		if !conn.IsConnected() {
			continue // counted when it ended
		}
		ask(conn, t, mine, strconv.Itoa(i))
	}
}

// again is how long NATS' client waits before it connects again.
const again = 50 * time.Millisecond

func ask(conn *nats.Conn, t *inner.Tally, subject, text string) {
	m, err := conn.Request(subject, []byte(text), 2*time.Second)
	switch {
	case err != nil:
		err = &inner.Fault{Phase: inner.PhaseAnswer, Err: err}
	case string(m.Data) != text:
		err = &inner.Fault{Phase: inner.PhaseWrong, Err: fmt.Errorf("%q, want %q", m.Data, text)}
	}
	t.Asked(err)
}

// watched has the client's dials and ends counted.
func watched(t *inner.Tally, timeout time.Duration) []nats.Option {
	var opened atomic.Pointer[time.Time] // handlers run on goroutines of the client's
	connected := func(c *nats.Conn) {
		now := time.Now()
		opened.Store(&now)
		t.Connected(release(c), 0, 0)
	}
	now := time.Now()
	opened.Store(&now)
	return []nats.Option{
		nats.Timeout(timeout),
		nats.SetCustomDialer(dialer{t, timeout}),
		nats.ConnectHandler(connected),
		nats.ReconnectHandler(connected),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { t.Failed(greeting(err)) }),
		nats.DisconnectErrHandler(func(c *nats.Conn, err error) {
			if c.IsClosed() {
				return // by us, at the end
			}
			t.Ended(*opened.Load(), release(c), false, err)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { t.Error(err) }),
	}
}

// dialer is the plain one, counted. That it connected says nothing yet: the
// server's greeting comes after, and ReconnectErrHandler tells where it did not.
type dialer struct {
	t       *inner.Tally
	timeout time.Duration
}

func (d dialer) Dial(_, addr string) (net.Conn, error) {
	d.t.Connecting()
	return inner.Dial(context.Background(), addr, d.timeout)
}

func greeting(err error) error {
	var f *inner.Fault
	if errors.As(err, &f) {
		return f
	}
	return &inner.Fault{Phase: inner.PhaseGreeting, Err: err}
}

// release is in the server's name, "queue-3".
func release(c *nats.Conn) int {
	_, n, _ := strings.Cut(c.ConnectedServerName(), "-")
	r, _ := strconv.Atoi(n)
	return r
}
