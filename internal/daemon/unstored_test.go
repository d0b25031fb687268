package daemon

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/rollout"
)

// locks takes the store's write lock as another process would, until it is released.
func (p *plane) locks(t *testing.T) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(filepath.Dir(filepath.Dir(p.keeper.proxy.Socket())), "state", "steady.db")+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
			t.Error(err)
		}
	}
}

// A service is held, and the store cannot be written when its old replica is back: it is
// served all the same, by this daemon and the next, and that is stored in the end.
func TestUnstored_WhatTheStoreCannotTakeIsServedAndStaysSo(t *testing.T) {
	p := newPlane(t)
	p.engine.set("shop-api-1-1", steady.StateRunning, 1)
	held := p.route()
	held.Hold = &steady.Hold{Most: 10, Bytes: 1 << 20, For: time.Minute, Lease: time.Minute}
	if err := p.Route(t.Context(), []steady.Route{held}); err != nil {
		t.Fatal(err)
	}
	release := p.locks(t)
	back := []steady.Route{p.route("shop-api-1-1")}
	if err := p.Route(t.Context(), back); !errors.Is(err, steady.ErrStore) {
		t.Fatalf("stored though another process has the store's lock: %v", err)
	}
	if err := p.ServeUnstored(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := p.status(t); got != http.StatusOK {
			t.Errorf("status %d", got)
		}
		routes, err := p.Routes(t.Context(), "shop")
		if err != nil || len(routes) != 1 || !slices.Equal(routes[0].Replicas, back[0].Replicas) || routes[0].Hold != nil {
			t.Errorf("in force %+v, %v", routes, err)
		}
		p.boot() // the daemon is started again, and looks everything up
		if _, err := p.refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if stored, err := p.store.Routes(t.Context(), "shop"); err != nil || len(stored[0].Replicas) > 0 {
		t.Fatalf("stored %+v, %v", stored, err)
	}
	release()
	if err := p.Route(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	if stored, err := p.store.Routes(t.Context(), "shop"); err != nil || !slices.Equal(stored[0].Replicas, back[0].Replicas) || len(p.unstored()) > 0 {
		t.Errorf("stored %+v, %v; unstored %+v", stored, err, p.unstored())
	}
}

// Whoever follows a rollout is told an end, whatever the store has of it.
func TestFollowed_EveryRolloutThatHasEndedHasAnEnd(t *testing.T) {
	step := steady.Event{Seq: 1, Kind: steady.EventStep}
	ended := steady.Event{Seq: 2, Kind: steady.EventFailed, State: steady.RolloutFailed, Error: &steady.Error{Code: "exited", Text: "it exited"}}
	full := steady.ErrStore.With("not stored yet", "df -h")
	running, failed := steady.Rollout{ID: 7, State: steady.RolloutRunning}, steady.Rollout{ID: 7, State: steady.RolloutFailed, Unstored: full}
	final := steady.Rollout{ID: 7, State: steady.RolloutRolledBack, Error: ended.Error, Receipt: &steady.Receipt{Rollout: 7}}
	for what, c := range map[string]struct {
		stored []steady.Event
		r      steady.Rollout
		live   rollout.Live
		lives  bool
		state  string // of the end; empty: there is none
		code   string // of its error
	}{
		"it runs":                        {stored: []steady.Event{step}, r: running, live: rollout.Live{Rollout: running}, lives: true},
		"its end is stored":              {stored: []steady.Event{step, ended}, r: final, state: steady.RolloutFailed, code: "exited"},
		"its end is not stored yet":      {stored: []steady.Event{step}, r: running, live: rollout.Live{Rollout: failed, Events: []steady.Event{ended}}, lives: true, state: steady.RolloutFailed, code: "store"},
		"it waits for the store":         {stored: []steady.Event{step}, r: running, live: rollout.Live{Rollout: steady.Rollout{State: steady.RolloutUndoing, Unstored: full}, Ends: true}, lives: true, state: steady.RolloutUndoing, code: "store"},
		"its events are pruned":          {r: final, state: steady.RolloutRolledBack, code: "exited"},
		"a crash has taken its last one": {stored: []steady.Event{step}, r: final, state: steady.RolloutRolledBack, code: "exited"},
	} {
		got := followed(c.stored, c.r, c.live, c.lives)
		var last steady.Event
		if n := len(got); n > 0 && got[n-1].Last() {
			last = got[n-1]
		}
		code := ""
		if last.Error != nil {
			code = last.Error.Code
		}
		if last.State != c.state || code != c.code {
			t.Errorf("%s: the end is %q with %q, want %q with %q", what, last.State, code, c.state, c.code)
		}
	}
}
