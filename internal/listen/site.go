package listen

import (
	"context"
	"crypto/tls"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// site is one host and its certificate.
type site struct {
	Certificate
	magic *magic // nil where it comes from files
	leave func() // ends the attempts to have it

	pair atomic.Pointer[tls.Certificate] // from files; nil: they never could be read

	mu   sync.Mutex
	err  error
	next time.Time
}

// trouble is when the next attempt is due, and why the last one failed.
func (s *site) trouble() (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next, s.err
}

// note remembers how an attempt ended, and says whether that is news.
func (s *site) note(err error, next time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := (err == nil) != (s.err == nil) || err != nil && err.Error() != s.err.Error()
	s.err, s.next = err, next
	return news
}

// read reads the files. What cannot be used leaves the former certificate shown.
func (s *site) read(log *slog.Logger) {
	pair, err := LoadPair(s.File, s.Key, s.Host)
	if s.note(err, time.Time{}) && err != nil {
		log.Error("certificate cannot be used", "host", s.Host, "err", err)
	}
	if err == nil {
		s.pair.Store(pair)
	}
}

// pauses are how long to wait after each attempt that failed, the last one for
// ever. Let's Encrypt allows five failures an hour and host
// (letsencrypt.org/docs/rate-limits, "Authorization Failures").
var pauses = []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 20 * time.Minute, time.Hour}

// obtain tries to have the certificate until it is there or life ends. Then
// certmagic keeps it renewed.
func (s *site) obtain(life context.Context, c *Certificates) {
	log := c.log
	for try := 0; ; try++ {
		err := s.magic.obtain(life, c.cache, s.Host)
		if life.Err() != nil {
			return
		}
		if err == nil {
			s.note(nil, time.Time{})
			log.Info("certificate obtained", "host", s.Host, "ca", s.CA)
			return
		}
		pause := pauses[min(try, len(pauses)-1)]
		s.note(err, time.Now().Add(pause))
		log.Warn("certificate not obtained", "host", s.Host, "ca", s.CA, "err", err, "again_in", pause)
		again := time.NewTimer(pause)
		select {
		case <-again.C:
		case <-life.Done():
			again.Stop()
			return
		}
	}
}
