package compose_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
)

const mounting = `services:
  web:
    image: nginx
    volumes:
      - ./nginx.conf:/etc/nginx/nginx.conf:ro
      - ./settings.yml:/settings.yml
      - ./conf.d:/etc/nginx/conf.d
      - ./app.db:/data/app.db
      - ./acme.json:/acme.json
      - ./pipe:/pipe:ro
      - ./large.mmdb:/large.mmdb:ro
      - ./gone.txt:/gone.txt:ro
      - /etc/localtime:/etc/localtime:ro
      - named:/named
    configs: [app, {source: app, target: /app.conf}]
    secrets: [key]
configs: { app: { file: ./app.conf } }
secrets: { key: { file: ./key } }
volumes: { named: {} }
`

// mounts is a directory with all that the file mounts.
func mounts(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"compose.yaml": mounting, "nginx.conf": "a", "settings.yml": "a", "conf.d/x": "a", "app.db": "a", "acme.json": "a", "app.conf": "a", "key": "a",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "large.mmdb"))
	if err == nil {
		err = f.Truncate(5 << 20)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func contents(t *testing.T, dir string) []steady.Content {
	t.Helper()
	p, err := compose.Load(t.Context(), compose.Options{WorkingDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return p.Specs[0].Contents
}

// sumOfA is sha256 of "a".
const sumOfA = "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"

func TestLoad_LooksAtMountedFiles(t *testing.T) {
	dir := mounts(t)
	var got []string
	for _, c := range contents(t, dir) {
		got = append(got, fmt.Sprintf("%s %s %s%s", c.Name(dir), c.Target, strings.Replace(c.Sum, sumOfA, "a", 1), c.Unseen))
	}
	want := []string{
		"config app /app a", "config app /app.conf a", "./conf.d /etc/nginx/conf.d a directory", "./nginx.conf /etc/nginx/nginx.conf a",
		"./gone.txt /gone.txt not there", "./large.mmdb /large.mmdb larger than 4 MiB", "./pipe /pipe no regular file",
		"secret key /run/secrets/key a", "./settings.yml /settings.yml a",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLoad_AnotherContentIsAnotherRelease(t *testing.T) {
	for _, name := range []string{"nginx.conf", "settings.yml", "app.conf", "key"} {
		dir := mounts(t)
		before := contents(t, dir)
		if err := os.WriteFile(filepath.Join(dir, name), []byte("b"), 0o644); err != nil {
			t.Fatal(err)
		}
		if len(steady.Differing(before, contents(t, dir))) == 0 {
			t.Errorf("%s: an edit is not seen", name)
		}
	}
	for _, name := range []string{"conf.d/x", "app.db", "acme.json"} { // written by the service, or in a directory
		dir := mounts(t)
		before := contents(t, dir)
		if err := os.WriteFile(filepath.Join(dir, name), []byte("b"), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := steady.Differing(before, contents(t, dir)); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}
