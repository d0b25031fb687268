package compose_test

import (
	"slices"
	"testing"

	"gesalpai.ch/steady"
)

func TestXSteady_EphemeralVolumesAreAllNoneOrAList(t *testing.T) {
	p := loadText(t, `
services:
  all: {image: x, x-steady: {ephemeral_volumes: true}}
  none: {image: x, x-steady: {ephemeral_volumes: false}}
  one: {image: x, x-steady: {ephemeral_volumes: /cache/}}
  some: {image: x, x-steady: {ephemeral_volumes: [/tmp/b, /cache, /cache/]}}
  silent: {image: x}
`)
	want := map[string][]string{"all": {steady.EphemeralAll}, "one": {"/cache"}, "some": {"/cache", "/tmp/b"}}
	for _, s := range p.Specs {
		if !slices.Equal(s.EphemeralVolumes, want[s.Service]) {
			t.Errorf("%s: %v, want %v", s.Service, s.EphemeralVolumes, want[s.Service])
		}
	}
}

func TestXSteady_RefusesEphemeralVolumesThatAreNone(t *testing.T) {
	for x, want := range map[string]string{
		"ephemeral_volumes: cache":          "cache is no absolute path in the container",
		"ephemeral_volumes: [/a, 3]":        "3 is no absolute path in the container",
		"ephemeral_volumes: 3":              "3 is neither true, false nor a list of paths",
		"ephemeral_volumes: {/data: true}":  "ephemeral_volumes",
		"ephemeral_volumes: [/srv/uploads]": "/srv/uploads is no anonymous volume: the file mounts data there",
	} {
		refuses(t, "services: {web: {image: x, volumes: [\"data:/srv/uploads\"], x-steady: {"+x+"}}}\nvolumes: {data: {}}", want)
	}
	refuses(t, "x-steady: {ephemeral_volumes: true}\nservices: {web: {image: x}}", "ephemeral_volumes")
}

// What a replica writes to and its successor finds again, as the captured call has it.
func TestSpec_AnonymousVolumesAreThoseThatNothingElseIsMountedOver(t *testing.T) {
	s := loadText(t, `
services:
  web:
    image: x
    tmpfs: [/run]
    volumes:
      - data:/named
      - .:/app
      - ./conf:/etc/app:ro
      - /sourceless
      - /app/node_modules
      - /app/uploads/
      - /srv/vendor
      - {type: volume, target: /read-only, read_only: true}
      - {type: tmpfs, target: /scratch}
volumes: {data: {}}
`).Specs[0]
	declared := []string{"/named", "/run", "/scratch", "/etc/app", "/var/lib/db/", "relative", "/sourceless", "/read-only"}
	want := []string{"/app/uploads", "/relative", "/sourceless", "/srv/vendor", "/var/lib/db"}
	if got := s.AnonymousVolumes(declared); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	s.EphemeralVolumes = []string{"/relative"}
	if got := s.AnonymousVolumes(declared); slices.Contains(got, "/relative") || len(got) != len(want)-1 {
		t.Errorf("with an ephemeral one: %v", got)
	}
	s.EphemeralVolumes = []string{steady.EphemeralAll}
	if got := s.AnonymousVolumes(declared); len(got) > 0 {
		t.Errorf("with all of them ephemeral: %v", got)
	}
}
