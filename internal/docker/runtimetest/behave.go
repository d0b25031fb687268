package runtimetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
)

func unknownReplica(t *testing.T, r *room) {
	name := r.Project + "-nobody-1-1"
	_, err := r.Runtime.Replica(r.ctx, name)
	r.is("look up replica", err, steady.ErrNoReplica)
	r.is("start", r.Runtime.Start(r.ctx, name), steady.ErrNoReplica)
	_, err = r.Runtime.Wait(r.ctx, name)
	r.is("wait", err, steady.ErrNoReplica)
	_, err = r.Runtime.Tail(r.ctx, name, 5)
	r.is("tail", err, steady.ErrNoReplica)
	_, err = r.Runtime.Record(r.ctx, name, 5, 100)
	r.is("record", err, steady.ErrNoReplica)
	rel := r.release("api", r.Serve, 1)
	r.is("name", r.Runtime.Name(r.ctx, rel, name), steady.ErrNoReplica)
}

func unknownImage(t *testing.T, r *room) {
	_, err := r.Runtime.Image(r.ctx, r.Missing)
	r.is("look up image", err, steady.ErrNoImage)
	_, err = r.Runtime.Pull(r.ctx, Spec(r.Project, "api", r.Missing), func(string) {})
	r.is("pull", err, steady.ErrNoImage)
}

func externalNetwork(t *testing.T, r *room) {
	spec := Spec(r.Project, "api", r.Serve)
	spec.Networks[0].External, spec.Networks[0].Create = true, nil
	if err := r.Runtime.Prepare(r.ctx, spec); err == nil {
		t.Fatal("prepare took an external network that is not there")
	}
}

func prepareTwice(t *testing.T, r *room) {
	spec := Spec(r.Project, "api", r.Serve)
	r.must("prepare", r.Runtime.Prepare(r.ctx, spec))
	r.must("prepare again", r.Runtime.Prepare(r.ctx, spec))
}

func create(t *testing.T, r *room) {
	rel := r.release("api", r.Serve, 7)
	c := r.created(rel)
	want := steady.Replica{Name: r.Project + "-api-7-1", Service: "api", Release: 7, Number: 1, Rollout: 7,
		Image: rel.Image.ID, State: steady.StateCreated, Networks: []string{r.Project + "_default"}, Exposed: []uint16{8000}, Restart: rel.Spec.Restart,
		Volumes: []steady.MountedVolume{{Path: "/data", Name: r.Project + "_data"}}}
	got := c
	got.ID, got.Created = "", time.Time{}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("created replica (-want +got):\n%s", d)
	}
	if c.ID == "" || c.Created.IsZero() {
		t.Error("created replica has no ID, or was never created")
	}
	if names := r.named(rel, c.Name); len(names) > 0 {
		t.Errorf("created replica has names %v", names)
	}
}

func createAgain(t *testing.T, r *room) {
	rel := r.release("api", r.Serve, 1)
	one, two := r.created(rel), r.created(rel)
	if one.ID != two.ID {
		t.Errorf("created anew: %s, then %s", one.ID, two.ID)
	}
}

func createRunning(t *testing.T, r *room) {
	rel := r.release("api", r.Serve, 1)
	one := r.started(rel)
	two := r.created(rel)
	if one.ID != two.ID || !two.Running() {
		t.Errorf("not adopted: %s, then %s %s", one.ID, two.ID, two.State)
	}
}

func createOther(t *testing.T, r *room) {
	c := r.created(r.release("api", r.Serve, 1))
	rel := r.release("api", r.Exit, 1)
	if _, err := r.Runtime.Create(r.ctx, rel, 1, 1); err == nil {
		t.Error("adopted a container of another image")
	}
	if now := r.replica(c.Name); now.ID != c.ID {
		t.Error("the other container was replaced")
	}
}

func start(t *testing.T, r *room) {
	c := r.started(r.release("api", r.Serve, 1))
	if !c.Running() || c.Started.IsZero() {
		t.Errorf("started replica is %s since %v", c.State, c.Started)
	}
	if c.Addresses[r.Project+"_default"] == "" {
		t.Errorf("started replica has addresses %v", c.Addresses)
	}
	if len(c.Published) > 0 {
		t.Errorf("started replica publishes %v", c.Published)
	}
	r.must("start again", r.Runtime.Start(r.ctx, c.Name))
	if now := r.replica(c.Name); !now.Started.Equal(c.Started) {
		t.Error("a running replica was started anew")
	}
}

func names(t *testing.T, r *room) {
	rel := r.release("api", r.Serve, 1)
	earlier := r.started(r.release("earlier", r.Serve, 1))
	c := r.started(rel)
	r.must("free a lower address", r.Runtime.Remove(r.ctx, earlier.Name))
	if got := r.named(rel, c.Name); len(got) > 0 {
		t.Fatalf("names before Name: %v", got)
	}
	r.must("name", r.Runtime.Name(r.ctx, rel, c.Name))
	if d := cmp.Diff([]string{"api", Alias}, r.named(rel, c.Name)); d != "" {
		t.Errorf("names after Name (-want +got):\n%s", d)
	}
	if d := cmp.Diff(c.Addresses, r.replica(c.Name).Addresses); d != "" {
		t.Errorf("addresses changed (-before +after):\n%s", d)
	}
}

func nameTwice(t *testing.T, r *room) {
	rel := r.release("api", r.Serve, 1)
	c := r.started(rel)
	r.must("name", r.Runtime.Name(r.ctx, rel, c.Name))
	r.must("name again", r.Runtime.Name(r.ctx, rel, c.Name))
	if d := cmp.Diff([]string{"api", Alias}, r.named(rel, c.Name)); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
}

func sideBySide(t *testing.T, r *room) {
	old, next := r.release("api", r.Serve, 1), r.release("api", r.Serve, 2)
	a := r.started(old)
	r.must("name the old one", r.Runtime.Name(r.ctx, old, a.Name))
	b := r.started(next)
	if got := r.named(next, b.Name); len(got) > 0 {
		t.Errorf("the new one has names already: %v", got)
	}
	r.must("name the new one", r.Runtime.Name(r.ctx, next, b.Name))
	for _, c := range []string{a.Name, b.Name} {
		if got := r.named(old, c); len(got) != 2 {
			t.Errorf("names of %s: %v", c, got)
		}
	}
}

func stop(t *testing.T, r *room) {
	c := r.started(r.release("api", r.Serve, 1))
	r.must("stop", r.Runtime.Stop(r.ctx, c.Name))
	if now := r.replica(c.Name); now.State != steady.StateExited || now.ExitCode != 0 {
		t.Errorf("stopped replica is %s with %d", now.State, now.ExitCode)
	}
	r.must("stop again", r.Runtime.Stop(r.ctx, c.Name))
	r.must("remove", r.Runtime.Remove(r.ctx, c.Name))
	r.must("stop one that is gone", r.Runtime.Stop(r.ctx, c.Name))
}

func startAgain(t *testing.T, r *room) {
	rel := r.release("api", r.Serve, 1)
	c := r.started(rel)
	r.must("name", r.Runtime.Name(r.ctx, rel, c.Name))
	r.must("stop", r.Runtime.Stop(r.ctx, c.Name))
	r.must("start again", r.Runtime.Start(r.ctx, c.Name))
	if now := r.replica(c.Name); !now.Running() || now.ID != c.ID {
		t.Errorf("started again, it is %s (%s, was %s)", now.State, now.ID, c.ID)
	}
	r.must("name again", r.Runtime.Name(r.ctx, rel, c.Name))
	if got := r.named(rel, c.Name); len(got) != 2 {
		t.Errorf("names after it started again: %v", got)
	}
}

func remove(t *testing.T, r *room) {
	c := r.started(r.release("api", r.Serve, 1))
	r.must("remove", r.Runtime.Remove(r.ctx, c.Name))
	_, err := r.Runtime.Replica(r.ctx, c.Name)
	r.is("look up removed replica", err, steady.ErrNoReplica)
	r.must("remove again", r.Runtime.Remove(r.ctx, c.Name))
}

// job is a release of the image that exits, without a restart policy.
func (r *room) job() steady.Release {
	rel := r.release("job", r.Exit, 1)
	rel.Spec.Restart, rel.Spec.Job = "no", true
	rel.Spec.Container = replaced(rel.Spec.Container, `"always"`, `"no"`)
	return rel
}

func wait(t *testing.T, r *room) {
	c := r.started(r.job())
	code, err := r.Runtime.Wait(r.ctx, c.Name)
	r.must("wait", err)
	if code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	if now := r.replica(c.Name); now.State != steady.StateExited || now.ExitCode != 3 {
		t.Errorf("after its end it is %s with %d", now.State, now.ExitCode)
	}
	code, err = r.Runtime.Wait(r.ctx, c.Name)
	r.must("wait again", err)
	if code != 3 {
		t.Errorf("exit code %d the second time", code)
	}
}

func waitEnds(t *testing.T, r *room) {
	c := r.started(r.release("api", r.Serve, 1))
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	if _, err := r.Runtime.Wait(ctx, c.Name); !errors.Is(err, context.Canceled) {
		t.Errorf("wait with a context that has ended: %v", err)
	}
}

func tail(t *testing.T, r *room) {
	c := r.started(r.job())
	_, err := r.Runtime.Wait(r.ctx, c.Name)
	r.must("wait", err)
	for n, want := range map[int][]string{2: {"two", "three"}, 50: {"one", "two", "three"}, 0: nil} {
		got, err := r.Runtime.Tail(r.ctx, c.Name, n)
		r.must("tail", err)
		if !slices.Equal(got, want) {
			t.Errorf("last %d lines are %q, want %q", n, got, want)
		}
	}
}

func record(t *testing.T, r *room) {
	c := r.started(r.job())
	_, err := r.Runtime.Wait(r.ctx, c.Name)
	r.must("wait", err)
	for _, bounds := range [][2]int{{2, 1000}, {50, 8}} { // "two" and "three" are 8 bytes
		got, err := r.Runtime.Record(r.ctx, c.Name, bounds[0], bounds[1])
		r.must("record", err)
		var texts []string
		for _, l := range got {
			texts = append(texts, l.Text)
			if l.Replica != c.Name {
				t.Errorf("a line of %s", l.Replica)
			}
		}
		if !slices.Equal(texts, []string{"two", "three"}) {
			t.Errorf("at most %d lines of %d bytes are %q", bounds[0], bounds[1], texts)
		}
	}
}

func observe(t *testing.T, r *room) {
	api, job := r.release("api", r.Serve, 1), r.job()
	runs := r.started(api)
	exited := r.started(job)
	_, err := r.Runtime.Wait(r.ctx, exited.Name)
	r.must("wait", err)
	waiting, err := r.Runtime.Create(r.ctx, api, 2, 1)
	r.must("create", err)

	seen, err := r.Runtime.Observe(r.ctx, r.Project, []string{r.Serve, r.Missing})
	r.must("observe", err)
	states := map[string]string{}
	for _, c := range seen.Replicas {
		states[c.Name] = c.State
	}
	want := map[string]string{runs.Name: steady.StateRunning, exited.Name: steady.StateExited, waiting.Name: steady.StateCreated}
	if d := cmp.Diff(want, states); d != "" {
		t.Errorf("states (-want +got):\n%s", d)
	}
	if _, has := seen.Images[r.Missing]; has || seen.Images[r.Serve].ID != api.Image.ID {
		t.Errorf("images %v", seen.Images)
	}
	if seen.Project != r.Project {
		t.Errorf("project %q", seen.Project)
	}
}

func observeOthers(t *testing.T, r *room) {
	r.created(r.release("api", r.Serve, 1))
	seen, err := r.Runtime.Observe(r.ctx, r.Project+"x", nil)
	r.must("observe", err)
	if len(seen.Replicas) > 0 {
		t.Errorf("replicas of another project: %v", seen.Replicas)
	}
}

func clean(t *testing.T, r *room) {
	c := r.started(r.release("api", r.Serve, 1))
	r.must("stop", r.Runtime.Stop(r.ctx, c.Name))
	r.must("remove", r.Runtime.Remove(r.ctx, c.Name))
	r.must("clean", r.Runtime.Clean(r.ctx, r.Project, true))
	rel := r.release("api", r.Serve, 2)
	if _, err := r.Runtime.Create(r.ctx, rel, 1, 2); err == nil {
		t.Error("created a replica in a network that was cleaned away")
	}
	r.must("clean again", r.Runtime.Clean(r.ctx, r.Project, true))
}

func cleanInUse(t *testing.T, r *room) {
	c := r.started(r.release("api", r.Serve, 1))
	r.must("clean", r.Runtime.Clean(r.ctx, r.Project, true))
	if now := r.replica(c.Name); !now.Running() || len(now.Addresses) != 1 {
		t.Errorf("after clean it is %s with addresses %v", now.State, now.Addresses)
	}
}
