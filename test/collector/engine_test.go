package collector_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady/test/collector"
	"gesalpai.ch/steady/test/image"
)

const talker = "collector-talker:test"

// talk runs the talker in a container that logs to the collector.
func talk(t *testing.T, engine *client.Client, c *collector.Collector, name string, env ...string) string {
	t.Helper()
	engine.ContainerRemove(t.Context(), name, client.ContainerRemoveOptions{Force: true}) // of a run that was killed
	made, err := engine.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name:   name,
		Config: &container.Config{Image: talker, Env: env},
		HostConfig: &container.HostConfig{
			NetworkMode: "none",
			LogConfig:   container.LogConfig{Type: "syslog", Config: c.LogOptions()},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := engine.ContainerRemove(context.Background(), made.ID, client.ContainerRemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	})
	if _, err := engine.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	return made.ID
}

func TestCollector_TakesEveryLineOfContainers(t *testing.T) {
	if testing.Short() {
		t.Skip("it needs a Docker Engine: make test runs it")
	}
	engine, err := client.New(client.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	if err := image.Build(t.Context(), engine, talker, "testdata/talker"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		engine.ImageRemove(context.Background(), talker, client.ImageRemoveOptions{Force: true, PruneChildren: true})
	})
	c := running(t, "tcp", "127.0.0.1:0")
	const lines = 20000

	t.Run("that exit at once", func(t *testing.T) {
		talk(t, engine, c, "collector-burst", fmt.Sprintf("LINES=%d", lines))
		until(t, 30*time.Second, "all lines", func() bool { return c.Lines()["collector-burst"] >= lines })
		for n := range lines {
			if by := c.LoggedBy(fmt.Sprintf("talk-%d", n)); len(by) != 1 || by[0] != "collector-burst" {
				t.Fatalf("line %d logged by %v", n, by)
			}
		}
	})
	t.Run("that are stopped and log to the last", func(t *testing.T) {
		id := talk(t, engine, c, "collector-stopped", fmt.Sprintf("LINES=%d", lines), "STAY=1")
		until(t, 30*time.Second, "the first lines", func() bool { return c.Lines()["collector-stopped"] >= lines })
		if _, err := engine.ContainerStop(t.Context(), id, client.ContainerStopOptions{}); err != nil {
			t.Fatal(err)
		}
		until(t, 10*time.Second, "the last lines", func() bool { return c.Lines()["collector-stopped"] == 2*lines })
	})
}
