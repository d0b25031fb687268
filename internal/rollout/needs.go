package rollout

import (
	"context"
	"io"
	"time"

	"gesalpai.ch/steady"
)

// Runtime is what a rollout needs of the place where containers run. Containers
// are addressed by name; every call may block as long as ctx allows, may be made
// from several goroutines, and is safe to repeat after a crash: doing what is
// already done is no error.
type Runtime interface {
	// Observe lists the project's containers of every state (one-off ones left
	// out) and looks up the images named by refs.
	Observe(ctx context.Context, project string, refs []string) (steady.Observed, error)
	// Replica looks up one container; steady.ErrNoReplica when it is not there.
	Replica(ctx context.Context, name string) (steady.Replica, error)
	// Pull brings spec.Image; say gets lines of progress. steady.ErrNoImage when
	// no registry has it.
	Pull(ctx context.Context, spec steady.Spec, say func(string)) (steady.Image, error)
	// Build makes spec.Image from spec.Build. steady.ErrBuild with the last lines
	// of output when it fails.
	Build(ctx context.Context, spec steady.Spec, say func(string)) (steady.Image, error)
	// Image looks up the spec's image; steady.ErrNoImage when it is not there.
	Image(ctx context.Context, ref string) (steady.Image, error)
	// KeepImage tags the release's image, so that it stays when its own tag moves on or
	// images are pruned; steady.ErrNoImage when it is not there. KeptImages lists what
	// was tagged so of a project's releases. DropImage takes a tag away, and says whether
	// the image went with it, as nothing else uses it.
	KeepImage(ctx context.Context, r steady.Release) error
	KeptImages(ctx context.Context, project string) ([]steady.KeptImage, error)
	DropImage(ctx context.Context, tag string) (removed bool, err error)
	// Prepare makes sure of the spec's networks and volumes.
	Prepare(ctx context.Context, spec steady.Spec) error
	// Create creates the release's n-th replica, or adopts the container of that
	// name if it is of this release and image. It publishes no host port, and it has the service's
	// names in no network. rollout goes into its labels.
	Create(ctx context.Context, r steady.Release, n int, rollout int64) (steady.Replica, error)
	// Start starts the container; a running one is left alone. The restart
	// policy is the spec's again.
	Start(ctx context.Context, name string) error
	// Name gives the replica the service's names in its networks. Its addresses
	// stay what they were.
	Name(ctx context.Context, r steady.Release, name string) error
	// Hold makes sure of the holder of the spec's service: it runs, it is on all
	// the spec's networks, and has the service's names there. One that is as it
	// should be is left alone; its addresses never change.
	Hold(ctx context.Context, spec steady.Spec) (steady.Holder, error)
	// Forget removes the service's holder. Gone is no error.
	Forget(ctx context.Context, project, service string) error
	// Stop sets the restart policy to no, sends the image's stop signal, waits
	// grace, kills. A container that is gone or stopped is no error.
	Stop(ctx context.Context, name string) error
	// Remove removes the container. Anonymous volumes that no other container is to find
	// again go with it. Gone is no error.
	Remove(ctx context.Context, name string) error
	// RemoveVolumes removes volumes by name. One that is gone or in use is no error.
	RemoveVolumes(ctx context.Context, names []string) error
	// Wait waits until the container has exited and gives its exit code.
	Wait(ctx context.Context, name string) (int, error)
	// Tail gives the container's last n log lines, oldest first.
	Tail(ctx context.Context, name string, n int) ([]string, error)
	// Record gives what a container leaves behind: the last lines of its log and what
	// its healthcheck printed, oldest first, at most so many lines and bytes.
	Record(ctx context.Context, name string, lines, bytes int) ([]steady.LogLine, error)
	// Clean removes the project's holders and networks, and its volumes when asked. What is
	// external or in use by others stays.
	Clean(ctx context.Context, project string, volumes bool) error
	// Oneoff creates a container of the release that runs one command, is no replica
	// and takes no traffic; Start starts it. One of that name and rollout is adopted,
	// whatever its state.
	Oneoff(ctx context.Context, r steady.Release, o steady.Oneoff) (steady.Replica, error)
	// Follow says the container's log lines, from its first, until it has stopped.
	Follow(ctx context.Context, name string, say func(string)) error
	// RunIn runs a command in a running container, with env besides the container's
	// own, says its lines and gives its exit code. When ctx ends, it ends the command.
	RunIn(ctx context.Context, name string, argv, env []string, say func(string)) (int, error)
}

// Host runs commands of the user's on this machine.
type Host interface {
	// Run runs argv in dir, with env and little else, and stdin as its input, says
	// the lines of its output and gives its exit code. When ctx ends, it ends the
	// command with all it has started and returns ctx's cause.
	Run(ctx context.Context, dir string, argv, env []string, stdin io.Reader, say func(string)) (int, error)
}

// Router is what a rollout needs of the data plane.
type Router interface {
	// Free says whether the routes' published ports can be listened on: by us
	// already, or not at all yet. Else steady.ErrPortTaken, saying who holds it.
	Free(ctx context.Context, routes []steady.Route) error
	// Route stores the routes (Route.Release is the service's serving release from
	// then on: the commit point), then puts them in force in one move. When it
	// returns nil, no new request goes to a replica of those services that is not
	// listed. On error the routes in force are those of before.
	Route(ctx context.Context, routes []steady.Route) error
	// ServeUnstored puts routes in force that the store cannot take now, and keeps them
	// there until Route stores those services' routes.
	ServeUnstored(ctx context.Context, routes []steady.Route) error
	// Routes gives the routes in force of one project.
	Routes(ctx context.Context, project string) ([]steady.Route, error)
	// Drain waits until nothing is in flight at the named replicas, which no
	// route lists any more, each kind with its clock, and closes our idle
	// connections to them.
	Drain(ctx context.Context, names []string, clocks steady.Drain) (steady.Drained, error)
	// Leave waits until nobody is connected to the replica itself any more, as those
	// are who came to it not through us, for at most clocks.Requests; what is open
	// then is told as cut. New connections that come to it meanwhile are sent to the
	// service's holder, where it has one.
	Leave(ctx context.Context, service, name string, clocks steady.Drain) (steady.Drained, error)
	// Callers tells who has streams open to the project's services now.
	Callers(ctx context.Context, project string) ([]steady.Caller, error)
	// Flows tells what is measured of one service, by release, and no more: it is
	// asked some times a second.
	Flows(ctx context.Context, project, service string) (map[int]steady.Flow, error)
	// Reading tells what the proxy has counted of one project: of all its releases,
	// or of those of which something was counted since an earlier reading's At.
	Reading(ctx context.Context, project string, since time.Time) (steady.Reading, error)
}

// Prober asks a replica whether it can serve, and whether it can be reached.
type Prober interface {
	// Ready returns nil once the replica has given probe.Rise good answers in a
	// row, and how it answered ("200 /health after 1.4s"). Errors:
	// steady.ErrExited when it exits or restarts, steady.ErrUnhealthy when the
	// Engine says so, steady.ErrNotReady when the deadline passes.
	Ready(ctx context.Context, name string, probe steady.Probe) (string, error)
	// Reach waits until the replica accepts connections on the ways that it must, at
	// the address that their traffic will take, and says on which others it does not.
	// say gets a line where it takes long. Errors: steady.ErrUnreachable after
	// want.Within, and those of Ready.
	Reach(ctx context.Context, name string, want steady.Reach, say func(string)) (steady.Reached, error)
	// Accepts lists the ways on which the replica accepts now; an error is why it
	// cannot be asked.
	Accepts(ctx context.Context, name string, ways []steady.Way) ([]steady.Way, error)
	// StillAccepts is steady.ErrUnreachable where the replica, which accepted on all of
	// the ways, does so no more. It is asked some times a second.
	StillAccepts(ctx context.Context, name string, ways []steady.Way) error
}

// Journal is what a rollout needs of the store. Every call is on disk when it
// returns; steady.ErrStore when it cannot be.
type Journal interface {
	// Accept writes, in one transaction, the rollout (its ID and Number are given
	// here, the Number not below the one it has) and the releases it will make
	// (Number and Rollout are set here).
	Accept(ctx context.Context, r *steady.Rollout, releases []steady.Release) error
	// Image completes a release with the image it resolved to.
	Image(ctx context.Context, project, service string, number int, img steady.Image) error
	// Contents stores what is known of the files that a release mounts: Contents and
	// Original of its spec.
	Contents(ctx context.Context, r steady.Release) error
	// Planned stores the plan in force, and the plan's anonymous volumes as the
	// project's. A rollout that is undone gets a second one.
	Planned(ctx context.Context, rollout int64, p steady.Plan) error
	// Begin and End stand around each step; Done lists the IDs of steps ended
	// without error, Begun those begun.
	Begin(ctx context.Context, rollout int64, stepID string) error
	End(ctx context.Context, rollout int64, stepID string, err error) error
	Progress(ctx context.Context, rollout int64) (p steady.Plan, begun, done map[string]bool, err error)
	// Event appends to the rollout's stream, numbers it and keeps it.
	Event(ctx context.Context, e *steady.Event) error
	// Rollouts lists a project's, newest first: at most limit.
	Rollouts(ctx context.Context, project string, limit int) ([]steady.Rollout, error)
	// Events lists those of a rollout with Seq > after.
	Events(ctx context.Context, rollout, after int64) ([]steady.Event, error)
	// PutReading keeps a reading until the rollout has ended; its At tells it from
	// others. DropReadings lets some go, Readings lists them by At.
	PutReading(ctx context.Context, rollout int64, r steady.Reading) error
	DropReadings(ctx context.Context, rollout int64, at []time.Time) error
	Readings(ctx context.Context, rollout int64) ([]steady.Reading, error)
	// Update stores the rollout's state, end, error and receipt.
	Update(ctx context.Context, r steady.Rollout) error
	// Serving gives the releases that serve, by service.
	Serving(ctx context.Context, project string) (map[string]steady.Release, error)
	// Release finds one release; steady.ErrNoRelease.
	Release(ctx context.Context, project, service string, number int) (steady.Release, error)
	// KeepLog keeps the lines of a replica that the rollout removes, as long as its
	// events.
	KeepLog(ctx context.Context, rollout int64, c steady.Replica, lines []steady.LogLine) error
	// Completed notes when a release that runs once had run to its end.
	Completed(ctx context.Context, project, service string, number int, at time.Time) error
	// Releases lists a project's, newest first, and which of each service serves.
	Releases(ctx context.Context, project string) ([]steady.Release, map[string]int, error)
	// Projects names those that a rollout was ever accepted of.
	Projects(ctx context.Context) ([]string, error)
	// KeepWarm notes that a release is kept running, in place of any other of its
	// service; Cool that it is not any more; Warm lists those that are, of all
	// projects where project is empty.
	KeepWarm(ctx context.Context, w steady.Warm) error
	Cool(ctx context.Context, w steady.Warm) error
	Warm(ctx context.Context, project string) ([]steady.Warm, error)
	// Volumes lists the project's anonymous volumes that plans have named: of two with
	// one service, number and path the later is in use. ForgetVolumes drops those of a
	// service, or all where it is empty.
	Volumes(ctx context.Context, project string) ([]steady.AnonymousVolume, error)
	ForgetVolumes(ctx context.Context, project, service string) error
	// Stage is how far the rollout's canaries are, as PutStage stored it last; the
	// zero one where it never did.
	Stage(ctx context.Context, rollout int64) (steady.Stage, error)
	PutStage(ctx context.Context, rollout int64, s steady.Stage) error
	// Unfinished lists the rollouts that a crash left running or undoing.
	Unfinished(ctx context.Context) ([]steady.Rollout, error)
}
