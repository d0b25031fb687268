package compose_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
)

// write makes files in a new directory.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// refuses checks that a file is refused, in these words.
func refuses(t *testing.T, text, want string) {
	t.Helper()
	dir := write(t, map[string]string{"compose.yaml": text})
	_, err := compose.Load(t.Context(), compose.Options{WorkingDir: dir})
	if !errors.Is(err, steady.ErrCompose) || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %q", text, err, want)
	}
}

func loadText(t *testing.T, text string) compose.Project {
	t.Helper()
	p, err := compose.Load(t.Context(), compose.Options{WorkingDir: write(t, map[string]string{"compose.yaml": text})})
	if err != nil {
		t.Fatalf("Load: %v\n%s", err, text)
	}
	return p
}

func services(p compose.Project) []string {
	var out []string
	for _, s := range p.Specs {
		out = append(out, s.Service)
	}
	return out
}

const one = "services: {web: {image: x}}"

func TestLoad_FindsTheFilesAsComposeDoes(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		o     compose.Options
		in    string // working directory, below the first
		name  string
		found []string
	}{
		"compose.yaml before docker-compose.yml": {files: map[string]string{"compose.yaml": one, "docker-compose.yml": one},
			name: "shop", found: []string{"compose.yaml"}},
		"override": {files: map[string]string{"docker-compose.yml": one, "docker-compose.override.yml": one},
			name: "shop", found: []string{"docker-compose.yml", "docker-compose.override.yml"}},
		"parents": {files: map[string]string{"compose.yml": one, "a/b/x": ""}, in: "a/b",
			name: "shop", found: []string{"compose.yml"}},
		"COMPOSE_FILE": {files: map[string]string{"compose.yaml": one, "a.yaml": one, "b.yaml": one},
			o: compose.Options{Env: []string{"COMPOSE_FILE=a.yaml:b.yaml"}}, name: "shop", found: []string{"a.yaml", "b.yaml"}},
		"COMPOSE_FILE in .env, own separator": {files: map[string]string{".env": "COMPOSE_FILE=a.yaml;b.yaml\nCOMPOSE_PATH_SEPARATOR=;", "a.yaml": one, "b.yaml": one},
			name: "shop", found: []string{"a.yaml", "b.yaml"}},
		"--file wins": {files: map[string]string{"compose.yaml": one, "a.yaml": one},
			o: compose.Options{Files: []string{"a.yaml"}, Env: []string{"COMPOSE_FILE=compose.yaml"}}, name: "shop", found: []string{"a.yaml"}},
		"directory of the first file": {files: map[string]string{"sub/a.yaml": one, "b.yaml": one},
			o: compose.Options{Files: []string{"sub/a.yaml", "b.yaml"}}, name: "sub", found: []string{"sub/a.yaml", "b.yaml"}},
		"--project-directory": {files: map[string]string{"a.yaml": one, "sub/x": ""},
			o: compose.Options{Files: []string{"a.yaml"}, ProjectDir: "sub"}, name: "sub", found: []string{"a.yaml"}},
		"name:": {files: map[string]string{"compose.yaml": "name: mine\n" + one}, name: "mine", found: []string{"compose.yaml"}},
		"COMPOSE_PROJECT_NAME": {files: map[string]string{"compose.yaml": "name: mine\n" + one},
			o: compose.Options{Env: []string{"COMPOSE_PROJECT_NAME=theirs"}}, name: "theirs", found: []string{"compose.yaml"}},
		"--project-name": {files: map[string]string{"compose.yaml": "name: mine\n" + one},
			o: compose.Options{ProjectName: "given", Env: []string{"COMPOSE_PROJECT_NAME=theirs"}}, name: "given", found: []string{"compose.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, c.files)
			c.o.WorkingDir = filepath.Join(dir, c.in)
			p, err := compose.Load(t.Context(), c.o)
			if err != nil {
				t.Fatal(err)
			}
			if p.Name != c.name {
				t.Errorf("project is %q, want %q", p.Name, c.name)
			}
			var want []string
			for _, f := range c.found {
				want = append(want, filepath.Join(dir, f))
			}
			if diff := cmp.Diff(want, p.Files); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoad_TakesVariablesFromTheEnvironmentBeforeEnvFiles(t *testing.T) {
	dir := write(t, map[string]string{
		"compose.yaml": "services: {web: {image: \"x:${TAG}-${OTHER:-none}\"}}",
		".env":         "TAG=dotenv\nOTHER=dotenv",
		"a.env":        "TAG=a\nOTHER=a",
	})
	for want, o := range map[string]compose.Options{
		"x:dotenv-dotenv": {},
		"x:env-dotenv":    {Env: []string{"TAG=env"}},
		"x:a-a":           {EnvFiles: []string{"a.env"}},
		"x:env-a":         {Env: []string{"TAG=env", "COMPOSE_ENV_FILES=a.env"}},
		"x:env-none":      {Env: []string{"TAG=env", "COMPOSE_DISABLE_ENV_FILE=1"}},
	} {
		o.WorkingDir = dir
		p, err := compose.Load(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Specs[0].Image; got != want {
			t.Errorf("image is %s, want %s", got, want)
		}
	}
}

func TestLoad_DoesNotReadTheProcessEnvironment(t *testing.T) {
	t.Setenv("TAG", "leaked")
	p := loadText(t, `services: {web: {image: "x:${TAG:-clean}", environment: [TAG]}}`)
	if got := p.Specs[0].Image; got != "x:clean" {
		t.Errorf("image is %s, want x:clean", got)
	}
	if strings.Contains(string(p.Specs[0].Container), "leaked") {
		t.Error("the container has the process's variable")
	}
}

func TestLoad_EnablesServicesByProfile(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": `
services:
  web: {image: x}
  debug: {image: x, profiles: [debug]}
  tools: {image: x, profiles: [tools]}
`})
	for want, o := range map[string]compose.Options{
		"web":             {},
		"debug web":       {Profiles: []string{"debug"}},
		"tools web":       {Env: []string{"COMPOSE_PROFILES=tools"}},
		"debug tools web": {Profiles: []string{"tools"}, Services: []string{"debug"}},
	} {
		o.WorkingDir = dir
		p, err := compose.Load(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(services(p), " "); got != want {
			t.Errorf("services are %s, want %s", got, want)
		}
	}
}

func TestLoad_ListsAServiceBehindWhatItNeeds(t *testing.T) {
	p, _ := load(t, "depends_on")
	names := services(p)
	for _, s := range p.Specs {
		for _, d := range s.DependsOn {
			if slices.Index(names, d.Service) > slices.Index(names, s.Service) {
				t.Errorf("%s stands before %s in %v", s.Service, d.Service, names)
			}
		}
	}
}

func TestLoad_RefusesInComposesOwnWords(t *testing.T) {
	for name, c := range map[string]struct {
		text     string
		is       error
		contains []string
	}{
		"not yaml":                 {"services:\n  web:\n    image: x\n   ports: [", steady.ErrCompose, []string{"compose.yaml:4: ", "did not find expected key"}},
		"unknown attribute":        {"services:\n  web:\n    imagee: x", steady.ErrCompose, []string{"compose.yaml:3: ", "services.web.imagee"}},
		"wrong type":               {"services:\n  web:\n    image: x\n    ports: 80", steady.ErrCompose, []string{"compose.yaml:4: ", "services.web.ports"}},
		"missing variable":         {"services: {web: {image: \"x:${TAG:?say which}\"}}", steady.ErrCompose, []string{"TAG", "say which"}},
		"missing env_file":         {"services: {web: {image: x, env_file: gone.env}}", steady.ErrCompose, []string{"gone.env", "not found"}},
		"no image":                 {"services: {web: {command: x}}", steady.ErrCompose, []string{"web", "image"}},
		"unknown dependency":       {"services: {web: {image: x, depends_on: [gone]}}", steady.ErrCompose, []string{"web", "gone"}},
		"cycle":                    {"services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}", steady.ErrCompose, []string{"a", "b", "cycle"}},
		"undefined network":        {"services: {web: {image: x, networks: [gone]}}", steady.ErrCompose, []string{"web", "gone"}},
		"undefined volume":         {"services: {web: {image: x, volumes: [\"gone:/x\"]}}", steady.ErrCompose, []string{"web", "gone"}},
		"missing include":          {"include: [gone.yaml]\n" + one, steady.ErrCompose, []string{"gone.yaml"}},
		"container name twice":     {"services: {a: {image: x, container_name: nn}, b: {image: x, container_name: nn}}", steady.ErrCompose, []string{"nn"}},
		"container name, scale":    {"services: {a: {image: x, container_name: nn, scale: 2}}", steady.ErrCompose, []string{"a", "container_name", "unique"}},
		"container name, replicas": {"services: {a: {image: x, container_name: nn, deploy: {replicas: 2}}}", steady.ErrCompose, []string{"a", "container_name", "unique"}},
		"external secret":          {"services: {web: {image: x, secrets: [s]}}\nsecrets: {s: {external: true}}", steady.ErrCompose, []string{"external secret"}},
		"secret from env":          {"services: {web: {image: x, secrets: [s]}}\nsecrets: {s: {environment: PATH}}", steady.ErrUnsupported, []string{"compose.yaml:2: secrets.s ", "web"}},
		"config by content":        {"services: {web: {image: x, configs: [c]}}\nconfigs: {c: {content: hi}}", steady.ErrUnsupported, []string{"compose.yaml:2: configs.c ", "web"}},
		"build secret":             {"services: {web: {build: {context: ., secrets: [s]}}}\nsecrets: {s: {environment: PATH}}", steady.ErrUnsupported, []string{"compose.yaml:2: secrets.s ", "web"}},
		"hook":                     {"services: {web: {image: x, post_start: [{command: x}]}}", steady.ErrUnsupported, []string{"compose.yaml:1: services.web.post_start"}},
		"api socket":               {"services: {web: {image: x, use_api_socket: true}}", steady.ErrUnsupported, []string{"use_api_socket"}},
		"no services":              {"networks: {a: {}}", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"compose.yaml": c.text})
			_, err := compose.Load(t.Context(), compose.Options{WorkingDir: dir, Env: []string{"PATH=/bin"}})
			if c.is == nil {
				if err != nil {
					t.Fatalf("Load: %v", err)
				}
				return
			}
			if !errors.Is(err, c.is) {
				t.Fatalf("error is %v, want %v", err, c.is)
			}
			for _, part := range c.contains {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
			if steady.AsError(err).Hint == "" {
				t.Errorf("error %q has no hint", err)
			}
		})
	}
}

func TestLoad_RefusesWhatIsNotThere(t *testing.T) {
	dir := write(t, map[string]string{"compose.yaml": one})
	for name, c := range map[string]struct {
		o  compose.Options
		is error
	}{
		"no file":      {compose.Options{WorkingDir: t.TempDir()}, steady.ErrCompose},
		"file gone":    {compose.Options{WorkingDir: dir, Files: []string{"gone.yaml"}}, steady.ErrCompose},
		"env file":     {compose.Options{WorkingDir: dir, EnvFiles: []string{"gone.env"}}, steady.ErrCompose},
		"project name": {compose.Options{WorkingDir: dir, ProjectName: "Not Valid"}, steady.ErrCompose},
		"service":      {compose.Options{WorkingDir: dir, Services: []string{"gone"}}, steady.ErrNoService},
	} {
		if _, err := compose.Load(t.Context(), c.o); !errors.Is(err, c.is) {
			t.Errorf("%s: error is %v, want %v", name, err, c.is)
		}
	}
}

// TestLoad_AsksNoEngine gives it an Engine to ask.
func TestLoad_AsksNoEngine(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			c.Close()
			close(asked)
		}
	}()
	t.Setenv("DOCKER_HOST", "unix://"+socket)
	for _, name := range []string{"networks", "external", "mounts", "build", "shared_namespaces"} {
		load(t, name)
	}
	l.Close()
	<-done
	select {
	case <-asked:
		t.Error("it asked the Engine")
	default:
	}
}

func TestLoad_DoesNotMindABrokenDockerSetup(t *testing.T) {
	t.Setenv("DOCKER_HOST", "")
	t.Setenv("DOCKER_CONTEXT", "gone")
	load(t, "minimal")
	t.Setenv("DOCKER_HOST", "nonsense://%%")
	load(t, "minimal")
	t.Setenv("DOCKER_TLS_VERIFY", "1")
	t.Setenv("DOCKER_CERT_PATH", "/gone")
	load(t, "minimal")
}

func TestLoad_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := write(t, map[string]string{"compose.yaml": one})
	if _, err := compose.Load(ctx, compose.Options{WorkingDir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want context.Canceled", err)
	}
}

func TestVersion_IsThatOfTheModule(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/docker/compose/v5").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := `"com.docker.compose.version":"` + strings.TrimPrefix(strings.TrimSpace(string(out)), "v") + `"`
	if got := string(loadText(t, one).Specs[0].Container); !strings.Contains(got, want) {
		t.Errorf("the container is not labelled %s", want)
	}
}

func TestLoad_ForgetsAnOptionalDependencyThatIsNotEnabled(t *testing.T) {
	p := loadText(t, `
services:
  web: {image: x, depends_on: {debug: {condition: service_started, required: false}}}
  debug: {image: x, profiles: [debug]}
`)
	if len(p.Specs) != 1 || len(p.Specs[0].DependsOn) != 0 {
		t.Errorf("web depends on %v", p.Specs[0].DependsOn)
	}
}
