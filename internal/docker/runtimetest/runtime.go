// Package runtimetest holds what every rollout.Runtime must do, so that the one on
// a real Engine and the fake that rollouts are tested with are held to the same. It
// is linked into tests only.
package runtimetest

import (
	"context"

	"gesalpai.ch/steady"
)

// Runtime is rollout.Runtime, spelled out once more so that the tests of rollout
// itself can import this package.
type Runtime interface {
	Observe(ctx context.Context, project string, refs []string) (steady.Observed, error)
	Replica(ctx context.Context, name string) (steady.Replica, error)
	Pull(ctx context.Context, spec steady.Spec, say func(string)) (steady.Image, error)
	Build(ctx context.Context, spec steady.Spec, say func(string)) (steady.Image, error)
	Image(ctx context.Context, ref string) (steady.Image, error)
	KeepImage(ctx context.Context, r steady.Release) error
	KeptImages(ctx context.Context, project string) ([]steady.KeptImage, error)
	DropImage(ctx context.Context, tag string) (removed bool, err error)
	Prepare(ctx context.Context, spec steady.Spec) error
	Create(ctx context.Context, r steady.Release, n int, rollout int64) (steady.Replica, error)
	Start(ctx context.Context, name string) error
	Name(ctx context.Context, r steady.Release, name string) error
	Hold(ctx context.Context, spec steady.Spec) (steady.Holder, error)
	Forget(ctx context.Context, project, service string) error
	Stop(ctx context.Context, name string) error
	Remove(ctx context.Context, name string) error
	RemoveVolumes(ctx context.Context, names []string) error
	Wait(ctx context.Context, name string) (int, error)
	Tail(ctx context.Context, name string, n int) ([]string, error)
	Record(ctx context.Context, name string, lines, bytes int) ([]steady.LogLine, error)
	Clean(ctx context.Context, project string, volumes bool) error
	Oneoff(ctx context.Context, r steady.Release, o steady.Oneoff) (steady.Replica, error)
	Follow(ctx context.Context, name string, say func(string)) error
	RunIn(ctx context.Context, name string, argv, env []string, say func(string)) (int, error)
}

// Subject is a Runtime under test and what the suite needs around it. A fake needs
// no Engine for it: the references mean what the fake makes of them.
type Subject struct {
	Runtime Runtime
	Project string // no container, network or volume of it is there yet

	// Serve is the image whose container runs until it is told to stop, then exits 0;
	// told "exit" it does as Exit. Its program is /app.
	Serve   string
	Exit    string // image whose container writes the lines "one", "two", "three" and exits 3
	Missing string // reference that neither this machine nor a registry has

	// Names gives the names under which others in the network find the container,
	// besides its own.
	Names func(ctx context.Context, network, container string) ([]string, error)
}
