// Package corpus holds Compose projects in the shapes that public projects have:
// self-hosted applications with their databases, media servers behind a VPN, name
// servers, game servers, mail, monitoring, queues and jobs. Each was written for
// these tests, with names and values of its own, and is well or badly kept as such
// files are.
package corpus

import (
	"embed"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

//go:embed stacks/*.txtar
var stacks embed.FS

// Names lists the projects, sorted.
func Names(t testing.TB) []string {
	t.Helper()
	entries, err := stacks.ReadDir("stacks")
	if err != nil {
		t.Fatal(err)
	}
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = strings.TrimSuffix(e.Name(), ".txtar")
	}
	return out
}

// Unpack writes the files of a project, compose.yaml among them, into dir.
func Unpack(t testing.TB, name, dir string) {
	t.Helper()
	b, err := stacks.ReadFile("stacks/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range txtar.Parse(b).Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
