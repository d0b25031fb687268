package store_test

import (
	"errors"
	"testing"

	"gesalpai.ch/steady"
)

func TestWritable_ChangesNothingAndTellsAStoreThatIsClosed(t *testing.T) {
	s := opened(t)
	if err := s.Writable(t.Context()); err != nil {
		t.Fatal(err)
	}
	if routes, err := s.Routes(t.Context(), ""); err != nil || len(routes) > 0 {
		t.Errorf("%d routes: %v", len(routes), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Writable(t.Context()); err == nil || errors.Is(err, steady.ErrUsage) {
		t.Errorf("closed: %v", err)
	}
}
