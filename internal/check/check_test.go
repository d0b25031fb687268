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

func run(t *testing.T, dir, file string) []steady.Finding {
	t.Helper()
	survey, err := compose.Look(t.Context(), compose.Options{WorkingDir: dir, Files: []string{file}, ProjectName: "shop"})
	if err != nil {
		t.Fatalf("Look: %v", err)
	}
	return check.Run(check.Input{Survey: survey, Memory: host})
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
