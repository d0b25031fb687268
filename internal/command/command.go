// Package command runs commands of the user's on this machine: with an environment
// of their own, in a process group of their own that ends with them, and their
// output line by line.
package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"

	"gesalpai.ch/steady"
)

// grace is how long a command whose time is up may take to end by itself.
const grace = 5 * time.Second

// mostOfLine is where an overlong line is broken, in bytes.
const mostOfLine = 64 << 10

// Host runs commands here, as the user of this process.
type Host struct{}

// kept are the variables of this process that a command gets: where programs are
// and whose they are, and nothing that may be secret.
var kept = []string{"PATH", "HOME", "LANG"}

// Environment is what a command gets: env, and of our own no more than PATH, HOME
// and LANG.
func Environment(env []string) []string {
	var out []string
	for _, name := range kept {
		if v, ok := os.LookupEnv(name); ok {
			out = append(out, name+"="+v)
		}
	}
	return append(out, env...)
}

// Run runs argv in dir with no more than env and PATH, HOME and LANG, and stdin as
// its input. say gets each line of its output, both streams together, from one
// goroutine. It gives the exit code, 128 and the signal's number where one ended it.
// When ctx ends, the command and what it has started are told to end by SIGTERM, and
// killed five seconds later; the error is then ctx's cause.
func (Host) Run(ctx context.Context, dir string, argv, env []string, stdin io.Reader, say func(string)) (int, error) {
	program := steady.Program(argv, false)
	cmd := exec.Command(argv[0], argv[1:]...) // ended by us, not by CommandContext: group and grace are ours
	cmd.Dir, cmd.Env, cmd.Stdin = dir, Environment(env), stdin
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, in, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("make a pipe for %s: %w", program, err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = in, in
	// A child that leaves its group may keep what it inherited open: nobody waits for it.
	cmd.WaitDelay = grace
	err = cmd.Start()
	in.Close()
	if err != nil {
		return 0, fmt.Errorf("run %s: %w", program, unquoted(err))
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines(out, say)
	}()
	err = waitOrEnd(ctx, cmd)
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it has left in the background
	_ = out.SetReadDeadline(time.Now().Add(grace))
	<-read
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return code(program, err)
}

// unquoted is why a command could not be started, without the command that the error
// quotes: it may be a whole line, with a password in it.
func unquoted(err error) error {
	var search *exec.Error
	var start *fs.PathError
	switch {
	case errors.As(err, &search):
		return search.Err
	case errors.As(err, &start):
		return start.Err
	}
	return err
}

// waitOrEnd waits for the command's end, which comes by force when ctx ends.
func waitOrEnd(ctx context.Context, cmd *exec.Cmd) error {
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	return <-ended
}

func code(name string, err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			return 128 + int(w.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return 0, fmt.Errorf("run %s: %w", name, err)
}

// lines says what comes from r, line by line.
func lines(r io.Reader, say func(string)) {
	b := bufio.NewReaderSize(r, mostOfLine)
	for {
		line, _, err := b.ReadLine()
		if err != nil {
			return
		}
		say(string(line))
	}
}
