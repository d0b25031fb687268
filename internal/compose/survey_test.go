package compose_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gesalpai.ch/steady"
	"gesalpai.ch/steady/internal/compose"
)

func look(t *testing.T, files map[string]string, names ...string) steady.Survey {
	t.Helper()
	s, err := compose.Look(t.Context(), compose.Options{WorkingDir: write(t, files), Files: names})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// at is where a path stands, "file:line:column" with the file's name alone.
func at(s steady.Survey, path string) string {
	p := s.Place(path)
	if p.File == "" {
		return ""
	}
	p.File = filepath.Base(p.File)
	return p.String()
}

func TestLook_KnowsWhereThingsStand(t *testing.T) {
	s := look(t, map[string]string{
		"compose.yaml": `
include:
  - sub/other.yaml
x-base: &base
  image: x
  environment: &env
    SHARED: a
services:
  web:
    <<: *base
    environment:
      <<: *env
      OWN: b
    ports:
      - "80:80"
      - "${P:-81}:81"
  list:
    extends: {file: base.yaml, service: base}
    image: y
    environment:
      - KEY=value
`,
		"over.yaml": `
services:
  web:
    image: z
    ports:
      - "82:82"
`,
		"sub/other.yaml": "services:\n  far:\n    image: x\n",
		"base.yaml":      "services:\n  base:\n    image: x\n    privileged: true\n",
	}, "compose.yaml", "over.yaml")
	for path, want := range map[string]string{
		"services.web.image":              "over.yaml:4:5",
		"services.web.environment.SHARED": "compose.yaml:7:5",
		"services.web.environment.OWN":    "compose.yaml:13:7",
		"services.web.ports[1]":           "compose.yaml:16:9",
		"services.web.ports[2]":           "over.yaml:6:9",
		"services.web.healthcheck.test":   "over.yaml:3:3", // not there: the nearest above
		"services.list.environment.KEY":   "compose.yaml:21:9",
		"services.far.image":              "other.yaml:3:5",
		"nothing":                         "",
	} {
		if got := at(s, path); got != want {
			t.Errorf("%s is at %q, want %q", path, got, want)
		}
	}
	var ports []string
	for _, d := range s.Services {
		for _, p := range d.Published {
			ports = append(ports, at(s, p.Path))
		}
	}
	if diff := cmp.Diff([]string{"compose.yaml:15:9", "compose.yaml:16:9", "over.yaml:6:9"}, ports); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
}

func TestLook_ReadsWhatLoadRefuses(t *testing.T) {
	files := map[string]string{"compose.yaml": `
services:
  web:
    image: x:${HDO_UNSET:?say it}
    env_file: [gone.env]
    pre_stop: [{command: ["x"]}]
  debug:
    image: y
    profiles: [debug]
`}
	if _, err := compose.Load(t.Context(), compose.Options{WorkingDir: write(t, files)}); !errors.Is(err, steady.ErrCompose) {
		t.Fatalf("Load: %v", err)
	}
	s := look(t, files)
	if len(s.Services) != 2 || len(s.Unset) != 1 || len(s.Missing) != 1 || len(s.Refused) != 1 {
		t.Errorf("services %d, unset %v, missing %v, refused %v", len(s.Services), s.Unset, s.Missing, s.Refused)
	}
	if s.Unset[0].Text != "HDO_UNSET" || at(s, s.Unset[0].Path) != "compose.yaml:4:5" {
		t.Errorf("unset: %+v at %s", s.Unset[0], at(s, s.Unset[0].Path))
	}
}

func TestLook_LeavesWhatComposeCannotRead(t *testing.T) {
	for name, text := range map[string]string{
		"no YAML":       "services: [",
		"unknown key":   "services: {web: {imaeg: x}}",
		"no image":      "services: {web: {}}",
		"anchor itself": "services: &a {web: *a}",
	} {
		if _, err := compose.Look(t.Context(), compose.Options{WorkingDir: write(t, map[string]string{"compose.yaml": text})}); !errors.Is(err, steady.ErrCompose) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLook_ReadsTheDockerfile(t *testing.T) {
	for name, c := range map[string]struct {
		text, target string
		want         steady.Dockerfile
	}{
		"exec form":  {"FROM a\nCMD [\"x\", \"y\"]\n", "", steady.Dockerfile{Base: "a", Command: []string{"x", "y"}, CommandAt: 2}},
		"shell form": {"FROM a\nRUN b\nCMD x \\\n  # why\n  y\n", "", steady.Dockerfile{Base: "a", Command: []string{"x y"}, CommandShell: true, CommandAt: 3}},
		"the last stage": {"FROM a AS one\nCMD one\nFROM b\n", "",
			steady.Dockerfile{Base: "b"}},
		"inherited": {"FROM a AS one\nCMD [\"one\"]\nFROM one\n", "", steady.Dockerfile{Base: "a", Command: []string{"one"}, CommandAt: 2}},
		"an entrypoint drops what was inherited": {"FROM a AS one\nCMD [\"one\"]\nFROM one\nENTRYPOINT [\"e\"]\n", "",
			steady.Dockerfile{Base: "a", Entrypoint: []string{"e"}, EntrypointAt: 4}},
		"target":      {"FROM a AS one\nCMD [\"one\"]\nFROM b AS two\nCMD two\n", "one", steady.Dockerfile{Base: "a", Command: []string{"one"}, CommandAt: 2}},
		"healthcheck": {"FROM a\nHEALTHCHECK CMD x\n", "", steady.Dockerfile{Base: "a", HealthcheckStandsHere: true}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"Dockerfile": c.text, "compose.yaml": "services: {web: {build: {context: ., target: \"" + c.target + "\"}}}"})
			s, err := compose.Look(t.Context(), compose.Options{WorkingDir: dir})
			if err != nil {
				t.Fatal(err)
			}
			got := s.Services[0].Dockerfile
			if got.File != filepath.Join(dir, "Dockerfile") {
				t.Errorf("file %s", got.File)
			}
			got.File = ""
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Anchors within anchors make a short file that unfolds without end.
func TestLook_BearsAnchorsWithoutEnd(t *testing.T) {
	text := "x-0: &a0 [1]\n"
	for i := 1; i < 12; i++ {
		text += fmt.Sprintf("x-%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	dir := write(t, map[string]string{"compose.yaml": text + "services: {web: {image: x}}\n"})
	compose.PlacesOf([]string{filepath.Join(dir, "compose.yaml")})
	for name, err := range map[string]error{
		"Look": second(compose.Look(t.Context(), compose.Options{WorkingDir: dir})),
		"Load": second(compose.Load(t.Context(), compose.Options{WorkingDir: dir})),
	} {
		if !errors.Is(err, steady.ErrCompose) || !strings.Contains(err.Error(), "unfold") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
