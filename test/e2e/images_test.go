package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

const (
	movingTag  = "gesalp-kept:latest"
	prunedOnly = "steady-e2e-kept" // label of the images that the test may prune
)

// movedTag builds another image under one tag, which its last image loses.
func movedTag(t *testing.T, build int) (id string) {
	t.Helper()
	cmd := exec.Command("docker", "build", "-q", "-t", movingTag, "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("FROM gesalp-api:v1\nLABEL %s=%d\n", prunedOnly, build))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker build: %v", err)
	}
	return strings.TrimSpace(string(out))
}

func pruneImages(t *testing.T, flags ...string) {
	t.Helper()
	args := append([]string{"image", "prune", "-f", "--filter", "label=" + prunedOnly}, flags...)
	if out, err := exec.Command("docker", args...).CombinedOutput(); err != nil {
		t.Fatalf("docker %v: %v\n%s", args, err, out)
	}
}

// keptTags are the tags of a project's releases.
func keptTags(t *testing.T, project string) []string {
	t.Helper()
	out, err := exec.Command("docker", "images", "--format", "{{.Tag}}", "--filter", "reference=steady/release:"+project+".*").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

func hasImage(id string) bool { return exec.Command("docker", "image", "inspect", id).Run() == nil }

// An image that was built here and has lost its tag to the next build is what a rollback
// needs: docker image prune leaves it, and steady prune removes it when its time is over.
func TestImages_OfEarlierReleasesOutliveDockerImagePrune(t *testing.T) {
	h := newHost(t, "e2e-images")
	small(h, "")
	h.env["WEB_IMAGE"] = movingTag
	t.Cleanup(func() { pruneImages(t, "-a") })
	first := movedTag(t, 1)
	h.deploy(1)
	nobodys := movedTag(t, 2)
	second := movedTag(t, 3)
	h.deploy(2)
	pruneImages(t)
	if hasImage(nobodys) || !hasImage(first) {
		t.Fatalf("after docker image prune an image that nobody needs is there: %v; that of release 1: %v", hasImage(nobodys), hasImage(first))
	}
	if r := h.steady("rollback", "web"); r.code != 0 {
		t.Fatalf("rollback: exit %d\n%s%s", r.code, r.out, r.err)
	}
	h.serves(1)
	h.deploy(3)

	if r := h.with(map[string]string{"WEB_IMAGE": movingTag, "EXIT_AT_START": "1"}, "deploy", "-y"); r.code != 3 {
		t.Errorf("a bad release: exit %d, want 3\n%s%s", r.code, r.out, r.err)
	}
	if got := keptTags(t, h.project); len(got) != 3 || strings.Contains(fmt.Sprint(got), "web.4") {
		t.Errorf("kept %v: want releases 1 to 3, and not the one that never served", got)
	}

	if r := h.steady("prune", "--keep", "0", "--dry-run"); r.code != 0 || !strings.Contains(r.out, "release 1") || !hasImage(first) {
		t.Errorf("prune --dry-run: exit %d\n%s%s", r.code, r.out, r.err)
	}
	if r := h.steady("prune", "--keep", "0"); r.code != 0 || !strings.Contains(r.out, "1 image removed") || hasImage(first) || !hasImage(second) {
		t.Errorf("prune: exit %d, image of release 1 %v, of release 2 %v\n%s%s", r.code, hasImage(first), hasImage(second), r.out, r.err)
	}
	if r := h.steady("releases"); strings.Count(r.out, "gone") != 1 || strings.Count(r.out, "yes") < 2 {
		t.Errorf("releases do not tell whose image is gone:\n%s%s", r.out, r.err)
	}
	refused(t, h.steady("rollback", "web", "--to", "1"), 3, "which is not on this machine any more")
	h.serves(3)
	if r := h.steady("down", "--volumes"); r.code != 0 || len(keptTags(t, h.project)) > 0 {
		t.Errorf("down --volumes: exit %d, kept %v\n%s", r.code, keptTags(t, h.project), r.err)
	}
}
