package e2e

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"gesalpai.ch/steady/test/collector"
	"gesalpai.ch/steady/test/control"
	"gesalpai.ch/steady/test/load"
)

const (
	rate        = 300 // requests per second, the five loads together
	streamClock = 3 * time.Second
)

// logged boots a host whose api logs to a collector, and whose streams have a
// short clock so that many rollouts fit into a test.
func logged(t *testing.T, project string) (*host, *collector.Collector) {
	t.Helper()
	c, err := collector.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("collector: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	h := swiftHost(t, project)
	override := "services:\n  api:\n    x-steady:\n      drain: { streams: " + streamClock.String() + " }\n    logging:\n      driver: syslog\n      options:\n"
	for k, v := range c.LogOptions() {
		override += fmt.Sprintf("        %s: %q\n", k, v)
	}
	h.write("override.yml", override)
	return h, c
}

func TestDeploy_RolloutsOfOneServiceUnderLoadLoseNothing(t *testing.T) {
	h, c := logged(t, "e2e-api")
	h.deploy(1, "all")
	rolloutsUnderLoad(t, h, c, rollouts(t, 8), "api")
}

func TestDeploy_RolloutsOfTheWholeStackUnderLoadLoseNothing(t *testing.T) {
	h, c := logged(t, "e2e-stack")
	h.deploy(1, "all")
	rolloutsUnderLoad(t, h, c, rollouts(t, 4), "all")
}

// rolloutsUnderLoad deploys n releases while the five loads run, and counts what
// was lost, doubled, answered by the wrong release, or cut too early.
func rolloutsUnderLoad(t *testing.T, h *host, c *collector.Collector, n int, what string) {
	t.Helper()
	l := load.Start(load.Options{URL: h.api(), Rate: rate, Duration: 10 * time.Minute})
	turns := []load.Shift{{Release: 1}}
	for i := 2; i <= n+1; i++ {
		turn := load.Shift{Release: i, From: time.Now()}
		h.deploy(i, what)
		turn.Done = time.Now()
		turns = append(turns, turn)
	}
	judge(t, h, c, l.Stop(), turns)
}

func judge(t *testing.T, h *host, c *collector.Collector, r load.Report, turns []load.Shift) {
	t.Helper()
	t.Logf("%d rollouts\n%s", len(turns)-1, r)
	if !r.Clean() {
		t.Errorf("lost %d, cut %d, unsent %d", r.Lost(), r.Cut(), r.Unsent())
	}
	if wrong := r.Judge(turns...); len(wrong) > 0 {
		t.Errorf("%d answers of the wrong release, the first %+v", len(wrong), wrong[0])
	}
	// Streams are ended one by one over the last quarter of their clock.
	if early := r.Early(streamClock*3/4, turns...); len(early) > 0 {
		t.Errorf("%d streams ended before their clock, the first %+v", len(early), early[0])
	}
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := c.Await(ctx, r, time.Second); err != nil {
		t.Error(err)
	}
	v := c.Compare(r)
	t.Logf("log: %s", v)
	if !v.Clean() {
		t.Errorf("%d answered but not logged, %d done twice", len(v.Unlogged), len(v.Doubled))
	}
}

// TestControl_TheGuidesOwnProcedureLoses is the positive control: under the same
// load the rig must see the loss, or no zero of it counts.
func TestControl_TheGuidesOwnProcedureLoses(t *testing.T) {
	engine, err := client.New(client.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	port, err := strconv.ParseUint(freePort(t), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	s := &control.Service{Engine: engine, Name: "e2e-control", Port: uint16(port), Inner: 8000, Env: []string{"START_DELAY=500ms"}}
	t.Cleanup(func() { _ = s.Down(context.Background()) })
	if err := s.Replace(t.Context(), "gesalp-api:v1", "RELEASE=1"); err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	answers(t, url)
	l := load.Start(load.Options{URL: url, Rate: rate, Duration: time.Minute})
	for release := 2; release <= 3; release++ {
		if err := s.Replace(t.Context(), "gesalp-api:v1", fmt.Sprintf("RELEASE=%d", release)); err != nil {
			t.Fatal(err)
		}
		answers(t, url)
	}
	r := l.Stop()
	t.Logf("the guide's procedure, twice\n%s", r)
	if r.Lost() == 0 {
		t.Error(control.ErrBlind)
	}
}
