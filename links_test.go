package steady_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence   = regexp.MustCompile("(?ms)^```.*?^```$")
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	noSlug  = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
)

// TestDocs_LinksLeadSomewhere: each relative link in the documents names a file that
// is there, and a heading in it.
func TestDocs_LinksLeadSomewhere(t *testing.T) {
	docs, _ := filepath.Glob("docs/*.md")
	top, _ := filepath.Glob("*.md")
	docs = append(append(docs, top...), "examples/gesalp/README.md")
	for _, doc := range docs {
		for _, m := range link.FindAllStringSubmatch(prose(t, doc), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := doc
			if file != "" {
				target = filepath.Join(filepath.Dir(doc), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s is not there", doc, m[1])
				continue
			}
			if anchor != "" && !strings.Contains(anchors(t, target), " "+anchor+" ") {
				t.Errorf("%s: %s has no heading #%s", doc, target, anchor)
			}
		}
	}
}

// TestDocs_IndexListsEveryPage: docs/README.md names all pages.
func TestDocs_IndexListsEveryPage(t *testing.T) {
	index := prose(t, "docs/README.md")
	docs, _ := filepath.Glob("docs/*.md")
	for _, doc := range docs {
		if name := filepath.Base(doc); name != "README.md" && !strings.Contains(index, "]("+name+")") {
			t.Errorf("docs/README.md does not list %s", name)
		}
	}
}

// prose is a document without its code blocks.
func prose(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fence.ReplaceAllString(string(raw), "")
}

// anchors lists the headings of a document as GitHub's anchors name them.
func anchors(t *testing.T, file string) string {
	t.Helper()
	out := " "
	for _, m := range heading.FindAllStringSubmatch(prose(t, file), -1) {
		slug := strings.ToLower(strings.ReplaceAll(noSlug.ReplaceAllString(m[1], ""), " ", "-"))
		out += slug + " "
	}
	return out
}
