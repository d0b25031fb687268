package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// execGrace is how long a command in a container whose time is up may take to end
// by itself.
const execGrace = 5 * time.Second

// RunIn runs a command in a running container, with env besides the container's
// own, and gives its exit code. say gets each line of its output, both streams
// together, from one goroutine. When ctx ends the command is told to end by SIGTERM,
// and killed five seconds later; that is done by its process, as the Engine cannot,
// so where the Engine is another machine's it is left running and the error says so.
func (e *Engine) RunIn(ctx context.Context, name string, argv, env []string, say func(string)) (int, error) {
	doing := "run a command in " + name
	c, err := e.inspect(ctx, name)
	if err != nil {
		return 0, err
	}
	id, at, err := e.beginExec(ctx, doing, c, client.ExecCreateOptions{Cmd: argv, Env: env, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return 0, err
	}
	defer at.Close()
	ended := make(chan error, 1)
	go func() {
		out := &splitter{say: say}
		_, err := stdcopy.StdCopy(out, out, at.Reader)
		out.flush()
		ended <- err
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
		cause := fmt.Errorf("%s: %w", doing, context.Cause(ctx))
		left := e.endExec(context.WithoutCancel(ctx), id, c.ID, ended)
		at.Close()
		if left != nil {
			<-ended
		}
		return 0, errors.Join(cause, left)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("%s: read its output: %w", doing, err)
	}
	done, err := e.api.ExecInspect(ctx, id, client.ExecInspectOptions{})
	if err != nil {
		return 0, e.fail(doing, err)
	}
	return done.ExitCode, nil
}

// beginExec starts a command in a container; what it writes comes from the second.
func (e *Engine) beginExec(ctx context.Context, doing string, c container.InspectResponse, o client.ExecCreateOptions) (string, client.HijackedResponse, error) {
	made, err := e.api.ExecCreate(ctx, c.ID, o)
	if gone(err) {
		return "", client.HijackedResponse{}, noReplica(strings.TrimPrefix(c.Name, "/"))
	}
	if err != nil {
		return "", client.HijackedResponse{}, e.fail(doing, err)
	}
	at, err := e.api.ExecAttach(context.WithoutCancel(ctx), made.ID, client.ExecAttachOptions{})
	return made.ID, at.HijackedResponse, e.fail(doing, err)
}

// endExec ends a command in a container, and waits until its output ends. On error
// nothing has been read from ended.
func (e *Engine) endExec(ctx context.Context, exec, in string, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*execGrace)
	defer cancel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		now, err := e.api.ExecInspect(ctx, exec, client.ExecInspectOptions{})
		if err != nil {
			return e.fail("end a command", err)
		}
		if now.Running {
			if err := signal(now.PID, in, sig); err != nil {
				return err
			}
		}
		late := time.NewTimer(execGrace)
		select {
		case <-ended:
			late.Stop()
			return nil
		case <-late.C:
		}
	}
	return errors.New("the command goes on in its container")
}

// signal sends a signal to a process of a container and its group: the Engine makes
// each command the leader of one. The process must be of that container as this
// machine sees it: the Engine's number means nothing on another machine.
func signal(pid int, in string, sig syscall.Signal) error {
	of, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if pid <= 1 || err != nil || !bytes.Contains(of, []byte(in)) {
		return errors.New("the command goes on in its container: only from the Engine's own machine can it be ended")
	}
	if err := syscall.Kill(-pid, sig); err == nil {
		return nil
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end a command: %w", err)
	}
	return nil
}

// splitter says what is written to it line by line.
type splitter struct {
	say  func(string)
	rest []byte
}

func (s *splitter) Write(p []byte) (int, error) {
	s.rest = append(s.rest, p...)
	for {
		i := bytes.IndexByte(s.rest, '\n')
		if i < 0 {
			break
		}
		s.say(string(bytes.TrimSuffix(s.rest[:i], []byte{'\r'})))
		s.rest = s.rest[i+1:]
	}
	if len(s.rest) > mostOfLine {
		s.flush()
	}
	return len(p), nil
}

func (s *splitter) flush() {
	if len(s.rest) > 0 {
		s.say(string(s.rest))
		s.rest = nil
	}
}
