package e2e

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// edit replaces a file as editors do: another one takes its name.
func (h *host) edit(name, text string) {
	h.t.Helper()
	if err := os.Rename(h.write(name+".new", text), filepath.Join(h.dir, name)); err != nil {
		h.t.Fatal(err)
	}
}

// is checks which release of web serves, and what a command said.
func (h *host) is(r result, release string, words ...string) {
	h.t.Helper()
	for _, w := range words {
		if !strings.Contains(r.out+r.err, w) {
			h.t.Errorf("it does not say %q", w)
		}
	}
	if got := h.containers(); r.code != 0 || len(got) != 1 || got[0] != h.project+"-web-"+release+"-1" {
		h.t.Errorf("containers %v, want release %s; exit %d\n%s%s", got, release, r.code, r.out, r.err)
	}
}

// TestContent_AnEditOfAMountedFileIsAReleaseAndARollbackSaysWhatStays goes through
// edits of a mounted file and of a secret, rollbacks, and a store of an older steady.
func TestContent_AnEditOfAMountedFileIsAReleaseAndARollbackSaysWhatStays(t *testing.T) {
	h := newHost(t, "e2e-content")
	small(h, `    volumes: ["./page.conf:/page.conf:ro", "./pages:/pages:ro"]
    secrets: [key]
secrets: { key: { file: ./key.txt } }
`)
	h.write("page.conf", "first")
	h.write("key.txt", "hunter2")
	h.deploy(1)
	h.is(h.steady("deploy", "-y"), "1", "unchanged")
	h.is(h.steady("plan"), "1", "same image, same mounted files; not looked at: ./pages (a directory)")
	h.edit("page.conf", "second")
	h.is(h.steady("plan"), "1", "changes content of ./page.conf changed")
	h.is(h.steady("deploy", "-y"), "2")
	h.edit("key.txt", "hunter3")
	h.is(h.steady("plan"), "2", "changes content of secret key changed")
	h.is(h.steady("deploy", "-y"), "3")

	h.is(h.steady("rollback"), "3", "web is not changed", "release 2 differs from release 3, which serves, in secret key only")
	h.deploy(4)
	h.edit("page.conf", "third")
	h.is(h.steady("rollback", "--to", "1", "web"), "1", "goes back without what it mounts: ./page.conf, secret key as now")
	h.env["GESALP_RELEASE"] = "1"
	h.is(h.steady("deploy", "-y"), "1", "unchanged") // it was created with the files of now
	h.edit("page.conf", "first")
	h.is(h.steady("plan"), "1", "content of ./page.conf changed")
	h.is(h.steady("deploy", "-y"), "5")
	h.is(h.steady("rollback", "--to", "1", "web"), "5", "release 1 differs from release 5, which serves, in secret key only")

	h.stop()
	forget(t, filepath.Join(h.state, "steady.db"))
	h.boot()
	h.is(h.steady("deploy", "-y"), "5", "unchanged")
	h.edit("page.conf", "fourth")
	h.is(h.steady("deploy", "-y"), "6")
}

// forget makes the store one of a steady that did not look at files.
func forget(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE releases SET spec = json_remove(spec, '$.contents', '$.original')"); err != nil {
		t.Fatal(err)
	}
}
