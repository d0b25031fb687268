package runtimetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"gesalpai.ch/steady"
)

// patience bounds one behaviour of a real Engine.
const patience = time.Minute

// Run holds a Runtime to its contract. newSubject is called once for each behaviour
// and must clean up behind it by t.Cleanup.
func Run(t *testing.T, newSubject func(t *testing.T) Subject) {
	behaviours := []struct {
		name string
		test func(*testing.T, *room)
	}{
		{"an unknown container is ErrNoReplica", unknownReplica},
		{"an unknown image is ErrNoImage", unknownImage},
		{"a missing external network is an error", externalNetwork},
		{"prepare twice is fine", prepareTwice},
		{"create makes a replica of the release", create},
		{"create again adopts", createAgain},
		{"create adopts one that runs", createRunning},
		{"create refuses a container of another image", createOther},
		{"start runs it, and again changes nothing", start},
		{"names come with Name only, and the address stays", names},
		{"name twice is fine", nameTwice},
		{"two replicas have the names side by side", sideBySide},
		{"stop twice and of one that is gone is fine", stop},
		{"a stopped replica starts again with its names", startAgain},
		{"an anonymous volume outlives its container, and its successor has it", anonymousVolume},
		{"images of releases are kept by tags", keptImages},
		{"an image that is not there cannot be kept", missingImage},
		{"remove of one that runs, and of one that is gone, is fine", remove},
		{"wait gives the exit code", wait},
		{"wait ends with its context", waitEnds},
		{"tail gives the last lines, oldest first", tail},
		{"a record has the newest lines, within bounds", record},
		{"observe lists every state and the images asked about", observe},
		{"observe leaves other projects out", observeOthers},
		{"hold makes a holder that has the names", hold},
		{"hold again leaves it alone", holdAgain},
		{"hold mends a holder that was stopped", holdStopped},
		{"hold gives the names that the spec has now", holdNames},
		{"replicas of a held service have no names", heldReplica},
		{"hold of a service that cannot be held is ErrUnsupported", holdNone},
		{"holders are no replicas", holderAside},
		{"forget removes the holder, and of one that is gone is fine", forget},
		{"clean removes holders", cleanHolder},
		{"clean removes networks, and volumes when asked", clean},
		{"clean leaves a network in use", cleanInUse},
		{"a one-off runs its command, is followed and exits", oneoff},
		{"a one-off that is there is adopted, and never run twice", oneoffAgain},
		{"a one-off is no replica and has no names", oneoffAside},
		{"following and running in an unknown container is ErrNoReplica", followUnknown},
		{"a command in a container gives its lines and exit code", runIn},
		{"a command in a container ends with its context", runInEnds},
	}
	for _, b := range behaviours {
		t.Run(b.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			b.test(t, &room{Subject: newSubject(t), t: t, ctx: ctx})
		})
	}
}

// room is where one behaviour is tried.
type room struct {
	Subject
	t   *testing.T
	ctx context.Context
}

// held is a release whose names belong to a holder.
func (r *room) held(service string, number int) steady.Release {
	r.t.Helper()
	rel := r.release(service, r.Serve, number)
	rel.Spec = Held(r.Project, service, r.Serve)
	rel.Digest = rel.Spec.Digest()
	return rel
}

// holder prepares and holds.
func (r *room) holder(rel steady.Release) steady.Holder {
	r.t.Helper()
	r.must("prepare", r.Runtime.Prepare(r.ctx, rel.Spec))
	h, err := r.Runtime.Hold(r.ctx, rel.Spec)
	r.must("hold", err)
	return h
}

// release is the project's release of that number of a service.
func (r *room) release(service, image string, number int) steady.Release {
	r.t.Helper()
	img, err := r.Runtime.Image(r.ctx, image)
	r.must("look up image", err)
	spec := Spec(r.Project, service, image)
	return steady.Release{Project: r.Project, Service: service, Number: number, Spec: spec,
		Digest: spec.Digest(), Image: img, Created: time.Now().UTC(), Rollout: int64(number)}
}

// created prepares and creates the first replica of a release.
func (r *room) created(rel steady.Release) steady.Replica {
	r.t.Helper()
	r.must("prepare", r.Runtime.Prepare(r.ctx, rel.Spec))
	c, err := r.Runtime.Create(r.ctx, rel, 1, rel.Rollout)
	r.must("create", err)
	return c
}

// started is a created replica that runs.
func (r *room) started(rel steady.Release) steady.Replica {
	r.t.Helper()
	c := r.created(rel)
	r.must("start", r.Runtime.Start(r.ctx, c.Name))
	return r.replica(c.Name)
}

func (r *room) replica(name string) steady.Replica {
	r.t.Helper()
	c, err := r.Runtime.Replica(r.ctx, name)
	r.must("look up replica", err)
	return c
}

// named lists the names among those of the spec that the container has.
func (r *room) named(rel steady.Release, name string) []string {
	r.t.Helper()
	net := rel.Spec.Networks[0]
	all, err := r.Names(r.ctx, net.Name, name)
	r.must("list names", err)
	var out []string
	for _, n := range net.Aliases {
		for _, has := range all {
			if has == n {
				out = append(out, n)
			}
		}
	}
	return out
}

func (r *room) must(doing string, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s: %v", doing, err)
	}
}

func (r *room) is(doing string, err, want error) {
	r.t.Helper()
	if !errors.Is(err, want) {
		r.t.Fatalf("%s: error is %v, want %v", doing, err, want)
	}
}
