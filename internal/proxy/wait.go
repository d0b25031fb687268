package proxy

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Why a wait at a gate ended otherwise than with a claim.
var (
	errTurned   = errors.New("turned away at the gate") // it was full, or the time was over
	errLeft     = errors.New("left while waiting at the gate")
	errUnlisted = errors.New("the pool is in no table any more")
	errAnew     = errors.New("a maintenance began or ended") // look again; the place is kept for who claims once more, and else has to be forsaken
)

// Where a flight stands after a claim that gave nothing.
const (
	free     = iota // before no gate: there is no upstream
	waits           // in line
	turned          // away
	unlisted        // no table lists the pool any more: its listener may have another
)

// lookEvery is how often one who waits is looked after: whether it is still there.
const lookEvery = 100 * time.Millisecond

// comer is who comes to claim.
type comer interface {
	// ready is called before each claim.
	ready()
	// gone says whether the client has left, where the context does not.
	gone() bool
}

// enter claims an upstream as claim does, and waits first where the gate is shut.
// Nil without an error: there is none at all. Every wait ends: by the gate, by its
// clock, or by the client.
func (p *pool) enter(ctx context.Context, f *flight, avoid *upstream, by comer) (*upstream, error) {
	for {
		by.ready()
		u := p.claim(f, avoid)
		switch {
		case f.stand == turned:
			p.forsake(f)
			return nil, errTurned
		case f.stand == unlisted:
			p.forsake(f)
			return nil, errUnlisted
		case f.stand == waits:
			err := f.ticket.wait(ctx, by)
			if err == nil {
				continue
			}
			if !errors.Is(err, errAnew) { // who only looks up keeps its place
				p.forsake(f)
			}
			return nil, err
		case u == nil:
			p.forsake(f)
			return nil, nil
		case f.ticket != nil:
			p.waited(f)
		}
		return u, nil
	}
}

// waited counts how long f waited.
func (p *pool) waited(f *flight) {
	d := time.Since(f.ticket.came)
	f.waited += d
	p.nobody.wait(d)
}

// forsake gives up the place of one that has waited in vain, if it has one.
func (p *pool) forsake(f *flight) {
	if f.ticket == nil {
		return
	}
	p.gate.answered(f.ticket)
	p.waited(f)
	f.ticket = nil
}

// wait waits until its turn has come: nil.
func (w *ticket) wait(ctx context.Context, by comer) error {
	clock := time.NewTimer(time.Until(w.until))
	defer clock.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		var why error
		select {
		case err := <-w.told:
			return err
		case <-ctx.Done():
			why = errLeft
		case <-clock.C:
			why = errTurned
		case <-look.C:
			if !by.gone() {
				continue
			}
			why = errLeft
		}
		if w.gate.quit(w) {
			return why
		}
		return <-w.told // it was faster
	}
}

// hasLeft says whether a client has closed its connection, without reading a byte
// of it: net/http may be reading, or must not miss what was pipelined. half: one
// that sends no more has left too.
func hasLeft(c *net.TCPConn, half bool) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	left := false
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if n, err := unix.Poll(fds, 0); err != nil || n == 0 {
			return
		}
		said := fds[0].Revents
		left = said&(unix.POLLHUP|unix.POLLERR) != 0
		if said&unix.POLLRDHUP == 0 || left {
			return
		}
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		left = half || err == nil && n == 0
	})
	return left || err != nil
}
