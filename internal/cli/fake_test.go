package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
)

// scenario is what a fake daemon answers, as scripts write it.
type scenario struct {
	Rollout  steady.Rollout
	Rollouts []steady.Rollout
	Events   []steady.Event
	Hang     bool // the event stream does not end after its events
	Plan     steady.Plan
	Status   steady.Status
	Releases []steady.Release
	Serving  map[string]int
	Projects []string
	Logs     []steady.LogLine
	Fail     *steady.Error // of every call that changes or plans something
	Change   steady.SiteChange
	Site     steady.SiteStatus

	Maintained steady.Maintained
	Pruned     []steady.PrunedImage
	Leases     steady.Leases
	Deeds      []steady.Deed
	Stage      steady.Stage
	Told       []steady.Delivery
}

// fakeDaemon is a Backend that plays a scenario and notes what it is asked.
type fakeDaemon struct {
	calls string // file to which calls are appended

	mu      sync.Mutex
	play    scenario
	aborted chan struct{}
}

var _ api.Backend = (*fakeDaemon)(nil)

// serveFake serves a daemon on a socket until the test ends.
func serveFake(t interface {
	Fatal(...any)
	Cleanup(func())
}, d *fakeDaemon, socket string) {
	l, err := api.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: api.Handler(d, slog.New(slog.DiscardHandler)), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // ends with Close
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
}

// load puts another scenario in force.
func (d *fakeDaemon) load(b []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.play, d.aborted = scenario{}, make(chan struct{})
	if err := json.Unmarshal(b, &d.play); err != nil {
		return err
	}
	for i := range d.play.Events {
		d.play.Events[i].Seq = int64(i + 1)
		d.play.Events[i].Project = d.play.Rollout.Project
	}
	return nil
}

func (d *fakeDaemon) now() scenario {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.play
}

func (d *fakeDaemon) note(format string, v ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := os.OpenFile(d.calls, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, _ = fmt.Fprintf(f, format+"\n", v...)
	_ = f.Close()
}

func fails(e *steady.Error) error {
	if e == nil {
		return nil
	}
	return e
}

func (d *fakeDaemon) begin(kind string, o steady.Options, rest ...any) (steady.Rollout, error) {
	o.Who, o.Ticket = "", "" // differ by machine, and by time
	b, _ := json.Marshal(o)
	d.note("%s %v %s", kind, rest, b)
	p := d.now()
	return p.Rollout, fails(p.Fail)
}

func specNames(specs []steady.Spec) []string {
	var out []string
	for _, s := range specs {
		out = append(out, s.Service)
	}
	return out
}

func (d *fakeDaemon) Deploy(_ context.Context, specs []steady.Spec, o steady.Options) (steady.Rollout, error) {
	return d.begin("deploy", o, specNames(specs))
}

func (d *fakeDaemon) Plan(_ context.Context, specs []steady.Spec, o steady.Options) (steady.Plan, error) {
	_, err := d.begin("plan", o, specNames(specs))
	return d.now().Plan, err
}

func (d *fakeDaemon) Rollback(_ context.Context, project string, to int, o steady.Options) (steady.Rollout, error) {
	return d.begin("rollback", o, project, to)
}

func (d *fakeDaemon) Scale(_ context.Context, project string, n map[string]int, o steady.Options) (steady.Rollout, error) {
	return d.begin("scale", o, project, n)
}

func (d *fakeDaemon) Down(_ context.Context, project string, volumes bool, o steady.Options) (steady.Rollout, error) {
	return d.begin("down", o, project, volumes)
}

func (d *fakeDaemon) Drill(_ context.Context, project, service string, o steady.Options) (steady.Rollout, error) {
	return d.begin("drill", o, project, service)
}

func (d *fakeDaemon) Maintain(_ context.Context, project string, services []string, m *steady.Maintenance) (steady.Maintained, error) {
	if m != nil {
		m.Who = "" // differs by machine
	}
	b, _ := json.Marshal(m)
	d.note("maintain %s %v %s", project, services, b)
	p := d.now()
	return p.Maintained, fails(p.Fail)
}

func (d *fakeDaemon) Maintenance(context.Context, string) (steady.Maintained, error) {
	p := d.now()
	return p.Maintained, fails(p.Fail)
}

func (d *fakeDaemon) Prune(_ context.Context, project string, keep int, dry bool) ([]steady.PrunedImage, error) {
	d.note("prune %s keep=%d dry=%t", project, keep, dry)
	return d.now().Pruned, fails(d.now().Fail)
}

func (d *fakeDaemon) Abort(_ context.Context, project string, id int64) error {
	d.note("abort %s %d", project, id)
	close(d.aborted)
	return nil
}

func (d *fakeDaemon) Promote(_ context.Context, project string, id int64, full bool, _ string) (steady.Stage, error) {
	d.note("promote %s %d full=%t", project, id, full)
	return d.now().Stage.Promote(full), fails(d.now().Fail)
}

func (d *fakeDaemon) Pause(_ context.Context, project string, id int64, _ string) (steady.Stage, error) {
	d.note("pause %s %d", project, id)
	return d.now().Stage.Pause(time.Now()), fails(d.now().Fail)
}

func (d *fakeDaemon) Resume(_ context.Context, project string, id int64, _ string) (steady.Stage, error) {
	d.note("resume %s %d", project, id)
	return d.now().Stage.Resume(time.Now()), fails(d.now().Fail)
}

func (d *fakeDaemon) Events(ctx context.Context, id, after int64, say func(steady.Event) error) error {
	d.note("events %d %d", id, after)
	p := d.now()
	for _, e := range p.Events {
		if e.Seq <= after {
			continue
		}
		if e.Kind == steady.EventFailed && e.State == steady.RolloutAborted {
			<-d.aborted
		}
		if err := say(e); err != nil {
			return err
		}
	}
	if p.Hang {
		d.note("hanging")
		<-ctx.Done()
	}
	return nil
}

func (d *fakeDaemon) Rollouts(_ context.Context, project string, _ int) ([]steady.Rollout, error) {
	d.note("rollouts %s", project)
	return d.now().Rollouts, nil
}

func (d *fakeDaemon) Rollout(_ context.Context, id int64) (steady.Rollout, error) {
	p := d.now()
	if p.Rollout.ID != id {
		return steady.Rollout{}, steady.ErrNoRollout.With(fmt.Sprintf("no rollout %d", id), "steady rollouts")
	}
	return p.Rollout, nil
}

func (d *fakeDaemon) Releases(_ context.Context, project string) ([]steady.Release, map[string]int, error) {
	d.note("releases %s", project)
	p := d.now()
	return p.Releases, p.Serving, nil
}

func (d *fakeDaemon) Projects(context.Context) ([]string, error) { return d.now().Projects, nil }

func (d *fakeDaemon) Status(_ context.Context, project string) (steady.Status, error) {
	d.note("status %s", project)
	p := d.now()
	if !slices.Contains(p.Projects, project) {
		return steady.Status{}, steady.ErrNoProject.With("no project "+project, "steady deploy")
	}
	return p.Status, nil
}

func (d *fakeDaemon) Logs(_ context.Context, q steady.LogQuery, say func(steady.LogLine) error) error {
	d.note("logs %s %v release=%d follow=%t tail=%d since=%t", q.Project, q.Services, q.Release, q.Follow, q.Tail, !q.Since.IsZero())
	for _, l := range d.now().Logs {
		if err := say(l); err != nil {
			return err
		}
	}
	return nil
}

func (d *fakeDaemon) Version(context.Context) (api.Version, error) {
	return api.Version{Steady: "v1.2.3", Go: "go1.26.8", Engine: "20.10.24", API: "1.41", Proxy: 99}, nil
}

// decoded reads a canned event stream.
func decoded(t *testing.T, stream string) []steady.Event {
	t.Helper()
	var out []steady.Event
	if err := json.Unmarshal([]byte(stream), &out); err != nil {
		t.Fatal(err)
	}
	return out
}
