package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"gesalpai.ch/steady"
)

// heartbeat is how often a quiet stream gets an empty line, so that each end
// learns when the other has gone.
const heartbeat = 5 * time.Second

// fault is the last line of a stream that ended with an error.
type fault struct {
	Fault *steady.Error `json:"fault"`
}

// faultPrefix tells a fault from an event or a log line, which begin otherwise.
const faultPrefix = `{"fault":`

// stream writes one JSON object a line and flushes each.
type stream struct {
	flush func() error

	mu    sync.Mutex
	w     http.ResponseWriter
	begun bool
}

func (s *stream) write(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode stream line: %w", err)
	}
	return s.send(append(line, '\n'))
}

func (s *stream) send(line []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head()
	if _, err := s.w.Write(line); err != nil {
		return fmt.Errorf("write stream: %w", err)
	}
	if err := s.flush(); err != nil {
		return fmt.Errorf("flush stream: %w", err)
	}
	return nil
}

// begin sends the head of a stream that had no line.
func (s *stream) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head()
}

func (s *stream) head() {
	if s.begun {
		return
	}
	s.begun = true
	s.w.Header().Set("Content-Type", "application/x-ndjson")
	s.w.WriteHeader(http.StatusOK)
}

// beat sends empty lines until ctx ends or the client has left.
func (s *stream) beat(ctx context.Context, every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if s.send([]byte("\n")) != nil {
				return
			}
		}
	}
}
