package daemon

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"

	"gesalpai.ch/steady"
)

// pid has a replica be a process of this machine.
func (e *engine) pid(name string, pid int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.replicas[name]
	c.PID = pid
	e.replicas[name] = c
}

func (p *plane) processOf(t *testing.T) steady.Process {
	t.Helper()
	table, err := p.proxy.Table(t.Context())
	if err != nil || len(table.Pools) != 1 || len(table.Pools[0].Upstreams) != 1 {
		t.Fatalf("%+v %v", table, err)
	}
	return table.Pools[0].Upstreams[0].Process
}

func TestRouter_TheTableNamesTheProcessesOfItsReplicas(t *testing.T) {
	p := newPlane(t)
	p.engine.set("api-1", steady.StateRunning, 1)
	p.engine.pid("api-1", os.Getpid())
	if err := p.Route(t.Context(), []steady.Route{p.route("api-1")}); err != nil {
		t.Fatal(err)
	}
	if got := p.processOf(t); got.PID != os.Getpid() || got.Started == 0 || got.Network {
		t.Errorf("%+v", got)
	}
	// One that cannot be seen although the Engine says that it runs: as before.
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	p.engine.pid("api-1", ended.Process.Pid)
	if _, err := p.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.processOf(t); got != (steady.Process{}) {
		t.Errorf("%+v", got)
	}
}

// A proxy that runs on through an update of the daemon gets tables that it knows,
// and the next one those that tell more.
func TestRouter_AnOlderProxyIsServedWithoutProcesses(t *testing.T) {
	p := newPlane(t)
	var served []steady.Table
	older := func(_ context.Context, table steady.Table) error {
		served = append(served, table)
		if table.Pools[0].Upstreams[0].Process != (steady.Process{}) {
			return steady.ErrUnsupported.With("it does not know process of the table", "")
		}
		return nil
	}
	table := steady.Table{Version: 1, Pools: []steady.Pool{{Name: "shop/api:80", Upstreams: []steady.Upstream{{ID: "a", Process: steady.Process{PID: 1}}}}}}
	if err := p.router.serve(t.Context(), table, older); err != nil {
		t.Fatal(err)
	}
	if len(served) != 2 || !p.untold || table.Pools[0].Upstreams[0].Process.PID != 1 {
		t.Errorf("%d tables: %+v", len(served), served)
	}
	refused := func(context.Context, steady.Table) error { return steady.ErrUnsupported }
	if err := p.router.serve(t.Context(), table, refused); !errors.Is(err, steady.ErrUnsupported) {
		t.Errorf("%v", err)
	}
	p.meetProxy()
	if got := p.tellProcesses(table); got.Pools[0].Upstreams[0].Process.PID != 1 {
		t.Errorf("%+v", got)
	}
}
