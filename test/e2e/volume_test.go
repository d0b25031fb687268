package e2e

import (
	"archive/tar"
	"bytes"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// declaring is the image of a server that declares VOLUME /data.
func declaring(t *testing.T) string {
	t.Helper()
	const tag = "gesalp-volume:v1"
	cmd := exec.Command("docker", "build", "-q", "-t", tag, "-")
	cmd.Stdin = strings.NewReader("FROM gesalp-api:v1\nVOLUME /data\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %v\n%s", err, out)
	}
	return tag
}

// volumes names all volumes of the Engine.
func volumes(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("docker", "volume", "ls", "-q").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// since are the volumes that are not among those of before.
func since(t *testing.T, before []string) []string {
	return slices.DeleteFunc(volumes(t), func(v string) bool { return slices.Contains(before, v) })
}

// writeMark writes text to /data/mark of a container.
func writeMark(t *testing.T, container, text string) {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "mark", Mode: 0o644, Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	cmd := exec.Command("docker", "cp", "-", container+":/data")
	cmd.Stdin = &archive
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker cp to %s: %v\n%s", container, err, out)
	}
}

// mark is what /data/mark of a container holds, and the volume that it lies in.
func mark(t *testing.T, container string) (text, volume string) {
	t.Helper()
	if out, err := exec.Command("docker", "cp", container+":/data/mark", "-").Output(); err == nil {
		r := tar.NewReader(bytes.NewReader(out))
		if _, err := r.Next(); err == nil {
			b, _ := io.ReadAll(r)
			text = string(b)
		}
	}
	out, err := exec.Command("docker", "inspect", "-f", `{{range .Mounts}}{{if eq .Destination "/data"}}{{.Name}}{{end}}{{end}}`, container).Output()
	if err != nil {
		t.Fatalf("inspect %s: %v", container, err)
	}
	return text, strings.TrimSpace(string(out))
}

// keeps checks what a container finds in its volume, and that it is that volume.
func keeps(t *testing.T, when, container, text, volume string) {
	t.Helper()
	if got, at := mark(t, container); got != text || volume != "" && at != volume {
		t.Errorf("%s: %s finds %q in volume %.12s, want %q in %.12s", when, container, got, at, text, volume)
	}
}

// An image with VOLUME /data, under docker compose and then under everything that
// replaces a container: the data is what it was, in the volume in which it was, and
// nobody is lost.
func TestAnonymousVolume_IsCarriedOverByEverythingButDownWithVolumes(t *testing.T) {
	before := volumes(t)
	h := swiftHost(t, "e2e-anonymous")
	small(h, "")
	h.env["WEB_IMAGE"] = declaring(t)
	h.compose("up", "-d")
	answers(t, h.api())
	web := h.project + "-web-"
	writeMark(t, web+"1", "by Compose")
	_, volume := mark(t, web+"1")

	plan := h.with(map[string]string{"GESALP_RELEASE": "2"}, "plan")
	if !strings.Contains(plan.out, "/data: anonymous volume "+volume[:12]+", carried over") || !strings.Contains(plan.out, "one replica writes to the anonymous volume /data") {
		t.Errorf("the plan does not say what becomes of the volume:\n%s%s", plan.out, plan.err)
	}
	h.deploy(1)
	keeps(t, "taken over", web+"1-1", "by Compose", volume)

	l := visitors(h)
	h.deploy(2)
	keeps(t, "the next release", web+"2-1", "by Compose", volume)
	writeMark(t, web+"2-1", "by release 2")
	if r := h.steady("rollback", "web"); r.code != 0 {
		t.Fatalf("rollback: exit %d\n%s%s", r.code, r.out, r.err)
	}
	keeps(t, "rolled back: the data as it is now", web+"1-1", "by release 2", volume)
	if r := h.with(map[string]string{"GESALP_RELEASE": "3", "EXIT_AT_START": "1"}, "deploy", "-y"); r.code != 3 {
		t.Errorf("a bad release: exit %d, want 3\n%s%s", r.code, r.out, r.err)
	}
	keeps(t, "after an undo", web+"1-1", "by release 2", volume)
	shutBy(h, 4)
	h.boot()
	h.eventually("the rollout is over", func() bool { return h.steady("watch", "5").code == 3 })
	keeps(t, "after a crash of the daemon", web+"1-1", "by release 2", volume)
	if r := l.Stop(); !r.Clean() {
		t.Errorf("lost %d, cut %d, unsent %d\n%s", r.Lost(), r.Cut(), r.Unsent(), r)
	}

	h.env["WEB_IMAGE"] = "gesalp-api:v1"
	h.deploy(5)
	if _, at := mark(t, web+"5-1"); at != "" {
		t.Errorf("the image declares no volume, and %s is mounted", at)
	}
	h.env["WEB_IMAGE"] = declaring(t)
	h.deploy(6)
	keeps(t, "declared again", web+"6-1", "by release 2", volume)

	if r := h.steady("down"); r.code != 0 {
		t.Fatalf("down: exit %d\n%s", r.code, r.err)
	}
	h.deploy(7)
	keeps(t, "down and deployed again", web+"7-1", "by release 2", volume)
	if r := h.steady("down", "--volumes"); r.code != 0 {
		t.Fatalf("down: exit %d\n%s", r.code, r.err)
	}
	if left := since(t, before); len(left) > 0 {
		t.Errorf("down --volumes leaves %v", left)
	}
}

// Each replica has a volume of its own, which the next of its number finds, also after
// there were fewer for a while.
func TestAnonymousVolume_EachReplicaHasItsOwn(t *testing.T) {
	before := volumes(t)
	h := swiftHost(t, "e2e-anonymous-two")
	small(h, "    deploy: { replicas: 2 }\n")
	h.env["WEB_IMAGE"] = declaring(t)
	h.deploy(1)
	web := h.project + "-web-"
	writeMark(t, web+"1-1", "one")
	writeMark(t, web+"1-2", "two")
	_, first := mark(t, web+"1-1")
	_, second := mark(t, web+"1-2")
	if first == second || first == "" {
		t.Fatalf("volumes %q and %q", first, second)
	}
	l := visitors(h)
	h.deploy(2)
	if r := l.Stop(); !r.Clean() {
		t.Errorf("lost %d, cut %d, unsent %d\n%s", r.Lost(), r.Cut(), r.Unsent(), r)
	}
	keeps(t, "the next release", web+"2-1", "one", first)
	keeps(t, "the next release", web+"2-2", "two", second)
	for _, n := range []string{"1", "2"} {
		if r := h.steady("scale", "web="+n); r.code != 0 {
			t.Fatalf("scale: exit %d\n%s%s", r.code, r.out, r.err)
		}
	}
	keeps(t, "one replica fewer, and again as many", web+"2-1", "one", first)
	keeps(t, "one replica fewer, and again as many", web+"2-2", "two", second)
	if out, err := exec.Command("docker", "rm", "-f", "-v", web+"2-2").CombinedOutput(); err != nil {
		t.Fatalf("docker rm: %v\n%s", err, out)
	}
	h.deploy(3)
	keeps(t, "removed by hand, with its volumes", web+"3-2", "two", second)

	if got := since(t, before); len(got) != 2 {
		t.Errorf("volumes %v, want two", got)
	}
	if r := h.steady("down", "--volumes"); r.code != 0 {
		t.Fatalf("down: exit %d\n%s", r.code, r.err)
	}
	if left := since(t, before); len(left) > 0 {
		t.Errorf("down --volumes leaves %v", left)
	}
}

// What the file calls ephemeral is new with each replica, goes with it, and does not
// keep old and new from running side by side.
func TestAnonymousVolume_EphemeralOnesAreNewEachTime(t *testing.T) {
	before := volumes(t)
	h := swiftHost(t, "e2e-ephemeral")
	small(h, "      ephemeral_volumes: true\n")
	h.env["WEB_IMAGE"] = declaring(t)
	h.deploy(1)
	writeMark(t, h.project+"-web-1-1", "a cache")
	if plan := h.with(map[string]string{"GESALP_RELEASE": "2"}, "plan"); !strings.Contains(plan.out, "start-first") {
		t.Errorf("old and new do not overlap:\n%s%s", plan.out, plan.err)
	}
	h.deploy(2)
	keeps(t, "the next release", h.project+"-web-2-1", "", "")
	if got := since(t, before); len(got) != 1 {
		t.Errorf("volumes %v, want the new one alone", got)
	}
	if r := h.steady("down"); r.code != 0 {
		t.Fatalf("down: exit %d\n%s", r.code, r.err)
	}
	if left := since(t, before); len(left) > 0 {
		t.Errorf("down leaves %v", left)
	}
}
