package proxy

import (
	"sync"
	"time"
)

// lines are the idle lines to one upstream, the one used last on top.
type lines struct {
	mu   sync.Mutex
	idle []*line
	reap *time.Timer // runs while there are idle ones
}

// take gives the line used last, if it was idle for no longer than most and is
// still good. All below it are older.
func (s *lines) take(most time.Duration) *line {
	for {
		l := s.pop(most)
		if l == nil || l.alive() {
			return l
		}
		_ = l.conn.Close()
	}
}

func (s *lines) pop(most time.Duration) *line {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.idle)
	if n == 0 || time.Since(s.idle[n-1].since) > most {
		return nil
	}
	l := s.idle[n-1]
	s.idle[n-1] = nil
	s.idle = s.idle[:n-1]
	return l
}

func (s *lines) put(l *line) {
	l.since = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, l)
	if len(s.idle) == 1 {
		s.watch(idleReplayable)
	}
}

// watch closes what has been idle for too long, after d.
func (s *lines) watch(d time.Duration) {
	if s.reap == nil {
		s.reap = time.AfterFunc(d, s.closeOld)
		return
	}
	s.reap.Reset(d)
}

func (s *lines) closeOld() {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := 0
	for old < len(s.idle) && time.Since(s.idle[old].since) >= idleReplayable {
		_ = s.idle[old].conn.Close()
		old++
	}
	left := copy(s.idle, s.idle[old:])
	clear(s.idle[left:])
	s.idle = s.idle[:left]
	if left > 0 {
		s.watch(idleReplayable - time.Since(s.idle[0].since))
	}
}

func (s *lines) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reap != nil {
		s.reap.Stop()
	}
	for _, l := range s.idle {
		_ = l.conn.Close()
	}
	s.idle = nil
}
