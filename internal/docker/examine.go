package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/mask"
)

// examinedLines is how many log lines of a container in trouble are read.
const examinedLines = 5

// Examine looks at the Engine and at all its containers, of whichever project,
// and changes nothing. Of those in trouble it reads the last log lines, of those
// with a memory limit what they use. What cannot be read of one container is left
// out.
func (e *Engine) Examine(ctx context.Context) (steady.Examined, error) {
	info, err := e.api.Info(ctx, client.InfoOptions{})
	if err != nil {
		return steady.Examined{}, e.fail("ask the Engine about itself", err)
	}
	out := steady.Examined{
		Version: info.Info.ServerVersion, API: e.api.ClientVersion(), Root: info.Info.DockerRootDir, Driver: info.Info.Driver,
	}
	listed, err := e.api.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return out, e.fail("list containers", err)
	}
	found := make([]steady.ExaminedContainer, len(listed.Items))
	errs := make([]error, len(found))
	sideBySide(len(found), func(i int) { found[i], errs[i] = e.examine(ctx, listed.Items[i].ID) })
	for i, err := range errs {
		switch {
		case errors.Is(err, steady.ErrNoReplica):
		case err != nil:
			return out, err
		default:
			out.Containers = append(out.Containers, found[i])
		}
	}
	slices.SortFunc(out.Containers, func(a, b steady.ExaminedContainer) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

func (e *Engine) examine(ctx context.Context, id string) (steady.ExaminedContainer, error) {
	c, err := e.inspect(ctx, id)
	if err != nil {
		return steady.ExaminedContainer{}, err
	}
	out := steady.ExaminedContainer{
		Replica: replicaOf(c), Project: c.Config.Labels[labelProject], Holder: c.Config.Labels[steady.LabelHolder],
		PID: c.State.Pid, Program: steady.Program([]string{c.Path}, false), StopSignal: cmp.Or(c.Config.StopSignal, "SIGTERM"),
		StopTimeout: steady.DefaultStopGrace, RestartPolicy: string(c.HostConfig.RestartPolicy.Name),
		Error: privateIn(c).Text(c.State.Error), MemoryLimit: c.HostConfig.Memory,
	}
	if t := c.Config.StopTimeout; t != nil {
		out.StopTimeout = time.Duration(*t) * time.Second
	}
	if at, err := time.Parse(time.RFC3339Nano, c.State.FinishedAt); err == nil && at.Year() > 1 {
		out.Finished = at
	}
	if h := c.State.Health; h != nil && len(h.Log) > 0 {
		last := h.Log[len(h.Log)-1]
		out.HealthExit, out.HealthOutput, out.HealthFailing = last.ExitCode, strings.TrimSpace(last.Output), h.FailingStreak
	}
	if out.Running() && out.MemoryLimit > 0 {
		out.MemoryUsed, _ = e.memory(ctx, id)
	}
	if troubled(out) {
		out.Tail, _ = e.Tail(ctx, id, examinedLines)
	}
	return out, nil
}

// privateIn is a mask over what the Engine says of a container: it quotes commands.
func privateIn(c container.InspectResponse) *mask.Mask {
	var m mask.Mask
	m.Environment(c.Config.Env...)
	m.Command(append([]string{c.Path}, c.Args...))
	m.Command(c.Config.Cmd)
	m.Command(c.Config.Entrypoint)
	return &m
}

func troubled(c steady.ExaminedContainer) bool {
	return !c.Running() && c.ExitCode != 0 || c.State == steady.StateRestarting || c.OOM || c.Restarts > 0 ||
		c.Health == steady.HealthUnhealthy || c.Error != ""
}

// memory is what the container uses now, as docker stats counts it: without the
// page cache that nobody has used of late.
func (e *Engine) memory(ctx context.Context, id string) (int64, error) {
	got, err := e.api.ContainerStats(ctx, id, client.ContainerStatsOptions{})
	if err != nil {
		return 0, e.fail("ask for the memory of "+id, err)
	}
	defer got.Body.Close()
	var s container.StatsResponse
	if err := json.NewDecoder(got.Body).Decode(&s); err != nil {
		return 0, fmt.Errorf("read the memory of %s: %w", id, err)
	}
	cache := s.MemoryStats.Stats["inactive_file"] // cgroup v2
	if v1, ok := s.MemoryStats.Stats["total_inactive_file"]; ok {
		cache = v1
	}
	return int64(s.MemoryStats.Usage - min(cache, s.MemoryStats.Usage)), nil
}
