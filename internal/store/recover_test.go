package store_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/store"
)

func TestRecover_WhatWasLostServesAndNumbersGoOn(t *testing.T) {
	s := opened(t)
	spec := steady.Spec{Project: "shop", Service: "api", Image: "api", Replicas: 1}
	route := steady.Route{Project: "shop", Service: "api", Release: 41, Replicas: []string{"shop-api-41-1"}, Ports: []steady.Port{{Published: 80, Target: 8000}}}
	done, err := s.Recover(t.Context(), store.Recovered{Project: "shop", Rollout: 57, Why: "the store had lost it",
		Releases: []steady.Release{{Project: "shop", Service: "api", Number: 41, Spec: spec}}, Routes: []steady.Route{route},
		Maintenance: []steady.Maintenance{{Project: "shop", Service: "api", Message: "soon"}}})
	try(t, err)
	if done.ID != 58 || done.State != steady.RolloutDone || done.Kind != steady.KindRecovery {
		t.Errorf("rollout %+v", done)
	}
	serving, err := s.Serving(t.Context(), "shop")
	try(t, err)
	if got := serving["api"]; got.Number != 41 || got.Served.IsZero() || got.Digest != spec.Digest() {
		t.Errorf("serving %+v", got)
	}
	routes, err := s.Routes(t.Context(), "")
	try(t, err)
	if d := cmp.Diff([]steady.Route{route}, routes); d != "" {
		t.Errorf("routes (-want +got):\n%s", d)
	}
	events, err := s.Events(t.Context(), done.ID, 0)
	try(t, err)
	if len(events) != 1 || !events[0].Last() || events[0].Text != "the store had lost it" {
		t.Errorf("events %+v: who watches it would wait for ever", events)
	}
	if all, err := s.Maintenance(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("maintenance %v, %v", all, err)
	}
	next, made := accepted(t, s, "shop", "api")
	if next.ID != 59 || made[0].Number != 42 {
		t.Errorf("the next rollout is %d and makes release %d", next.ID, made[0].Number)
	}
}

func TestAccept_NumbersAreNotBelowTheOneGiven(t *testing.T) {
	s := opened(t)
	r := steady.Rollout{Project: "shop", Number: 8}
	made := []steady.Release{{Spec: steady.Spec{Project: "shop", Service: "api"}}}
	try(t, s.Accept(t.Context(), &r, made))
	if r.Number != 8 || made[0].Number != 8 {
		t.Errorf("rollout makes %d, release is %d, want 8", r.Number, made[0].Number)
	}
	r = steady.Rollout{Project: "shop", Number: 3}
	try(t, s.Accept(t.Context(), &r, made))
	if made[0].Number != 9 {
		t.Errorf("release is %d, want 9", made[0].Number)
	}
	r = steady.Rollout{Project: "shop", Number: 30}
	try(t, s.Accept(t.Context(), &r, nil))
	if r.Number != 0 {
		t.Errorf("a rollout that makes no release has number %d", r.Number)
	}
}

func TestMoveAside_KeepsADamagedStoreAndMakesRoomForAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "steady.db")
	damaged(t, path)
	before, err := os.ReadFile(path)
	try(t, err)
	if _, err := store.Open(path); !store.Damaged(err) {
		t.Fatalf("%v is not told to be damage", err)
	}
	dir, err := store.MoveAside(path)
	try(t, err)
	if after, err := os.ReadFile(filepath.Join(dir, "steady.db")); err != nil || string(after) != string(before) {
		t.Errorf("the damaged store was not kept: %v", err)
	}
	s, err := store.Open(path)
	try(t, err)
	try(t, s.Close())
}

func TestDamaged_IsNoStoreThatIsOnlyNewer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "steady.db")
	s, err := store.Open(path)
	try(t, err)
	try(t, s.Close())
	execute(t, path, "PRAGMA user_version = 99")
	_, err = store.Open(path)
	if err == nil || store.Damaged(err) {
		t.Fatalf("%v is told to be damage", err)
	}
	_, hint, _ := strings.Cut(steady.AsError(err).Hint, "without its history: ")
	if out, err := exec.Command("sh", "-c", hint).CombinedOutput(); err != nil {
		t.Fatalf("the hint's command %q: %v\n%s", hint, err, out)
	}
	s, err = store.Open(path)
	try(t, err)
	try(t, s.Close())
}
