package check_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/check"
	"gesalpai.ch/steady/internal/compose"
)

// host is the memory of the machine that the test files are meant for.
const host = 8 << 30

// want marks the lines of a file on which its rule must find something.
const want = "# want"

func look(t *testing.T, dir, file string) check.Input {
	t.Helper()
	survey, err := compose.Look(t.Context(), compose.Options{WorkingDir: dir, Files: []string{file}, ProjectName: "shop"})
	if err != nil {
		t.Fatalf("Look: %v", err)
	}
	return check.Input{Survey: survey, Memory: host}
}

func run(t *testing.T, dir, file string) []steady.Finding {
	t.Helper()
	return check.Run(look(t, dir, file))
}

func unpack(t *testing.T, archive string) string {
	t.Helper()
	a, err := txtar.ParseFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range a.Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRules_FindTheBadAndLeaveTheGood: of each rule, testdata/rules has a file in
// which it finds something on every line marked "# want" and on no other, and one
// in which it finds nothing.
func TestRules_FindTheBadAndLeaveTheGood(t *testing.T) {
	for _, r := range check.Rules() {
		t.Run(r.ID, func(t *testing.T) {
			dir := unpack(t, filepath.Join("testdata", "rules", r.ID+".txtar"))
			wanted := marked(t, filepath.Join(dir, "bad.yaml"))
			if len(wanted) == 0 {
				t.Fatal("bad.yaml wants nothing")
			}
			var lines []int
			for _, f := range of(r.ID, run(t, dir, "bad.yaml")) {
				lines = append(lines, f.Place.Line)
				if f.Place.Column == 0 || filepath.Base(f.Place.File) != "bad.yaml" || f.Severity != r.Severity {
					t.Errorf("place %q, severity %s", f.Place, f.Severity)
				}
				if f.Text == "" || f.Why == "" || f.Mend == "" {
					t.Errorf("it does not say all: %+v", f)
				}
			}
			slices.Sort(lines)
			lines = slices.Compact(lines)
			if diff := cmp.Diff(wanted, lines); diff != "" {
				t.Errorf("lines in bad.yaml (-want +found):\n%s", diff)
			}
			for _, f := range of(r.ID, run(t, dir, "good.yaml")) {
				t.Errorf("good.yaml: %s: %s", f.Place, f.Text)
			}
		})
	}
}

func of(rule string, all []steady.Finding) []steady.Finding {
	return slices.DeleteFunc(slices.Clone(all), func(f steady.Finding) bool { return f.Rule != rule })
}

func marked(t *testing.T, file string) []int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for i, line := range strings.Split(string(b), "\n") {
		if strings.Contains(line, want) {
			out = append(out, i+1)
		}
	}
	return out
}

func TestRules_AreNamedOnceAndHaveNoFilesLeft(t *testing.T) {
	var ids []string
	for _, r := range check.Rules() {
		if slices.Contains(ids, r.ID) {
			t.Errorf("rule %s is there twice", r.ID)
		}
		ids = append(ids, r.ID)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "rules", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if id := strings.TrimSuffix(filepath.Base(f), ".txtar"); !slices.Contains(ids, id) {
			t.Errorf("%s is of no rule", f)
		}
	}
}

// No value of the environment leaves the files: a finding is printed, stored by
// code hosts and sent to chats.
func TestFindings_HoldNoSecret(t *testing.T) {
	dir := unpack(t, filepath.Join("testdata", "rules", "secret-in-file.txtar"))
	found := run(t, dir, "bad.yaml")
	if len(of("secret-in-file", found)) == 0 {
		t.Fatal("nothing was found: the test would hold of nothing")
	}
	b, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"hunter2", "sk_live_1"} {
		if strings.Contains(string(b), value) {
			t.Errorf("the value %s is in a finding", value)
		}
	}
}

func TestSummary_SaysOnceWhatHoldsOfSeveral(t *testing.T) {
	dir := t.TempDir()
	text := "services:\n  a: {image: acme/a}\n  b: {image: acme/b}\n  c: {image: \"acme/c:1\"}\n"
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	in := look(t, dir, "compose.yaml")
	if raw := of("latest", check.Run(in)); len(raw) != 2 {
		t.Fatalf("%d findings, want one for each place", len(raw))
	}
	found := of("latest", check.Summary(in))
	if len(found) != 1 || found[0].Text != "2 images have no version: a, b" || found[0].Place.Line != 2 ||
		len(found[0].Also) != 1 || found[0].Also[0].Line != 3 {
		t.Errorf("%+v", found)
	}
	in.Only = []string{"b"}
	if found := of("latest", check.Summary(in)); len(found) != 1 || found[0].Service != "b" {
		t.Errorf("of b alone: %+v", found)
	}
}

// Profiles that nobody asked for together need not fit together; those that somebody
// asks for do.
func TestProfiles_CollideWhereTheyAreAskedFor(t *testing.T) {
	dir := unpack(t, filepath.Join("testdata", "rules", "port-twice.txtar"))
	for _, c := range []struct {
		profiles []string
		want     int
	}{{nil, 0}, {[]string{"cpu"}, 0}, {[]string{"cpu", "gpu"}, 1}} {
		survey, err := compose.Look(t.Context(), compose.Options{WorkingDir: dir, Files: []string{"good.yaml"}, Profiles: c.profiles})
		if err != nil {
			t.Fatal(err)
		}
		if found := of("port-twice", check.Run(check.Input{Survey: survey})); len(found) != c.want {
			t.Errorf("profiles %v: %v", c.profiles, found)
		}
	}
}
