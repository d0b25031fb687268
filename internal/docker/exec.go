package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// execOutput is how many bytes of a command's output are kept.
const execOutput = 64 << 10

// Exec runs a command in a container and gives its exit code and what it wrote,
// both streams together, up to 64 KiB. When ctx ends it returns at once; the
// Engine has no way of ending the command.
func (e *Engine) Exec(ctx context.Context, name string, argv []string) (exit int, output string, err error) {
	doing := "run a command in " + name
	made, err := e.api.ExecCreate(ctx, name, client.ExecCreateOptions{Cmd: argv, AttachStdout: true, AttachStderr: true})
	if gone(err) {
		return 0, "", noReplica(name)
	}
	if err != nil {
		return 0, "", e.fail(doing, err)
	}
	at, err := e.api.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err != nil {
		return 0, "", e.fail(doing, err)
	}
	defer at.Close()
	stop := context.AfterFunc(ctx, at.Close)
	defer stop()
	out := &head{most: execOutput}
	_, err = stdcopy.StdCopy(out, out, at.Reader)
	if ctx.Err() != nil {
		return 0, out.buf.String(), fmt.Errorf("%s: %w", doing, context.Cause(ctx))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, out.buf.String(), fmt.Errorf("%s: read its output: %w", doing, err)
	}
	done, err := e.api.ExecInspect(ctx, made.ID, client.ExecInspectOptions{})
	if err != nil {
		return 0, out.buf.String(), e.fail(doing, err)
	}
	return done.ExitCode, out.buf.String(), nil
}

// head keeps the first bytes written to it and takes the rest without keeping it,
// so that the writer does not block.
type head struct {
	buf  bytes.Buffer
	most int
}

func (h *head) Write(p []byte) (int, error) {
	h.buf.Write(p[:min(len(p), h.most-h.buf.Len())])
	return len(p), nil
}
