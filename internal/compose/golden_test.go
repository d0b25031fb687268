package compose_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gesalpai.ch/steady/internal/compose"
)

// update says whether -update was given. A library that the SDK links declares
// the same flag; then that one is ours too.
func update() bool { return flag.Lookup("update").Value.String() == "true" }

// TestMain keeps the user's Docker configuration, whose proxies Compose puts into
// every container, out of the captured calls.
func TestMain(m *testing.M) {
	if flag.Lookup("update") == nil {
		flag.Bool("update", false, "write the golden files anew")
	}
	flag.Parse()
	os.Exit(isolated(m))
}

func isolated(m *testing.M) int {
	dir, err := os.MkdirTemp("", "compose-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	os.Setenv("DOCKER_CONFIG", dir)
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// environment is what every golden file is loaded with.
var environment = []string{"HOME=/home/user", "PATH=/bin", "TAG=7.1", "FROM_HOST=from-host"}

// special says how a directory of testdata is loaded where its files alone are
// not enough.
var special = map[string]compose.Options{
	"profiles":      {Profiles: []string{"debug"}},
	"several_files": {Files: []string{"base.yaml", "deep/prod.yaml"}, EnvFiles: []string{"chosen.env"}, ProjectName: "given"},
}

func load(t *testing.T, name string) (compose.Project, string) {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	o := special[name]
	o.WorkingDir, o.Env = dir, environment
	p, err := compose.Load(context.Background(), o)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return p, dir
}

func TestLoad_CapturesWhatComposeWouldCall(t *testing.T) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) < 25 {
		t.Fatalf("%d directories in testdata, want 25 at least", len(entries))
	}
	for _, e := range entries {
		t.Run(e.Name(), func(t *testing.T) {
			p, dir := load(t, e.Name())
			got := normal(t, p, dir)
			golden := filepath.Join(dir, "golden.json")
			if update() {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("run with -update if this is right (-want +got):\n%s", diff)
			}
		})
	}
}

// hashes depend on the directory of the checkout where a service has binds.
var hashes = regexp.MustCompile(`("com.docker.compose.config-hash": )"[0-9a-f]{64}"`)

// normal writes the project so that it is the same in every checkout.
func normal(t *testing.T, p compose.Project, dir string) string {
	t.Helper()
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	s := strings.ReplaceAll(string(b), dir, "$DIR")
	return hashes.ReplaceAllString(s, `$1"$$HASH"`) + "\n"
}

func TestLoad_IsTheSameEachTime(t *testing.T) {
	for _, name := range []string{"mounts", "limits", "depends_on", "env_file", "names"} {
		first, _ := load(t, name)
		for range 5 {
			again, _ := load(t, name)
			for i, s := range first.Specs {
				if s.Digest() != again.Specs[i].Digest() {
					t.Errorf("%s: %s has another digest:\n%s", name, s.Service, cmp.Diff(string(s.Container), string(again.Specs[i].Container)))
				}
			}
		}
	}
}
