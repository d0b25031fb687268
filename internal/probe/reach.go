package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

const (
	// askedOnce is how long one connection may take where a port is asked only once.
	askedOnce = time.Second
	// tellAfter is how long a replica may be waited for before that is told.
	tellAfter = 2 * time.Second
)

// Reach waits until the named replica accepts connections on the ways that it must,
// at the address and port that their traffic will take, whatever else answers that it
// is ready. The clock of want.Within begins with the call. say gets one line where it
// takes long. Errors: steady.ErrUnreachable when the time is over, saying what the
// container listens on instead, and those of Ready.
func (p *Prober) Reach(ctx context.Context, name string, want steady.Reach, say func(string)) (steady.Reached, error) {
	a := &attempt{Prober: p, name: name, began: time.Now(), again: true, probe: filled(steady.Probe{Deadline: want.Within})}
	a.reach = &reaching{attempt: a, want: want, say: say, accepts: map[string]bool{}}
	if _, err := p.ready(ctx, a); err != nil {
		return steady.Reached{}, err
	}
	return a.reach.outcome(), nil
}

// Accepts lists the ways on which the named replica accepts now. Its error is why the
// replica cannot be asked.
func (p *Prober) Accepts(ctx context.Context, name string, ways []steady.Way) ([]steady.Way, error) {
	r, err := p.engine.Replica(ctx, name)
	if err != nil {
		return nil, err
	}
	if _, ok := Address(r); !ok || !r.Running() {
		return nil, steady.ErrNoReplica.With(name+" does not run", "")
	}
	ctx, cancel := context.WithTimeout(ctx, askedOnce)
	defer cancel()
	_, open := p.closed(ctx, r, ways)
	return open, nil
}

// StillAccepts is steady.ErrUnreachable where the named replica accepts no more on one
// of the ways. It connects only where /proc does not show that something listens, as
// apps count connections on which nothing is said.
func (p *Prober) StillAccepts(ctx context.Context, name string, ways []steady.Way) error {
	r, err := p.engine.Replica(ctx, name)
	if _, ok := Address(r); err != nil || !ok || !r.Running() {
		return nil // what has become of it is told by others
	}
	listens := p.socketsOf(r)
	var doubtful []steady.Way
	for _, w := range ways {
		if !listens.open(w.Target, w.Transport) {
			doubtful = append(doubtful, w)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askedOnce)
	defer cancel()
	lost, _ := p.closed(ctx, r, doubtful)
	if len(lost) == 0 {
		return nil
	}
	a := &attempt{Prober: p, name: name, replica: r}
	return a.error(steady.ErrUnreachable, name+" accepts no more at "+sentence(lost))
}

// closed is a way on which a replica does not accept, and why.
type closed struct {
	way steady.Way
	why string
}

// closed asks once on each way and tells those that are closed from those that are
// open. Ports of a range are not connected to, and UDP ports cannot be: /proc tells.
func (p *Prober) closed(ctx context.Context, r steady.Replica, ways []steady.Way) (shut []closed, open []steady.Way) {
	host, _ := Address(r)
	errs := make([]error, len(ways))
	var asking sync.WaitGroup
	for i, w := range ways {
		if w.Transport == "udp" || w.Part {
			continue
		}
		asking.Go(func() {
			conn, err := p.dial(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(w.Target))))
			if errs[i] = err; err == nil {
				_ = conn.Close() // nothing was said on it
			}
		})
	}
	asking.Wait()
	listens := p.socketsOf(r)
	for i, w := range ways {
		switch {
		case w.Transport == "udp" || w.Part:
			if listens.known && !listens.open(w.Target, w.Transport) {
				shut = append(shut, closed{w, listens.why(w.Target, w.Transport)})
				continue
			}
		case errs[i] != nil:
			shut = append(shut, closed{w, because(listens.why(w.Target, w.Transport), errs[i], w)})
			continue
		}
		open = append(open, w)
	}
	return shut, open
}

// because says why a connection was not accepted; why is what /proc tells of it.
func because(why string, err error, w steady.Way) string {
	var timeout net.Error
	switch {
	case why != "":
		return why
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("connections to its port %d time out", w.Target)
	}
	return fmt.Sprintf("its port %d refuses connections", w.Target)
}

// sentence tells of a few closed ways: "port 8000: nothing listens on 9999".
func sentence(all []closed) string {
	const most = 3
	var parts []string
	for i, c := range all {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(all)-most))
			break
		}
		parts = append(parts, c.way.Name+": "+c.why)
	}
	return strings.Join(parts, "; ")
}

// reaching is one call of Reach.
type reaching struct {
	*attempt
	want    steady.Reach
	say     func(string)
	accepts map[string]bool // by name of the way
	shut    []closed        // when it was last asked
	fine    time.Time       // since when all that it must accepts
	told    bool
}

// ask asks on every way that was closed so far.
func (r *reaching) ask(ctx context.Context) (answer, error) {
	var left []steady.Way
	for _, w := range r.want.Ways {
		if !r.accepts[w.Name] {
			left = append(left, w)
		}
	}
	shut, open := r.closed(ctx, r.replica, left)
	r.shut = shut
	for _, w := range open {
		r.accepts[w.Name] = true
	}
	now := time.Now()
	if lacking := r.lacking(); len(lacking) > 0 {
		if text := sentence(lacking); !r.told && r.say != nil && now.Sub(r.began) > tellAfter {
			r.told = true
			r.say("waits for " + text)
		}
		return answer{text: "does not accept"}, nil
	}
	if r.fine.IsZero() {
		r.fine = now
	}
	for _, c := range r.shut {
		if c.way.Need == steady.NeedHoped && now.Sub(r.fine) < steady.HopedFor && now.Sub(r.began) < r.probe.Deadline-time.Second {
			return answer{text: "does not accept"}, nil
		}
	}
	return answer{good: true, text: "accepts"}, nil
}

// lacking are the closed ways for which the replica must not take traffic.
func (r *reaching) lacking() []closed {
	var must, any []closed
	for _, c := range r.shut {
		if c.way.Need == steady.NeedMust {
			must = append(must, c)
		}
		if !c.way.Part {
			any = append(any, c)
		}
	}
	if r.want.One && len(r.accepts) == 0 && len(must) == 0 {
		return any
	}
	return must
}

func (r *reaching) outcome() steady.Reached {
	out := steady.Reached{Took: time.Since(r.began)}
	for _, w := range r.want.Ways {
		if r.accepts[w.Name] {
			out.Accepts = append(out.Accepts, w)
		}
	}
	for _, c := range r.shut {
		if !c.way.Part {
			out.Silent = append(out.Silent, c.way.Name+": "+c.why)
		}
	}
	return out
}

// unreachable is what the deadline makes of the ways that are still closed.
func (r *reaching) unreachable() *steady.Error {
	lacking := r.lacking()
	if len(lacking) == 0 { // it was never asked
		return r.error(steady.ErrUnreachable, r.name+" could not be asked whether it accepts connections")
	}
	e := r.error(steady.ErrUnreachable, fmt.Sprintf("%s cannot be reached at %s", r.name, sentence(lacking)))
	first, listens := lacking[0], r.socketsOf(r.replica)
	switch port := listens.instead(); {
	case strings.HasSuffix(first.why, " only"):
		e.Hint = fmt.Sprintf("let the app listen on 0.0.0.0:%d in its container", first.way.Target)
	case port == 0 || first.way.Transport == "udp":
	case strings.HasPrefix(first.way.Name, "port "):
		at := strings.TrimPrefix(first.way.Name, "port ")
		e.Hint = fmt.Sprintf("write %q in the service's ports", fmt.Sprintf("%s:%d", at, port))
	default:
		e.Hint = fmt.Sprintf("name port %d in its x-steady.routes or ports", port)
	}
	return e
}
