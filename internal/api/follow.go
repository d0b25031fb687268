package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gesalpai.ch/steady"
)

// retryPause is the time between two attempts to find a daemon that went away.
const retryPause = 100 * time.Millisecond

// errSilent ends an attempt that brought not even a heartbeat.
var errSilent = errors.New("the daemon is silent")

// Events calls say for each event of the rollout with Seq > after, each once and
// in order, until the last one. A daemon that restarts meanwhile is waited for;
// steady.ErrNoDaemon when it stays away: the rollout is then finished or undone
// once a daemon runs again.
func (c *Client) Events(ctx context.Context, rollout, after int64, say func(steady.Event) error) error {
	f := &follower{client: c, rollout: rollout, after: after, say: say, heard: time.Now()}
	for {
		err := f.attempt(ctx)
		switch {
		case err == nil && f.last:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !errors.Is(err, steady.ErrNoDaemon):
			return err
		case time.Since(f.heard) > c.patience:
			return steady.ErrNoDaemon.With(
				fmt.Sprintf("the daemon is away since %s; rollout %d goes on when it is back", c.patience, rollout),
				fmt.Sprintf("steady daemon, then steady watch %d", rollout))
		}
		if err := pause(ctx, retryPause); err != nil {
			return err
		}
	}
}

// follower reads one rollout's stream over as many connections as it takes.
type follower struct {
	client  *Client
	rollout int64
	after   int64
	say     func(steady.Event) error
	last    bool
	heard   time.Time // when the daemon last said anything
}

func (f *follower) attempt(ctx context.Context) error {
	path := fmt.Sprintf("/v1/rollouts/%d/events?after=%d", f.rollout, f.after)
	heard := func() { f.heard = time.Now() }
	err := f.client.lines(ctx, path, heard, func(line []byte) error {
		var e steady.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("decode event: %w", err)
		}
		if e.Seq <= f.after {
			return nil
		}
		f.after, f.last = e.Seq, e.Last()
		return f.say(e)
	})
	if f.last {
		f.heard = time.Now()
	}
	return err
}

// Logs calls say for each line that the query asks for.
func (c *Client) Logs(ctx context.Context, q steady.LogQuery, say func(steady.LogLine) error) error {
	path := "/v1/projects/" + url.PathEscape(q.Project) + "/logs?" + logValues(q).Encode()
	return c.lines(ctx, path, func() {}, func(line []byte) error {
		var l steady.LogLine
		if err := json.Unmarshal(line, &l); err != nil {
			return fmt.Errorf("decode log line: %w", err)
		}
		return say(l)
	})
}

// lines reads a stream: heard is called for every line, heartbeats included,
// take for those that say something. A stream that breaks off or falls silent is
// steady.ErrNoDaemon; one that ends in order is nil.
func (c *Client) lines(ctx context.Context, path string, heard func(), take func([]byte) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(c.silence, func() { cancel(errSilent) })
	defer watchdog.Stop()

	resp, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return silent(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	for r := bufio.NewReader(resp.Body); ; {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil {
			return silent(c.broken(ctx, err))
		}
		watchdog.Reset(c.silence)
		heard()
		if err := dispatch(bytes.TrimSpace(line), take); err != nil {
			return err
		}
	}
}

func dispatch(line []byte, take func([]byte) error) error {
	if len(line) == 0 {
		return nil
	}
	if !bytes.HasPrefix(line, []byte(faultPrefix)) {
		return take(line)
	}
	var f fault
	if err := json.Unmarshal(line, &f); err != nil || f.Fault == nil {
		return steady.ErrInternal.With("the daemon's stream ended with an error that cannot be read: "+strconv.Quote(string(line)), "")
	}
	return f.Fault
}

// silent turns the watchdog's own cause into what it means.
func silent(err error) error {
	if errors.Is(err, errSilent) {
		return steady.ErrNoDaemon.With("the daemon fell silent", "steady version")
	}
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
