package control_test

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"go.uber.org/goleak"

	"gesalpai.ch/steady/test/collector"
	"gesalpai.ch/steady/test/control"
	"gesalpai.ch/steady/test/image"
	"gesalpai.ch/steady/test/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const app = "control-app:test"

func TestReplace_LosesAndTheRigSeesIt(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs a Docker Engine: make test runs it")
	}
	engine, err := client.New(client.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	if err := image.Build(t.Context(), engine, app, "testdata/app"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		engine.ImageRemove(context.Background(), app, client.ImageRemoveOptions{Force: true, PruneChildren: true})
	})
	engine.NetworkRemove(t.Context(), "control-net", client.NetworkRemoveOptions{}) // of a run that was killed
	if _, err := engine.NetworkCreate(t.Context(), "control-net", client.NetworkCreateOptions{Driver: "bridge"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := engine.NetworkRemove(context.Background(), "control-net", client.NetworkRemoveOptions{}); err != nil {
			t.Error(err)
		}
	})
	logs := collect(t)
	s := &control.Service{Engine: engine, Name: "control-app", Net: "control-net", Port: freePort(t), Inner: 8000, Log: logs.LogOptions()}
	t.Cleanup(func() {
		if err := s.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	replace(t, s, "RELEASE=1")
	url := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(int(s.Port)))
	untilServing(t, url)

	before := load.Run(t.Context(), load.Options{URL: url, Duration: 3 * time.Second})
	if !before.Clean() {
		t.Fatalf("lost without a replacement:\n%s", before)
	}

	running := load.Start(load.Options{URL: url, Duration: time.Minute})
	turns := []load.Shift{{Release: 1}, {Release: 2, From: time.Now()}}
	replace(t, s, "RELEASE=2")
	untilServing(t, url)
	r := running.Stop()
	if r.Lost() == 0 {
		t.Errorf("%v\n%s", control.ErrBlind, r)
	}
	if wrong := r.Judge(turns...); len(wrong) > 0 {
		t.Errorf("%d from the wrong release, and there was only one at a time:\n%s", len(wrong), r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := logs.Await(ctx, r, 100*time.Millisecond); err != nil {
		t.Error(err)
	}
	if v := logs.Compare(r); !v.Clean() || len(v.Vanished) == 0 {
		t.Errorf("log: %s", v)
	}
	t.Logf("stop-first under load:\n%s", r)
}

func replace(t *testing.T, s *control.Service, env string) {
	t.Helper()
	if err := s.Replace(t.Context(), app, env); err != nil {
		t.Fatal(err)
	}
}

func collect(t *testing.T) *collector.Collector {
	t.Helper()
	c, err := collector.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func untilServing(t *testing.T, url string) {
	t.Helper()
	asker := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		res, err := asker.Get(url + "/echo")
		if err == nil {
			res.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not serving within 20 s: %v", err)
		}
	}
}
