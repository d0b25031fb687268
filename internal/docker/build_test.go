package docker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/docker"
	"gesalpai.ch/steady/internal/docker/runtimetest"
)

// builders build in each way: with BuildKit, and from where there is none.
func builders(t *testing.T) map[string]*bench {
	t.Helper()
	socket := withoutBuildKit(t)
	kit, old := newBench(t), newBench(t)
	eng, err := docker.New(docker.Options{Host: "unix://" + socket, ConfigDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	old.Engine.Close()
	old.Engine = eng
	return map[string]*bench{"buildkit": kit, "classic": old}
}

// inContext makes a build context with the test program in it.
func inContext(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Link(appBinary, filepath.Join(dir, "app")); err != nil {
		copyFile(t, appBinary, filepath.Join(dir, "app"))
	}
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	src, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	if _, err := io.Copy(dst, src); err != nil {
		t.Fatal(err)
	}
}

// build builds and drops the image after the test.
func (b *bench) build(t *testing.T, build steady.Build) (steady.Image, []string, error) {
	t.Helper()
	ref := fmt.Sprintf("steady-docker-built:%s", strings.TrimPrefix(b.project, "steady-docker-"))
	t.Cleanup(func() {
		b.sweep(t)
		for _, tag := range slices.Concat([]string{ref}, build.Tags) {
			_, _ = b.api.ImageRemove(context.Background(), tag, client.ImageRemoveOptions{Force: true, PruneChildren: true})
		}
	})
	var said []string
	spec := steady.Spec{Project: b.project, Service: "api", Image: ref, Build: &build}
	img, err := b.Build(t.Context(), spec, func(s string) { said = append(said, s) })
	return img, said, err
}

// content reads a file out of an image.
func (b *bench) content(t *testing.T, image, path string) (string, bool) {
	t.Helper()
	c := b.started(t, b.releaseOf(t, runtimetest.Spec(b.project, "reader", image), 1))
	code, out, err := b.Exec(t.Context(), c.Name, []string{"/app", "read", path})
	if err != nil {
		t.Fatal(err)
	}
	return out, code == 0
}

const twoStages = `FROM scratch AS base
ARG GREETING=none
COPY app /app
COPY files /files
LABEL greeting=${GREETING}
ENTRYPOINT ["/app"]
CMD ["serve"]

FROM base AS broken
RUN ["/app", "fail"]
`

func TestBuild_TakesArgsTargetLabelsTagsAndIgnores(t *testing.T) {
	for name, b := range builders(t) {
		t.Run(name, func(t *testing.T) {
			dir := inContext(t, map[string]string{"Dockerfile": twoStages, ".dockerignore": "files/secret\n"})
			if err := os.Mkdir(filepath.Join(dir, "files"), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "files", "open"), "to all")
			write(t, filepath.Join(dir, "files", "secret"), "to none")
			also := "steady-docker-also:" + strings.TrimPrefix(b.project, "steady-docker-")
			img, said, err := b.build(t, steady.Build{Context: dir, Target: "base", Args: map[string]string{"GREETING": "hello"},
				Labels: map[string]string{"by": "steady"}, Tags: []string{also}})
			if err != nil {
				t.Fatal(err)
			}
			got, err := b.api.ImageInspect(t.Context(), also)
			if err != nil || got.ID != img.ID || img.ID == "" {
				t.Fatalf("the further tag is image %s, want %s (%v)", got.ID, img.ID, err)
			}
			if l := got.Config.Labels; l["greeting"] != "hello" || l["by"] != "steady" {
				t.Errorf("labels %v", l)
			}
			if text, ok := b.content(t, img.Ref, "/files/open"); !ok || text != "to all" {
				t.Errorf("file within: %q", text)
			}
			if text, ok := b.content(t, img.Ref, "/files/secret"); ok {
				t.Errorf("what .dockerignore leaves out is in the image: %q", text)
			}
			if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "COPY files /files") }) {
				t.Errorf("said %q", said)
			}
		})
	}
}

func TestBuild_FailureNamesTheStepAndEndsWithItsOutput(t *testing.T) {
	for name, b := range builders(t) {
		t.Run(name, func(t *testing.T) {
			dir := inContext(t, map[string]string{"Dockerfile": twoStages})
			if err := os.Mkdir(filepath.Join(dir, "files"), 0o755); err != nil {
				t.Fatal(err)
			}
			_, _, err := b.build(t, steady.Build{Context: dir, NoCache: true})
			is(t, err, steady.ErrBuild)
			var e *steady.Error
			errors.As(err, &e)
			if !strings.Contains(e.Text, `RUN ["/app", "fail"]`) && !strings.Contains(e.Text, "RUN /app fail") {
				t.Errorf("error does not name the step: %s", e.Text)
			}
			if !slices.ContainsFunc(e.Tail, func(l string) bool { return strings.Contains(l, "this step cannot work") }) {
				t.Errorf("tail %q", e.Tail)
			}
			if strings.Contains(e.Text, "\n") || len(e.Text) > 400 {
				t.Errorf("no sentence: %q", e.Text)
			}
		})
	}
}

func TestBuild_DockerfileMayStandOutsideOrInTheComposeFile(t *testing.T) {
	const text = "FROM scratch\nCOPY app /app\nCOPY here /here\nENTRYPOINT [\"/app\"]\nCMD [\"serve\"]\n"
	for name, b := range builders(t) {
		t.Run(name, func(t *testing.T) {
			dir := inContext(t, map[string]string{"here": "it is"})
			outside := filepath.Join(t.TempDir(), "Else.Dockerfile")
			write(t, outside, text)
			one, _, err := b.build(t, steady.Build{Context: dir, Dockerfile: outside})
			if err != nil {
				t.Fatal(err)
			}
			if text, _ := b.content(t, one.Ref, "/here"); text != "it is" {
				t.Errorf("file within: %q", text)
			}
			if _, _, err := b.build(t, steady.Build{Context: dir, DockerfileInline: text}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBuild_GivesSecretsToBuildKit(t *testing.T) {
	b := newBench(t)
	secret := filepath.Join(t.TempDir(), "token")
	write(t, secret, "hush")
	dir := inContext(t, map[string]string{"Dockerfile": `FROM scratch
COPY app /app
RUN --mount=type=secret,id=token,required=true ["/app", "read", "/run/secrets/token"]
`})
	_, said, err := b.build(t, steady.Build{Context: dir, NoCache: true, Secrets: map[string]string{"token": secret}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(said, "hush") {
		t.Errorf("the secret was not there: %q", said)
	}
}

func TestBuild_FurtherContextsNeedEngine23(t *testing.T) {
	b := newBench(t)
	other := contextOf(t, "")
	write(t, filepath.Join(other, "there"), "from elsewhere")
	dir := inContext(t, map[string]string{"Dockerfile": `FROM scratch
COPY app /app
COPY --from=elsewhere there /there
ENTRYPOINT ["/app"]
CMD ["serve"]
`})
	img, _, err := b.build(t, steady.Build{Context: dir, Contexts: map[string]string{"elsewhere": other}})
	if _, api, _ := b.Version(t.Context()); api < "1.42" {
		is(t, err, steady.ErrUnsupported)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := b.content(t, img.Ref, "/there"); text != "from elsewhere" {
		t.Errorf("file of the other context: %q", text)
	}
}

func TestBuild_SecretsWithoutBuildKitAreUnsupported(t *testing.T) {
	b := builders(t)["classic"]
	_, _, err := b.build(t, steady.Build{Context: contextOf(t, "FROM scratch\nCOPY Dockerfile /\n"), Secrets: map[string]string{"token": "/none"}})
	is(t, err, steady.ErrUnsupported)
}

func TestBuild_MissingContextOrDockerfileIsErrBuild(t *testing.T) {
	b := newBench(t)
	for _, build := range []steady.Build{{Context: "/nothing/here"}, {Context: t.TempDir()}} {
		_, _, err := b.build(t, build)
		is(t, err, steady.ErrBuild)
	}
}
