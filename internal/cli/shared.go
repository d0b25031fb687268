package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// defaultSocket is where the daemon listens unless told otherwise.
const defaultSocket = "/run/steady/steady.sock"

// Kinds of progress output.
const (
	progressAuto  = "auto"
	progressTTY   = "tty"
	progressPlain = "plain"
	progressJSON  = "json"
	progressQuiet = "quiet"
)

// sharedFlags are those that every command takes, Compose's own first.
type sharedFlags struct {
	files      list
	project    string
	profiles   list
	envFiles   list
	projectDir string
	progress   choice
	parallel   int
	json       bool
	socket     string
}

func (s *session) addShared(f *pflag.FlagSet) {
	f.VarP(&s.shared.files, "file", "f", "Compose `file`; repeat it for overrides (COMPOSE_FILE)")
	f.StringVarP(&s.shared.project, "project-name", "p", "", "project `name` (COMPOSE_PROJECT_NAME)")
	f.Var(&s.shared.profiles, "profile", "enable the services of a `profile`; repeatable (COMPOSE_PROFILES)")
	f.Var(&s.shared.envFiles, "env-file", "read variables from `file` instead of .env; repeatable")
	f.StringVar(&s.shared.projectDir, "project-directory", "", "`directory` where relative paths start")
	s.shared.progress = choice{value: progressAuto, allowed: []string{progressAuto, progressTTY, progressPlain, progressJSON, progressQuiet}}
	if v := s.getenv("COMPOSE_PROGRESS"); slices.Contains(s.shared.progress.allowed, v) {
		s.shared.progress.value = v
	}
	f.Var(&s.shared.progress, "progress", "`how` to show progress: auto, tty, plain, json or quiet")
	f.IntVar(&s.shared.parallel, "parallel", -1, "accepted as Compose's flag; steady decides by the plan")
	f.BoolVar(&s.shared.json, "json", false, "answer in JSON; progress as one event per line")
	socket := defaultSocket
	if v := s.getenv("STEADY_SOCKET"); v != "" {
		socket = v
	}
	f.StringVar(&s.shared.socket, "socket", socket, "the daemon's `socket` (STEADY_SOCKET)")
}

// json says whether a machine reads the answer.
func (s *session) json() bool { return s.shared.json || s.shared.progress.value == progressJSON }

// progress is how progress is shown here.
func (s *session) progress() string {
	switch {
	case s.json():
		return progressJSON
	case s.shared.progress.value != progressAuto:
		return s.shared.progress.value
	case isTerminal(s.err) && s.getenv("CI") == "" && s.getenv("TERM") != "dumb":
		return progressTTY
	}
	return progressPlain
}

// list is a flag that may be given several times; each adds one value.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }
func (l *list) Type() string       { return "string" }

// choice is a flag with a few values.
type choice struct {
	value   string
	allowed []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return "string" }
func (c *choice) Set(v string) error {
	if !slices.Contains(c.allowed, v) {
		return fmt.Errorf("it is none of %s", strings.Join(c.allowed, ", "))
	}
	c.value = v
	return nil
}
