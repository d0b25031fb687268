package check_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/check"
)

func TestMain(m *testing.M) {
	if flag.Lookup("update") == nil { // a package that the Compose SDK brings may have it
		flag.Bool("update", false, "write golden files and docs/check.md anew")
	}
	os.Exit(m.Run())
}

// golden compares, or writes with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is behind; look at the difference, then: go test ./internal/check -update\n%s", path, diff)
	}
}

// TestCorpus: files in the shapes of public projects, written for this test. None
// crashes, every finding has a place, and what is found is the table in
// testdata/corpus.golden.
func TestCorpus_WhatIsFound(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "corpus", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 60 {
		t.Fatalf("only %d files", len(files))
	}
	for _, name := range variables { // the table must not depend on this machine's
		t.Setenv(name, "")
	}
	var b strings.Builder
	total := map[string]int{}
	for _, file := range files {
		found := check.Summary(look(t, ".", file))
		for _, f := range found {
			total[f.Rule]++
			if f.Place.Line == 0 {
				t.Errorf("%s: no place: %+v", file, f)
			}
		}
		b.WriteString(row(strings.TrimSuffix(filepath.Base(file), ".yaml"), found))
	}
	b.WriteString("\n")
	for _, rule := range slices.SortedFunc(maps.Keys(total), func(a, b string) int {
		return cmp.Or(cmp.Compare(total[b], total[a]), cmp.Compare(a, b))
	}) {
		fmt.Fprintf(&b, "%4d %s\n", total[rule], rule)
	}
	golden(t, filepath.Join("testdata", "corpus.golden"), b.String())
}

// variables change how Compose reads files.
var variables = []string{"COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "COMPOSE_ENV_FILES"}

// row is one file: how many errors, warnings and notices, and their rules.
func row(name string, found []steady.Finding) string {
	n := map[steady.Severity]int{}
	rules := map[string]int{}
	for _, f := range found {
		n[f.Severity]++
		rules[f.Rule]++
	}
	var parts []string
	for _, rule := range slices.Sorted(maps.Keys(rules)) {
		parts = append(parts, fmt.Sprintf("%s:%d", rule, rules[rule]))
	}
	return fmt.Sprintf("%-22s %2d %2d %2d  %s\n", name, n[steady.Failure], n[steady.Warning], n[steady.Notice], strings.Join(parts, " "))
}

// TestReference_ListsEveryRule writes docs/check.md with -update.
func TestReference_ListsEveryRule(t *testing.T) {
	var b strings.Builder
	b.WriteString(intro)
	for _, r := range check.Rules() {
		fmt.Fprintf(&b, "\n### %s\n\n**%s** · %s\n\n%s\n\n*Mend:* %s\n", r.ID, r.Severity, r.Title, r.Why, r.Mend)
	}
	golden(t, filepath.Join("..", "..", "docs", "check.md"), b.String())
}

const intro = `# What steady check finds

Generated from the rules: ` + "`go test ./internal/check -run Reference -update`" + `.

` + "`steady check`" + ` reads the Compose files and nothing else; no daemon and no Engine are needed. It also reads the Dockerfile that a
service is built with, for the form of its ` + "`CMD`" + `. Each finding has a severity, a line and column, why it matters, and what mends it. What holds of several services is one finding, with
all their places (in SARIF one result for each place). Findings of severity info are counted, and shown with ` + "`--severity info`" + ` only.

    steady check                        # for a person
    steady check --json                 # {"project", "files", "findings": [{"rule", "severity", "service", "path", "place", "also", "text", "why", "mend"}]}
    steady check --sarif                # SARIF 2.1.0, as code hosts show it beside the lines
    steady check --severity info        # also what is worth knowing and wrong in no way: ports open to the world, no memory limit, unbounded logs, …
    steady check --fail-on warning      # exit status 20 for a warning, 21 for an error; without the flag 21 for an error only

What is found is what the files show. An image may have a healthcheck, an init or an exec of its own that no file names.

## Rules
`
