package runtimetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"gesalpai.ch/steady"
)

// oneoff is a container of the release that runs the mode "exit" of the app: three
// lines and exit code 3.
func (r *room) oneoff(rel steady.Release) steady.Oneoff {
	r.t.Helper()
	r.must("prepare", r.Runtime.Prepare(r.ctx, rel.Spec))
	return steady.Oneoff{Name: steady.HookName(r.Project, rel.Service, steady.HookBefore, 7), Command: []string{"exit"}, Env: []string{"STEADY_HOOK=before"}, Rollout: 7}
}

func oneoff(t *testing.T, r *room) {
	rel := r.release("api", r.Serve, 1)
	o := r.oneoff(rel)
	c, err := r.Runtime.Oneoff(r.ctx, rel, o)
	r.must("create", err)
	if c.Name != o.Name || c.State != steady.StateCreated || c.Restart != "no" {
		t.Errorf("one-off %+v", c)
	}
	r.must("start", r.Runtime.Start(r.ctx, o.Name))
	var lines []string
	r.must("follow", r.Runtime.Follow(r.ctx, o.Name, func(l string) { lines = append(lines, l) }))
	code, err := r.Runtime.Wait(r.ctx, o.Name)
	r.must("wait", err)
	if code != 3 || !slices.Equal(lines, []string{"one", "two", "three"}) {
		t.Errorf("exit code %d, lines %q", code, lines)
	}
}

func oneoffAgain(t *testing.T, r *room) {
	rel := r.release("api", r.Serve, 1)
	o := r.oneoff(rel)
	one, err := r.Runtime.Oneoff(r.ctx, rel, o)
	r.must("create", err)
	r.must("start", r.Runtime.Start(r.ctx, o.Name))
	_, err = r.Runtime.Wait(r.ctx, o.Name)
	r.must("wait", err)
	two, err := r.Runtime.Oneoff(r.ctx, rel, o)
	r.must("create again", err)
	if two.ID != one.ID || two.State != steady.StateExited || two.ExitCode != 3 {
		t.Errorf("not adopted: %s, then %s %s with %d", one.ID, two.ID, two.State, two.ExitCode)
	}
	o.Rollout++
	if _, err := r.Runtime.Oneoff(r.ctx, rel, o); err == nil {
		t.Error("adopted one of another rollout")
	}
}

func oneoffAside(t *testing.T, r *room) {
	rel := r.release("api", r.Serve, 1)
	o := r.oneoff(rel)
	_, err := r.Runtime.Oneoff(r.ctx, rel, o)
	r.must("create", err)
	seen, err := r.Runtime.Observe(r.ctx, r.Project, nil)
	r.must("observe", err)
	if len(seen.Replicas) > 0 {
		t.Errorf("observed %+v", seen.Replicas)
	}
	if got := r.named(rel, o.Name); len(got) > 0 {
		t.Errorf("it has names %v", got)
	}
	r.must("remove", r.Runtime.Remove(r.ctx, o.Name))
	_, err = r.Runtime.Replica(r.ctx, o.Name)
	r.is("look up", err, steady.ErrNoReplica)
}

func followUnknown(t *testing.T, r *room) {
	name := r.Project + "-nobody"
	r.is("follow", r.Runtime.Follow(r.ctx, name, func(string) {}), steady.ErrNoReplica)
	_, err := r.Runtime.RunIn(r.ctx, name, []string{"/app", "exit"}, nil, func(string) {})
	r.is("run in it", err, steady.ErrNoReplica)
}

func runIn(t *testing.T, r *room) {
	c := r.started(r.release("api", r.Serve, 1))
	var lines []string
	code, err := r.Runtime.RunIn(r.ctx, c.Name, []string{"/app", "exit"}, []string{"STEADY_HOOK=stop"}, func(l string) { lines = append(lines, l) })
	r.must("run in it", err)
	if code != 3 || !slices.Equal(lines, []string{"one", "two", "three"}) {
		t.Errorf("exit code %d, lines %q", code, lines)
	}
	if now := r.replica(c.Name); !now.Running() {
		t.Errorf("afterwards it is %s", now.State)
	}
}

var errEnough = errors.New("enough")

func runInEnds(t *testing.T, r *room) {
	c := r.started(r.release("api", r.Serve, 1))
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	_, err := r.Runtime.RunIn(ctx, c.Name, []string{"/app", "serve"}, nil, func(string) { cancel(errEnough) })
	r.is("run in it", err, errEnough)
	if now := r.replica(c.Name); !now.Running() {
		t.Errorf("afterwards it is %s", now.State)
	}
}
