package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
)

// Start starts the container; a running one is left alone. The restart policy is
// the spec's again.
func (e *Engine) Start(ctx context.Context, name string) error {
	c, err := e.inspect(ctx, name)
	if err != nil {
		return err
	}
	if err := e.restartAsBefore(ctx, c); err != nil {
		return err
	}
	if c.State.Running {
		return nil
	}
	if err := e.unshared(ctx, c); err != nil {
		return err
	}
	err = e.start(ctx, name)
	if err == nil || !addressTaken(err) {
		return err
	}
	freed, uerr := e.unpin(ctx, c)
	switch {
	case uerr != nil:
		return uerr
	case freed:
		return e.start(ctx, name)
	}
	return steady.ErrUnsupported.With(
		fmt.Sprintf("container %s cannot start: the address that the file gives it is another's, and two replicas cannot have it at once", name),
		"set update_config.order: stop-first, or leave the address out of the file")
}

func (e *Engine) start(ctx context.Context, name string) error {
	_, err := e.api.ContainerStart(ctx, name, client.ContainerStartOptions{})
	if gone(err) {
		return noReplica(name)
	}
	return e.fail("start container "+name, err)
}

func addressTaken(err error) bool {
	return strings.Contains(strings.ToLower(err.Error()), "address already in use") && !strings.Contains(err.Error(), "bind")
}

// Stop makes sure that nothing restarts the container, sends the image's stop
// signal, waits as long as the container's stop timeout says, kills. A container
// that is gone or stopped is no error.
func (e *Engine) Stop(ctx context.Context, name string) error {
	c, err := e.inspect(ctx, name)
	if errors.Is(err, steady.ErrNoReplica) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := e.restartNoMore(ctx, c); err != nil {
		return err
	}
	_, err = e.api.ContainerStop(ctx, name, client.ContainerStopOptions{})
	if gone(err) {
		return nil
	}
	return e.fail("stop container "+name, err)
}

// Restart stops the container as Stop does, and starts it again. Its restart policy
// stays.
func (e *Engine) Restart(ctx context.Context, name string) error {
	_, err := e.api.ContainerRestart(ctx, name, client.ContainerRestartOptions{})
	if gone(err) {
		return noReplica(name)
	}
	return e.fail("restart container "+name, err)
}

// Remove removes the container, running or not. Anonymous volumes go with it where
// nothing is to find them again. Gone is no error.
func (e *Engine) Remove(ctx context.Context, name string) error {
	c, err := e.inspect(ctx, name)
	if errors.Is(err, steady.ErrNoReplica) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = e.api.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{RemoveVolumes: disposable(c), Force: true})
	switch {
	case gone(err):
		return nil
	case cerrdefs.IsConflict(err) && strings.Contains(err.Error(), "already in progress"):
		_, err := e.exit(ctx, name, container.WaitConditionRemoved)
		if errors.Is(err, steady.ErrNoReplica) {
			return nil
		}
		return err
	}
	return e.fail("remove container "+name, err)
}

// Wait waits until the container has exited and gives its exit code. One that was
// never started counts as exited with 0.
func (e *Engine) Wait(ctx context.Context, name string) (int, error) {
	return e.exit(ctx, name, container.WaitConditionNotRunning)
}

func (e *Engine) exit(ctx context.Context, name string, when container.WaitCondition) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := e.api.ContainerWait(ctx, name, client.ContainerWaitOptions{Condition: when})
	select {
	case err := <-w.Error:
		if gone(err) {
			return 0, noReplica(name)
		}
		return 0, e.fail("wait for container "+name, err)
	case got := <-w.Result:
		if got.Error != nil {
			return 0, fmt.Errorf("wait for container %s: %s", name, got.Error.Message)
		}
		return int(got.StatusCode), nil
	}
}
