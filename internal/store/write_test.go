package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"gesalpai.ch/steady"
)

func TestCancelledContext_WritesNothing(t *testing.T) {
	s := opened(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := steady.Rollout{Project: "shop"}
	if err := s.Accept(ctx, &r, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	if all, err := s.Rollouts(t.Context(), "", 0); err != nil || len(all) != 0 {
		t.Errorf("%d rollouts, %v", len(all), err)
	}
}

// late is a context that ends once it was looked at.
type late struct {
	context.Context
	looked bool
}

func (l *late) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}

func (l *late) Err() error {
	if !l.looked {
		l.looked = true
		return nil
	}
	return context.Canceled
}

func TestContextThatEndsMidway_DoesNotLeaveAWriteInDoubt(t *testing.T) {
	s := opened(t)
	r := steady.Rollout{Project: "shop"}
	if err := s.Accept(&late{Context: t.Context()}, &r, []steady.Release{{Spec: spec("shop", "api")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Release(t.Context(), "shop", "api", 1); err != nil {
		t.Error(err)
	}
}

func TestSureCalls_WaitForTheDisk(t *testing.T) {
	sure, quick, err := opened(t).Synchronous()
	if err != nil || sure != 2 || quick != 1 {
		t.Errorf("sure %d, quick %d, %v; want 2 (FULL) and 1 (NORMAL)", sure, quick, err)
	}
}

func TestAccept_SpecThatIsNoJSONIsNotTheStoresFault(t *testing.T) {
	s := opened(t)
	bad := spec("shop", "api")
	bad.Container = json.RawMessage(`{"Env":["TOKEN=hush`)
	err := s.Accept(t.Context(), &steady.Rollout{Project: "shop"}, []steady.Release{{Spec: bad}})
	if err == nil || errors.Is(err, steady.ErrStore) || strings.Contains(err.Error(), "hush") {
		t.Errorf("%v", err)
	}
}
