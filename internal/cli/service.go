package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Directories of the two services, unless told otherwise.
const (
	defaultStateDir = "/var/lib/steady"
	defaultRunDir   = "/run/steady"
)

// serviceFlags are those that `steady daemon` and `steady proxy` share.
type serviceFlags struct {
	stateDir, runDir string
	format, level    choice
	access           accessFlags
}

func (f *serviceFlags) add(fs *pflag.FlagSet) {
	f.format = choice{value: "text", allowed: []string{"text", "json"}}
	f.level = choice{value: "info", allowed: []string{"debug", "info", "warn", "error"}}
	fs.StringVar(&f.stateDir, "state", defaultStateDir, "`directory` of what must survive a reboot")
	fs.StringVar(&f.runDir, "run-dir", defaultRunDir, "`directory` of the sockets")
	fs.Var(&f.format, "log-format", "`format` of the log on standard error: text or json")
	fs.Var(&f.level, "log-level", "lowest `level` that is logged: debug, info, warn or error")
	f.access.add(fs)
}

// absolute makes the directories independent of where a child process starts.
func (f *serviceFlags) absolute() error {
	state, err1 := filepath.Abs(f.stateDir)
	run, err2 := filepath.Abs(f.runDir)
	f.stateDir, f.runDir = state, run
	return errors.Join(err1, err2, f.access.absolute())
}

// arguments gives the same wishes to a child.
func (f *serviceFlags) arguments() []string {
	own := []string{"--state", f.stateDir, "--run-dir", f.runDir, "--log-format", f.format.value, "--log-level", f.level.value}
	return append(own, f.access.arguments()...)
}

func (f *serviceFlags) logger(w io.Writer) *slog.Logger {
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	o := &slog.HandlerOptions{Level: levels[max(slices.Index(f.level.allowed, f.level.value), 0)]}
	if strings.EqualFold(f.format.value, "json") {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// stopped turns the end that was asked for into success.
func stopped(ctx context.Context, err error) error {
	if endedBy(ctx, err) {
		return nil
	}
	return err
}
