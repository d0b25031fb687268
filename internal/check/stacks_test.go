package check_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/check"
	"gesalpai.ch/steady/test/corpus"
)

// mostFindings is how many findings the median file of the corpus may have, of those
// that are shown without --severity info: more are not read.
const mostFindings = 3

// TestCorpus_FindingsAreExactAndFew: every finding of every project of test/corpus is
// in test/corpus/findings.golden. Each was read by hand and found to be true; who
// changes a rule reads what it changes there.
func TestCorpus_FindingsAreExactAndFew(t *testing.T) {
	for _, name := range variables {
		t.Setenv(name, "")
	}
	names := corpus.Names(t)
	if len(names) < 60 {
		t.Fatalf("only %d projects", len(names))
	}
	var b strings.Builder
	var shown []int
	for _, name := range names {
		dir := t.TempDir()
		corpus.Unpack(t, name, dir)
		found := check.Summary(look(t, dir, "compose.yaml"))
		n := 0
		for _, f := range found {
			if f.Place.Line == 0 {
				t.Errorf("%s: no place: %+v", name, f)
			}
			if f.Severity.AtLeast(steady.Warning) {
				n++
			}
		}
		shown = append(shown, n)
		fmt.Fprintf(&b, "%s\n%s", name, told(found, dir))
	}
	slices.Sort(shown)
	if median := shown[len(shown)/2]; median > mostFindings {
		t.Errorf("the median is %d findings a file, want %d at most", median, mostFindings)
	}
	if shown[0] != 0 {
		t.Error("no file is without a finding")
	}
	golden(t, filepath.Join("..", "..", "test", "corpus", "findings.golden"), b.String())
}

// told is each finding on a line, with the mend where it is of this place alone.
func told(found []steady.Finding, dir string) string {
	mends := map[string]string{}
	for _, r := range check.Rules() {
		mends[r.ID] = r.Mend
	}
	var b strings.Builder
	for _, f := range found {
		place := strings.TrimPrefix(f.Place.String(), dir+"/")
		fmt.Fprintf(&b, "  %s %s %s: %s\n", place, f.Severity, f.Rule, strings.ReplaceAll(f.Text, dir+"/", ""))
		if f.Mend != mends[f.Rule] {
			fmt.Fprintf(&b, "    mend: %s\n", strings.ReplaceAll(f.Mend, dir+"/", ""))
		}
	}
	return b.String()
}
