// Package cli is steady's command line, and everything that prints. Standard
// output is the answer; progress, warnings and errors go to standard error with
// the prefix "steady:".
package cli

import (
	"context"
	"io"
	"strings"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/api"
)

// Run carries out one command line and gives its exit status (see exit.go). env
// is the environment as os.Environ gives it. When ctx ends, a rollout that is
// being watched goes on without us and the status is 130.
func Run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s := newSession(env, stdin, stdout, stderr)
	root := s.root()
	root.SetArgs(append([]string{}, args...))
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !s.begun && !isCoded(err) { // cobra's own words: no command has run
		err = usage(root.Name(), err.Error())
	}
	if endedBy(ctx, err) {
		err = errInterrupted
	}
	s.complain(err)
	return exitCode(err)
}

// session is one command line being carried out: where it reads and writes, and
// the flags that every command shares.
type session struct {
	env    []string
	in     io.Reader
	out    io.Writer
	err    io.Writer
	shared sharedFlags
	read   steady.Origin // of it, the files that the project was read from
	await  *awaited      // what may have to be waited for
	budget budget
	begun  bool // a command runs: the command line was understood
}

func newSession(env []string, stdin io.Reader, stdout, stderr io.Writer) *session {
	return &session{env: env, in: stdin, out: stdout, err: stderr}
}

// getenv gives the last value of a variable, empty when it is not set.
func (s *session) getenv(name string) string {
	for i := len(s.env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(s.env[i], name+"="); ok {
			return v
		}
	}
	return ""
}

func (s *session) backend() api.Backend { return api.NewClient(s.shared.socket).From(s.origin()) }

// endedBy says whether err is only the end of ctx: of a signal, say, which is
// then its cause.
func endedBy(ctx context.Context, err error) bool {
	return ctx.Err() != nil && isAny(err, ctx.Err(), context.Cause(ctx))
}

// usage is a wrong command line, with the help that would have told.
func usage(command, text string) error {
	return steady.ErrUsage.With(text, strings.TrimSpace(command)+" --help")
}
