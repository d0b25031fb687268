package check_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/check"
	"gesalpai.ch/steady/internal/compose"
	"gesalpai.ch/steady/internal/plan"
)

// web is a file with one service and more of it, from line 4 on.
func web(more string) string { return "services:\n  web:\n    image: nginx:1.27\n" + more }

// refusals are files that steady deploy refuses: what is wrong, where, and what it
// says. at is empty where the refusal is not about a place. hunter2 stands where a
// password may.
var refusals = []struct {
	name, file, at, says string
	more                 map[string]string
}{
	{name: "unset variable in a volume", file: web("    volumes:\n      - ${HDO_X}:/media\n"), at: ":5", says: "HDO_X is not set"},
	{name: "unset variable in a volume of an included file", file: "include: [other.yaml]\n", at: "other.yaml:5", says: "HDO_X is not set",
		more: map[string]string{"other.yaml": web("    volumes:\n      - ${HDO_X}:/media\n")}},
	{name: "unset variable in a duration", file: web("    stop_grace_period: ${HDO_X}\n"), at: ":4", says: "HDO_X is not set"},
	{name: "unset variable in a port", file: web("    ports:\n      - 8000:${HDO_X}\n"), at: ":5", says: "HDO_X is not set"},
	{name: "unset tag", file: "services:\n  web:\n    image: app:${HDO_X}\n", at: ":3", says: "HDO_X is not set"},
	{name: "required variable", file: web("    environment:\n      A: ${HDO_X:?set it}\n"), at: ":5", says: "required variable HDO_X"},
	{name: "image that is no reference", file: "services:\n  web:\n    image: Bad Image\n", at: ":3", says: "no image reference"},
	{name: "neither image nor build", file: "services:\n  web:\n    command: x\n", at: ":2", says: "neither an image nor a build"},
	{name: "environment that is a text", file: web("    environment: text\n"), at: ":4", says: "must be a mapping"},
	{name: "dollar sign that is no variable's", file: web("    environment:\n      A: pa${hunter2\n"), at: ":5", says: "invalid interpolation format"},
	{name: "no YAML", file: web("    ports: [\n"), at: ":5", says: ""},
	{name: "unknown key", file: web("    portz: [80]\n"), at: ":4", says: "portz"},
	{name: "port that is none", file: web("    ports:\n      - 80:x\n"), at: ":5", says: "invalid containerPort"},
	{name: "undefined network", file: web("    networks: [gone]\n"), at: ":4", says: "undefined network gone"},
	{name: "undefined volume", file: web("    volumes: [\"gone:/x\"]\n"), at: ":2", says: "undefined volume gone"},
	{name: "undefined dependency", file: web("    depends_on: [gone]\n"), at: ":4", says: "undefined service"},
	{name: "cycle", file: web("    depends_on: [api]\n  api: {image: x, depends_on: [web]}\n"), at: ":5", says: "dependency cycle"},
	{name: "env file that is not there", file: web("    env_file: gone.env\n"), at: ":4", says: "gone.env not found"},
	{name: "env file of an unknown format", file: web("    env_file: [{path: x.env, format: weird}]\n"), at: ":4", says: "unsupported env_file format",
		more: map[string]string{"x.env": "A=b\n"}},
	{name: "env file with a line that is none", file: web("    env_file: x.env\n"), at: "x.env:2", says: "",
		more: map[string]string{"x.env": "A=b\nPASS WORD=hunter2\n"}},
	{name: "env file with an open quote", file: web("    env_file: x.env\n"), at: "x.env:", says: "unterminated quoted value",
		more: map[string]string{"x.env": "A=b\nB=\"hunter2\n"}},
	{name: "extended file that is not there", file: "services:\n  web:\n    extends: {file: gone.yaml, service: x}\n", at: ":3", says: "no such file"},
	{name: "secret whose file is not there", file: web("    secrets: [k]\nsecrets:\n  k: {file: ./gone}\n"), at: ":6", says: "gone is not there"},
	{name: "config whose file is not there", file: web("    configs: [k]\nconfigs:\n  k: {file: ./gone}\n"), at: ":6", says: "gone is not there"},
	{name: "secret from the environment", file: web("    secrets: [k]\nsecrets:\n  k: {environment: X}\n"), at: ":6", says: "not supported"},
	{name: "lifecycle hook", file: web("    post_start: [{command: x}]\n"), at: ":4", says: "not supported"},
	{name: "unknown key of x-steady", file: web("    x-steady: {bogus: 1}\n"), at: ":4", says: "unknown key"},
	{name: "route without a port", file: web("    x-steady: {routes: [example.ch]}\n"), at: ":4", says: ""},
	{name: "probe without a command", file: web("    x-steady: {probe: {kind: exec}}\n"), says: "needs a healthcheck"},
	{name: "one port twice", file: web("    ports: [\"80:80\"]\n  api: {image: x, ports: [\"80:80\"]}\n"), says: "both publish port 80"},
}

// TestCheck_FailsOnAllThatDeployRefuses: every refusal tells its place, quotes no
// value, and has an error of check.
func TestCheck_FailsOnAllThatDeployRefuses(t *testing.T) {
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			files := map[string]string{"compose.yaml": c.file}
			for name, text := range c.more {
				files[name] = text
			}
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			o := compose.Options{WorkingDir: dir, ProjectName: "shop"}
			refusal := deployed(t, o)
			if refusal == nil {
				t.Fatal("deploy does not refuse it")
			}
			e := steady.AsError(refusal)
			if !strings.Contains(e.Text, c.says) || !strings.Contains(e.Text, c.at) || c.at != "" && !strings.HasPrefix(e.Text, dir) || e.Hint == "" {
				t.Errorf("it says %q, hint %q; want %q at %q", e.Text, e.Hint, c.says, c.at)
			}
			if strings.Contains(e.Text+e.Hint, "hunter2") || strings.Contains(e.Text, "\n") {
				t.Errorf("it quotes a value, or is several lines: %q", e.Text)
			}
			survey, err := compose.Look(t.Context(), o)
			if err != nil {
				return // check ends with that error
			}
			found := slices.ContainsFunc(check.Run(check.Input{Survey: survey, Memory: host}), func(f steady.Finding) bool {
				if strings.Contains(f.Text, "hunter2") {
					t.Errorf("the finding quotes a value: %s", f.Text)
				}
				return f.Severity == steady.Failure && f.Place.Line > 0
			})
			if !found {
				t.Errorf("check has no error; deploy says %q", e.Text)
			}
		})
	}
}

// deployed is why a deploy of the files is refused before anything is done; nil where
// it is not.
func deployed(t *testing.T, o compose.Options) error {
	t.Helper()
	p, err := compose.Load(t.Context(), o)
	if err != nil {
		return err
	}
	in := plan.Input{Project: p.Name}
	for _, s := range p.Specs {
		in.Targets = append(in.Targets, plan.Target{Asked: true, Release: steady.Release{Project: p.Name, Service: s.Service, Spec: s}})
	}
	_, err = plan.Build(in)
	return err
}
