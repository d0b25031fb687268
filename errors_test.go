package steady_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"

	"gesalpai.ch/steady"
	"github.com/google/go-cmp/cmp"
)

func sentinels() []*steady.Error {
	return []*steady.Error{
		steady.ErrUsage, steady.ErrCompose, steady.ErrNoService, steady.ErrNoProject, steady.ErrNoRelease,
		steady.ErrNoRollout, steady.ErrNotRunning, steady.ErrNoReplica, steady.ErrNoImage, steady.ErrBuild, steady.ErrExited,
		steady.ErrNotReady, steady.ErrUnhealthy, steady.ErrPortTaken, steady.ErrBusy, steady.ErrAborted,
		steady.ErrNoEngine, steady.ErrNoDaemon, steady.ErrNoProxy, steady.ErrStore, steady.ErrUnsupported, steady.ErrInternal,
		steady.ErrLossBudget,
	}
}

func TestError_IsTellsCodesApart(t *testing.T) {
	for i, a := range sentinels() {
		err := fmt.Errorf("doing: %w", a.With("what went wrong", "what to do"))
		for j, b := range sentinels() {
			if got, want := errors.Is(err, b), i == j; got != want {
				t.Errorf("%s is %s: %v", a.Code, b.Code, got)
			}
		}
		if errors.Is(err, io.EOF) {
			t.Errorf("%s is io.EOF", a.Code)
		}
	}
}

func TestError_WithLeavesTheSentinelAsItIs(t *testing.T) {
	before := *steady.ErrBusy
	e := steady.ErrBusy.With("rollout 7 of shop runs", "steady watch shop")
	e.Service = "api"
	if diff := cmp.Diff(before, *steady.ErrBusy); diff != "" {
		t.Error(diff)
	}
	if e.Error() != "rollout 7 of shop runs" || e.Hint != "steady watch shop" {
		t.Errorf("%+v", e)
	}
}

func TestError_CrossesJSON(t *testing.T) {
	sent := steady.ErrExited.With("shop-api-42-1 exited with code 3", "steady logs api")
	sent.Service, sent.Release, sent.Serving, sent.Tail = "api", 42, 41, []string{"panic"}
	b, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	var got steady.Error
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*sent, got); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(&got, steady.ErrExited) {
		t.Error("the code was lost on the way")
	}
}

func TestAsError_GivesAnyErrorACode(t *testing.T) {
	if steady.AsError(nil) != nil {
		t.Error("nil has a code")
	}
	plain := steady.AsError(io.EOF)
	if plain.Code != steady.ErrInternal.Code || plain.Text != "EOF" {
		t.Errorf("%+v", plain)
	}
	own := steady.ErrBusy.With("rollout 7 runs", "steady watch")
	if steady.AsError(own) != own {
		t.Error("an error with a code is not itself")
	}
	wrapped := steady.AsError(fmt.Errorf("deploy shop: %w", own))
	want := &steady.Error{Code: own.Code, Text: "deploy shop: rollout 7 runs", Hint: own.Hint}
	if diff := cmp.Diff(want, wrapped); diff != "" {
		t.Error(diff)
	}
	if own.Text != "rollout 7 runs" {
		t.Error("wrapping changed what was wrapped")
	}
}
