package check

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"gesalpai.ch/steady"
)

// running is what a service runs as its first process, as far as the files and its
// Dockerfile tell.
type running struct {
	argv  []string // empty: only the image knows
	path  string   // where it stands in the Compose files
	shell bool     // the Dockerfile's shell form: sh -c argv[0]
}

// runs combines entrypoint and command as the Engine does.
func runs(d steady.Declared) running {
	docker := d.Dockerfile
	entry, command := running{argv: d.Entrypoint, path: d.Path("entrypoint")}, running{argv: d.Command, path: d.Path("command")}
	if len(d.Entrypoint) == 0 && len(docker.Entrypoint) > 0 {
		entry = running{argv: docker.Entrypoint, path: d.Path("build"), shell: docker.EntrypointShell}
		if entry.shell { // it takes no arguments
			return entry
		}
	}
	if len(d.Command) == 0 && len(d.Entrypoint) == 0 && len(docker.Command) > 0 {
		command = running{argv: docker.Command, path: d.Path("build"), shell: docker.CommandShell}
	}
	if len(entry.argv) == 0 {
		return command
	}
	if command.shell {
		command.argv = []string{"/bin/sh", "-c", command.argv[0]}
	}
	at := entry.path
	if len(d.Command) > 0 {
		at = command.path
	}
	return running{argv: append(append([]string{}, entry.argv...), command.argv...), path: at}
}

var shells = map[string]bool{"sh": true, "bash": true, "ash": true, "dash": true}

// script is the line that a shell is given to run, and which shell it is.
func (r running) script() (line, shell string) {
	if r.shell {
		return r.argv[0], "sh"
	}
	argv := r.argv
	for len(argv) > 0 && wrappers[path.Base(argv[0])] { // tini -- sh -c …
		argv = argv[1:]
		for len(argv) > 0 && strings.HasPrefix(argv[0], "-") {
			argv = argv[1:]
		}
	}
	if len(argv) < 3 || !shells[path.Base(argv[0])] {
		return "", ""
	}
	for i, arg := range argv[1 : len(argv)-1] {
		if strings.HasPrefix(arg, "-") && strings.HasSuffix(arg, "c") { // -c, -ec, -lc
			return argv[i+2], path.Base(argv[0])
		}
	}
	return "", ""
}

// wrappers start a program and pass signals on to it.
var wrappers = map[string]bool{"tini": true, "dumb-init": true, "docker-init": true, "catatonit": true}

// wrapped says whether the first process passes signals on by trade.
func (r running) wrapped() bool { return len(r.argv) > 0 && !r.shell && wrappers[path.Base(r.argv[0])] }

// swallows says whether a shell stays the first process, so that the stop signal
// ends at it.
func (r running) swallows(d steady.Declared) bool {
	line, shell := r.script()
	if line == "" {
		return false
	}
	f := parsed(line)
	return f != nil && keepsShell(f, familyOf(d, shell))
}

// words is the whole command as one text, to be searched.
func (r running) words() string { return strings.Join(r.argv, " ") }

// program is the name of the first process, behind wrappers.
func (r running) program() string {
	if line, _ := r.script(); line != "" {
		return "sh"
	}
	for _, arg := range r.argv {
		if name := path.Base(arg); !wrappers[name] && !strings.HasPrefix(arg, "-") {
			return name
		}
	}
	return ""
}

// named is what a pattern found in a command, for a person. Where it goes on over
// options, only its first and its last word are told: what stands between them may
// be a password.
func named(found string) string {
	words := strings.Fields(strings.Trim(found, "/;&| \t\n"))
	optioned := func(w string) bool { return strings.HasPrefix(w, "-") || strings.ContainsAny(w, "=/@") }
	if len(words) > 3 || slices.ContainsFunc(words, optioned) {
		return steady.Program(words[:1], false) + " " + lastWord.FindString(words[len(words)-1])
	}
	return strings.Join(words, " ")
}

// lastWord is the end of a word that is no value: worker, --reload.
var lastWord = regexp.MustCompile(`(?:--?)?[\w:.]+$`)
