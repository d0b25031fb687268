package store_test

import (
	"errors"
	"testing"

	"gesalpai.ch/steady"
)

func TestWritable_ChangesNothingAndTellsAStoreThatIsClosed(t *testing.T) {
	s := opened(t)
	before, err := s.NextTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Writable(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := s.NextTable(t.Context())
	if err != nil || after != before+1 {
		t.Errorf("table %d, was %d: %v", after, before, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Writable(t.Context()); err == nil || errors.Is(err, steady.ErrUsage) {
		t.Errorf("closed: %v", err)
	}
}
