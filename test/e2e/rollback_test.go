package e2e

import (
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"gesalpai.ch/steady/test/load"
)

// images builds distinct images of the app under the names given.
func images(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		dir := t.TempDir()
		dockerfile(t, dir, name)
		docker(t, "build", "-q", "-t", name, dir)
	}
}

// unmark removes the images that dockerfile has marked so. To be called before
// there are containers of them, so that it comes after those are gone.
func unmark(t *testing.T, marks ...string) {
	t.Cleanup(func() {
		for _, mark := range marks {
			out, _ := exec.Command("docker", "images", "-q", "--no-trunc", "--filter", "label=mark="+mark).Output()
			for _, id := range strings.Fields(string(out)) {
				docker(t, "rmi", "-f", id)
			}
		}
	})
}

func dockerfile(t *testing.T, dir, mark string) {
	t.Helper()
	text := fmt.Sprintf("FROM gesalp-api:v1\nLABEL mark=%q\n", mark)
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func imageID(t *testing.T, ref string) string {
	t.Helper()
	out, err := exec.Command("docker", "image", "inspect", "--format", "{{.Id}}", ref).Output()
	if err != nil {
		t.Fatalf("inspect image %s: %v", ref, err)
	}
	return strings.TrimSpace(string(out))
}

// prune removes an image as docker image prune would: it must be in no use.
func prune(t *testing.T, id string) {
	t.Helper()
	docker(t, "rmi", "-f", id)
	if exec.Command("docker", "image", "inspect", id).Run() == nil {
		t.Fatalf("image %s is still there", id)
	}
}

func TestRollback_APrunedImageIsPulledAgainByItsDigest(t *testing.T) {
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer srv.Close()
	repo := strings.TrimPrefix(srv.URL, "http://") + "/hma/web"
	unmark(t, repo+":1", repo+":2")
	images(t, repo+":1", repo+":2")
	first := imageID(t, repo+":1")
	for _, tag := range []string{":1", ":2"} {
		docker(t, "push", "-q", repo+tag)
		docker(t, "rmi", "-f", repo+tag)
	}
	h := newHost(t, "e2e-more-back")
	small(h, "")
	h.env["WEB_IMAGE"] = repo + ":1"
	h.deploy(1)
	h.env["WEB_IMAGE"] = repo + ":2"
	h.deploy(2)
	prune(t, first)
	l := load.Start(load.Options{URL: h.api(), Rate: 100, Duration: time.Minute, WebSockets: -1, SSEs: -1})
	r := h.steady("rollback", "web", "--progress", "plain")
	if r.code != 0 || !strings.Contains(r.err+r.out, repo+"@sha256:") {
		t.Fatalf("rollback: exit %d\n%s%s", r.code, r.out, r.err)
	}
	if rep := l.Stop(); !rep.Clean() {
		t.Errorf("lost under load:\n%s", rep)
	}
	h.serves(1)
	if got := imageID(t, first); got != first {
		t.Errorf("image %s", got)
	}

	second := imageID(t, repo+":2")
	prune(t, second)
	srv.Close()
	refused(t, h.steady("rollback", "--to", "2"), 3, "e2e-more-back/web release 2 needs image "+repo+":2", repo+"@sha256:", "release 1 is still serving", "docker pull")
	h.serves(1)
}

func TestRollback_AnImageBuiltHereIsBuiltAnewOnlyWhenAsked(t *testing.T) {
	unmark(t, "hma one", "hma two", "hma one again", "hma four")
	h := newHost(t, "e2e-more-built")
	small(h, "    build: { context: ./ctx }\n")
	ctx := filepath.Join(h.dir, "ctx")
	if err := os.Mkdir(ctx, 0o755); err != nil {
		t.Fatal(err)
	}
	const name = "e2e-more-built-web:latest"
	h.env["WEB_IMAGE"] = name
	dockerfile(t, ctx, "hma one")
	h.deploy(1)
	old := imageID(t, name)
	dockerfile(t, ctx, "hma two")
	h.deploy(2, "--build")
	prune(t, old)

	refused(t, h.steady("rollback"), 3, "e2e-more-built/web release 1 needs image "+name+" ("+old+", built 20", ctx+" as it is now", "steady rollback web --to 1 --rebuild")
	h.serves(2)
	refused(t, h.steady("rollback", "--to", "7"), 2, "e2e-more-built has no release 7; its releases are 2, 1", "steady releases")
	h.serves(2)
	dockerfile(t, ctx, "hma one again")
	if r := h.steady("rollback", "--rebuild"); r.code != 0 {
		t.Fatalf("rollback --rebuild: exit %d\n%s%s", r.code, r.out, r.err)
	}
	if got, want := h.containers(), h.project+"-web-3-1"; len(got) != 1 || got[0] != want || answers(t, h.api()) != "1" {
		t.Errorf("containers %v, want %s with what release 1 said", got, want)
	}
	now := imageID(t, name)
	dockerfile(t, ctx, "hma four")
	h.deploy(4, "--build")
	prune(t, now)
	if err := os.RemoveAll(ctx); err != nil {
		t.Fatal(err)
	}
	refused(t, h.steady("rollback", "web", "--to", "3", "--rebuild"), 3, "release 3 needs image", "neither is its build context "+ctx)
	if r := h.steady("help", "nonsense"); r.code != 2 || !strings.Contains(r.err, "nonsense") {
		t.Errorf("help nonsense: exit %d\n%s", r.code, r.err)
	}
}
