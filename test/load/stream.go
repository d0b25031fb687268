package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gesalpai.ch/steady/internal/drill"
)

// reopen is the least time between two openings of one client's streams, so
// that a server that ends each at once is not stormed.
const reopen = 250 * time.Millisecond

// Ending is how an open stream ended.
type Ending string

const (
	Closed  Ending = "closed"  // by the server, with a close frame or the last chunk
	Left    Ending = "left"    // by the rig, at the end of the run
	CutOff  Ending = "cut"     // without either
	Garbled Ending = "garbled" // ended by the rig: not what should have come
)

// StreamEnd is the end of one stream that was open. Times count from Started.
type StreamEnd struct {
	Load    string        `json:"load"`
	N       int           `json:"n"`
	Release int           `json:"release"`
	Opened  time.Duration `json:"opened"`
	Ended   time.Duration `json:"ended"`
	How     Ending        `json:"how"`
}

// streams is a load of clients that each keep one stream open.
type streams struct {
	target  target
	tally   *tally
	path    string
	clients int
	next    atomic.Int64
	header  func(key string) string // of the request, beyond the usual
	welcome func(r response, key string) error
	talk    func(ctx context.Context, s *stream) (Ending, error)
}

// stream is one open stream.
type stream struct {
	c       *conn
	tally   *tally
	id      string
	n       int
	timeout time.Duration
	release int       // 0 until named
	sent    time.Time // writing of the request began
	opened  time.Time // the head was read
	heard   time.Time // last message; zero before the first
}

// run keeps the streams open until ctx ends.
func (s *streams) run(ctx context.Context) {
	var wg sync.WaitGroup
	for range s.clients {
		wg.Go(func() {
			for ctx.Err() == nil {
				again := time.NewTimer(reopen)
				s.once(ctx, int(s.next.Add(1)-1))
				select {
				case <-again.C:
				case <-ctx.Done():
				}
			}
		})
	}
	wg.Wait()
}

// once opens one stream and stays until it ends.
func (s *streams) once(ctx context.Context, n int) {
	id := s.tally.id(n)
	s.tally.sent()
	st, lost := s.open(n, id)
	if lost != nil {
		s.tally.lost(id, lost)
		return
	}
	defer st.c.Net.Close()
	how, err := s.talk(ctx, st)
	s.tally.ended(StreamEnd{
		N: n, Release: st.release, How: how,
		Opened: st.opened.Sub(s.tally.start), Ended: time.Since(s.tally.start),
	})
	switch how {
	case CutOff:
		s.tally.lost(id, &fault{Phase: Cut, Err: err})
	case Garbled:
		s.tally.lost(id, &fault{Phase: Wrong, Err: err})
	default:
		s.tally.ok()
	}
}

func (s *streams) open(n int, id string) (*stream, *fault) {
	began := time.Now()
	c, lost := drill.Dial(s.target)
	if lost != nil {
		return nil, lost
	}
	s.tally.Opened()
	st := &stream{c: c, tally: s.tally, id: id, n: n, timeout: s.target.Timeout, sent: time.Now()}
	if lost := s.shakeHands(st); lost != nil {
		_ = c.Net.Close()
		return nil, lost
	}
	s.tally.took(time.Since(began))
	return st, nil
}

func (s *streams) shakeHands(st *stream) *fault {
	key := handshakeKey(st.id)
	_ = st.c.Net.SetDeadline(st.sent.Add(s.target.Timeout))
	_, err := fmt.Fprintf(st.c.Net, "GET %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: "+agent+"\r\nX-Request-Id: %s\r\n%s\r\n",
		s.target.Prefix, s.path, s.target.Host, st.id, s.header(key))
	if err != nil {
		return &fault{Phase: Write, Err: err}
	}
	resp, lost := st.c.ReadHead()
	if lost != nil {
		return lost
	}
	s.tally.status(resp.Status)
	st.opened, st.release = time.Now(), resp.Release
	if resp.ID != "" && resp.ID != st.id {
		return &fault{Phase: Wrong, Err: fmt.Errorf("the answer to %s", resp.ID)}
	}
	if err := s.welcome(resp, key); err != nil {
		return &fault{Phase: Status, Err: err}
	}
	return nil
}

// message notes that one came, and the release if it is the first.
func (s *stream) message(text []byte) {
	now := time.Now()
	silence := now.Sub(s.opened)
	if s.heard.IsZero() {
		orElse(&s.release, releaseIn(string(text)))
		s.tally.answered(Answer{
			N: s.n, Sent: s.sent.Sub(s.tally.start), Done: now.Sub(s.tally.start), Release: s.release, OK: true,
		})
	} else {
		silence = now.Sub(s.heard)
	}
	s.heard = now
	s.tally.message(silence)
}

// releaseIn finds "release=42", "release: 42" or "release":42; 0 if there is none.
func releaseIn(text string) int {
	_, rest, ok := strings.Cut(text, "release")
	if !ok {
		return 0
	}
	rest = strings.TrimLeft(rest, `": =`)
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	n, _ := strconv.Atoi(rest[:end])
	return n
}

var errSilent = errors.New("no message within the timeout")
